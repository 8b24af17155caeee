"""Input made to exhaust a parser, each given to the parser it is meant for; run as a process of its own, with its memory limited.

Prints a line for each case: its name, a tab, and the class of the error that refused it, or "accepted". Anything else ends the process.
"""

from __future__ import annotations

import base64
import io
import resource
import sys
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

from lienthong.client.batch import BatchError, BatchManifest
from lienthong.client.evidence import EvidenceError, EvidenceTrust, verify_package
from lienthong.client.tlog.checkpoint import Checkpoint, CheckpointMalformed
from lienthong.client.tlog.note import NoteError, SignedNote
from lienthong.client.tlog.policy import PolicyInvalid, TrustPolicy, load_policy
from lienthong.client.tlog.proof import ProofMalformed, TlogProof
from lienthong.client.tlog.receipt import Receipt, ReceiptError

from services.records.formats.document import DocumentUnusable
from services.records.formats.xml130 import Xml130Format
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import Finding
from services.signing.formats.jws import verify_jws
from services.signing.formats.pades import verify_pades
from services.signing.formats.xmldsig import verify_xades_detached, verify_xmldsig

MEGABYTE = 1024 * 1024
MEMORY = 1536 * MEGABYTE
"""Address space of the process: what the libraries map, and far less than the bombs would take."""
REFUSALS = (
    Finding,
    DocumentUnusable,
    EvidenceError,
    ReceiptError,
    NoteError,
    CheckpointMalformed,
    ProofMalformed,
    PolicyInvalid,
    BatchError,
)


def _bomb(levels: int) -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE G [<!ENTITY e0 "aaaaaaaaaa">{entities}]><G>&e{levels - 1};</G>'.encode()


def _quadratic() -> bytes:
    return b'<!DOCTYPE G [<!ENTITY a "' + b"a" * 50_000 + b'">]><G>' + b"&a;" * 50_000 + b"</G>"


def _der_of_depth(depth: int) -> bytes:
    encoded = b""
    for _ in range(depth):
        size = len(encoded)
        length = bytes([size]) if size < 128 else b"\x83" + size.to_bytes(3, "big")
        encoded = b"\x30" + length + encoded
    return encoded


def _pdf(stream: bytes) -> bytes:
    body = b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Length " + str(len(stream)).encode()
    return (
        body
        + b"/Filter/FlateDecode>>stream\n"
        + stream
        + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF"
    )


def _zip(members: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return output.getvalue()


def _package(content: bytes) -> object:
    return verify_package(content, EvidenceTrust(TrustPolicy(), (), (), ()))


def _table(table: bytes) -> bytes:
    inner = base64.b64encode(table).decode()
    return (
        "<GIAMDINHHS><THONGTINDONVI><MACSKCB>01001</MACSKCB></THONGTINDONVI><THONGTINHOSO><NGAYLAP>20250101</NGAYLAP>"
        "<SOLUONGHOSO>1</SOLUONGHOSO><DANHSACHHOSO><HOSO><FILEHOSO><LOAIHOSO>XML1</LOAIHOSO>"
        f"<NOIDUNGFILE>{inner}</NOIDUNGFILE></FILEHOSO></HOSO></DANHSACHHOSO></THONGTINHOSO><CHUKYDONVI/></GIAMDINHHS>"
    ).encode()


XML = {
    "entity bomb": lambda: _bomb(12),
    "quadratic entities": _quadratic,
    "million levels": lambda: b"<A>" * 1_000_000,
    "million attributes": lambda: b"<G " + b" ".join(b'a%d=""' % n for n in range(1_000_000)) + b"/>",
    "million namespaces": lambda: b"<G>" + b"".join(b'<A xmlns:n%d="u"/>' % n for n in range(500_000)) + b"</G>",
    "one long name": lambda: b"<" + b"A" * 15 * MEGABYTE + b"/>",
    "one long attribute": lambda: b'<G a="' + b"A" * 15 * MEGABYTE + b'"/>',
    "character references": lambda: b"<G>" + b"&#65;" * 3_000_000 + b"</G>",
    "sixteen megabytes of tags": lambda: b"<G>" + b"<A/>" * (4 * MEGABYTE - 10) + b"</G>",
}
CASES: dict[str, Callable[[], object]] = {
    **{f"XMLDSig: {name}": lambda make=make: verify_xmldsig(make()) for name, make in XML.items()},  # type: ignore[misc] # bound at once
    **{f"XML130: {name}": lambda make=make: Xml130Format().parse(make()) for name, make in XML.items()},  # type: ignore[misc] # bound at once
    **{f"XML130 table: {name}": lambda make=make: Xml130Format().parse(_table(make())) for name, make in XML.items()},  # type: ignore[misc] # bound at once
    "XAdES file: entity bomb": lambda: verify_xades_detached(b"x", _bomb(12)),
    "CMS: deep": lambda: verify_cms(b"x", _der_of_depth(10_000)),
    "CMS: a length of 4 GB": lambda: verify_cms(b"x", b"\x30\x84\xff\xff\xff\xff"),
    "CMS: a long tag": lambda: verify_cms(b"x", b"\x3f" + b"\xff" * 60_000),
    "CMS: zeros": lambda: verify_cms(b"x", bytes(60_000)),
    "JWS: nested header": lambda: verify_jws(b"x", base64.urlsafe_b64encode(b"[" * 40_000).rstrip(b"=") + b"..AA"),
    "JWS: a number of 40,000 digits": lambda: verify_jws(
        b"x", base64.urlsafe_b64encode(b'{"iat":' + b"9" * 40_000 + b"}").rstrip(b"=") + b"..AA"
    ),
    "PDF: compressed gigabyte": lambda: verify_pades(_pdf(zlib.compress(bytes(200 * MEGABYTE), 9))),
    "PDF: a reference to itself": lambda: verify_pades(
        b"%PDF-1.7\n1 0 obj 1 0 R endobj\ntrailer<</Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF"
    ),
    "PDF: nested arrays": lambda: verify_pades(b"%PDF-1.7\n1 0 obj " + b"[" * 1_000_000 + b"\nstartxref\n9\n%%EOF"),
    "package: zip bomb": lambda: _package(_zip({"mimetype": b"x", "a": bytes(300 * MEGABYTE)})),
    "package: hundred thousand members": lambda: _package(_zip({str(n): b"" for n in range(60_000)})),
    "package: no zip": lambda: _package(b"PK\x03\x04" + bytes(MEGABYTE)),
    "receipt: nested": lambda: Receipt.from_json("[" * 1_000_000),
    "receipt: large": lambda: Receipt.from_json('{"entry": "' + "A" * 20 * MEGABYTE + '"}'),
    "note: a million lines": lambda: SignedNote.parse("\n" * 1_000_000),
    "checkpoint: a number of a million digits": lambda: Checkpoint.parse("o\n" + "9" * 1_000_000 + "\nAA==\n"),
    "proof: a million lines": lambda: TlogProof.parse("c2sp.org/tlog-proof@v1\n" + "A\n" * 1_000_000),
    "policy: a million lines": lambda: load_policy("witness a b\n" * 1_000_000),
    "manifest: long": lambda: BatchManifest.parse("facility/" + "0" * MEGABYTE),
}


def main() -> None:
    """Runs every case."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name, run in CASES.items():
        try:
            run()
            outcome = "accepted"
        except REFUSALS as error:
            outcome = type(error).__name__
        sys.stdout.write(f"{name}\t{outcome}\t{datetime.now(UTC):%S}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
