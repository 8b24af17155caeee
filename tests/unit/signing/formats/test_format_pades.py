"""PAdES: what pyHanko signs verifies, whatever does not cover the entire file is refused, and hostile files cost little."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import keys as asn1_keys  # type: ignore[import-untyped] # the oracle ships no types
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko.sign.timestamps import DummyTimeStamper, TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from services.signing.formats import pades_reader
from services.signing.formats.facts import Finding
from services.signing.formats.pades import LARGEST_PDF, PdfReader, PdfReaderUnavailable, verify_pades
from services.signing.model import SignatureFormat, SignatureLevel
from tests.unit.signing.formats.conftest import Identity

F, H, S = "FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE"
Mutation = Callable[[bytes], bytes]


def plain_pdf(page: bytes = b"BT ET") -> bytes:
    writer = PdfFileWriter()
    contents = writer.add_object(generic.StreamObject(stream_data=page))
    writer.insert_page(PageObject(contents=contents, media_box=(0, 0, 200, 200)))
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def as_pyhanko(identity: Identity) -> tuple[asn1_x509.Certificate, asn1_keys.PrivateKeyInfo]:
    key = identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return asn1_x509.Certificate.load(identity.der), asn1_keys.PrivateKeyInfo.load(key)


def sign(
    pdf: bytes,
    identity: Identity,
    field: str = "A",
    *,
    stamper: TimeStamper | None = None,
    filter_: SigSeedSubFilter = SigSeedSubFilter.PADES,
) -> bytes:
    certificate, key = as_pyhanko(identity)
    signer = SimpleSigner(signing_cert=certificate, signing_key=key, cert_registry=SimpleCertificateStore())
    metadata = PdfSignatureMetadata(field_name=field, subfilter=filter_, md_algorithm="sha256")
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    return bytes(sign_pdf(writer, metadata, signer=signer, timestamper=stamper).getvalue())


@pytest.fixture(scope="module")
def reader() -> Iterator[PdfReader]:
    reader = PdfReader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def signed(identities: Mapping[str, Identity]) -> bytes:
    return sign(plain_pdf(), identities["p256"])


def refused(pdf: bytes, reader: PdfReader) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_pades(pdf, reader)
    return str(caught.value.sub_indication), caught.value.reason


def test_what_pyhanko_signed(signed: bytes, reader: PdfReader, identities: Mapping[str, Identity]) -> None:
    facts = verify_pades(signed, reader)
    assert (facts.format, facts.level, facts.algorithm) == (
        SignatureFormat.PADES,
        SignatureLevel.B,
        "ecdsa-p256-sha256",
    )
    assert facts.signer_certificate_der == identities["p256"].der
    assert facts.claimed_signing_time is not None
    assert abs((datetime.now(UTC) - facts.claimed_signing_time).total_seconds()) < 3600
    # All but the hexadecimal string is covered.
    gap = re.search(rb"/Contents <[0-9A-F]+>", signed)
    assert gap is not None
    assert facts.covered == signed.replace(gap[0][10:], b"")


def test_a_timestamp_is_handed_on(reader: PdfReader, identities: Mapping[str, Identity]) -> None:
    certificate, key = as_pyhanko(identities["rsa"])
    stamper = DummyTimeStamper(tsa_cert=certificate, tsa_key=key)
    facts = verify_pades(sign(plain_pdf(), identities["p256"], stamper=stamper), reader)
    assert len(facts.timestamps) == 1
    # What is stamped is the signature value itself: DER of two numbers.
    assert all(0 < number < 2**256 for number in decode_dss_signature(facts.timestamped))


def two_signatures(identity: Identity) -> Mutation:
    return lambda pdf: sign(pdf, identity, "B")


def updated(pdf: bytes) -> bytes:
    """Another page in an incremental update, as a viewer writes one."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    contents = writer.add_object(generic.StreamObject(stream_data=b"BT (79001) Tj ET"))
    writer.insert_page(PageObject(contents=contents, media_box=(0, 0, 200, 200)))
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def byte_range(change: Callable[[list[int]], list[int]]) -> Mutation:
    def mutate(pdf: bytes) -> bytes:
        found = re.search(rb"/ByteRange \[([^\]]*)\]( *)", pdf)
        assert found is not None
        numbers = change([int(number) for number in found[1].split()])
        text = b"/ByteRange [" + b" ".join(str(number).encode() for number in numbers) + b"]"
        assert len(text) <= len(found[0])
        return pdf.replace(found[0], text.ljust(len(found[0])))

    return mutate


def contents(change: Callable[[bytes], bytes]) -> Mutation:
    def mutate(pdf: bytes) -> bytes:
        found = re.search(rb"/Contents <([0-9A-F]+)>", pdf)
        assert found is not None
        changed = change(found[1])
        assert len(changed) == len(found[1])
        return pdf.replace(found[1], changed)

    return mutate


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "changed page": (lambda pdf: pdf.replace(b"BT ET", b"ET BT"), H, "DIGEST_MISMATCH"),
    "changed time": (lambda pdf: pdf.replace(b"/M (D\\0722026", b"/M (D\\0722020"), H, "DIGEST_MISMATCH"),
    "bytes after the end": (lambda pdf: pdf + b"x", F, "COVERAGE_NOT_WHOLE"),
    "incremental update": (updated, F, "COVERAGE_NOT_WHOLE"),
    "range that ends early": (byte_range(lambda r: [*r[:3], r[3] - 1]), F, "COVERAGE_NOT_WHOLE"),
    "range with a larger gap": (byte_range(lambda r: [0, r[1] - 1, r[2], r[3]]), F, "COVERAGE_NOT_WHOLE"),
    "range with a smaller gap": (byte_range(lambda r: [0, r[1] + 1, r[2], r[3]]), F, "COVERAGE_NOT_WHOLE"),
    "range from the second byte": (byte_range(lambda r: [1, r[1], r[2], r[3]]), F, "COVERAGE_NOT_WHOLE"),
    "range of two": (byte_range(lambda r: r[:2]), F, "COVERAGE_NOT_WHOLE"),
    "range of the whole file": (byte_range(lambda r: [0, r[2], r[2], r[3]]), F, "COVERAGE_NOT_WHOLE"),
    "negative range": (byte_range(lambda r: [0, r[1], -1, r[3]]), F, "COVERAGE_NOT_WHOLE"),
    "something behind the signature": (contents(lambda one: one[:-2] + b"01"), F, "CMS_MALFORMED"),
    "no signature value": (contents(lambda one: b"0" * len(one)), F, "PDF_MALFORMED"),
    "unknown filter": (lambda pdf: pdf.replace(b"/ETSI.CAdES", b"/ETSI.XAdES"), F, "SUB_FILTER_UNSUPPORTED"),
    "RFC 3161 filter": (lambda pdf: pdf.replace(b"/ETSI.CAdES.detached", b"/ETSI.RFC3161       "), F, "SUB_FILTER_UNSUPPORTED"),
    "other filter": (lambda pdf: pdf.replace(b"/ETSI.CAdES.detached", b"/adbe.pkcs7.sha1    "), F, "SUB_FILTER_UNSUPPORTED"),
    "cut off": (lambda pdf: pdf[:-30], F, "PDF_MALFORMED"),
    "no PDF": (lambda _: b"<GIAMDINHHS/>", F, "PDF_MALFORMED"),
    "only a head": (lambda _: b"%PDF-1.7\n", F, "PDF_MALFORMED"),
    "not signed": (lambda _: plain_pdf(), "NO_SIGNATURE_FOUND", "SIGNATURE_MISSING"),
    "too large": (lambda pdf: pdf + b" " * LARGEST_PDF, F, "DOCUMENT_TOO_LARGE"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_has_its_reason(name: str, signed: bytes, reader: PdfReader) -> None:
    mutate, sub_indication, reason = MUTATIONS[name]
    pdf = mutate(signed)
    assert pdf != signed
    assert refused(pdf, reader) == (sub_indication, reason)


def test_two_signatures_are_not_judged(signed: bytes, reader: PdfReader, identities: Mapping[str, Identity]) -> None:
    assert refused(sign(signed, identities["rsa"], "B"), reader) == (F, "SIGNATURE_NOT_UNIQUE")


def test_a_signature_without_the_signed_certificate_is_refused(
    reader: PdfReader, identities: Mapping[str, Identity]
) -> None:
    """The older filter is accepted with CAdES attributes only, which Adobe's profile does not ask for."""
    pdf = sign(plain_pdf(), identities["p256"], filter_=SigSeedSubFilter.ADOBE_PKCS7_DETACHED)
    facts_or_reason = outcome(pdf, reader)
    assert facts_or_reason in (SignatureLevel.PLAIN, (F, "SIGNING_CERTIFICATE_ATTRIBUTE_MISSING"))


def outcome(pdf: bytes, reader: PdfReader) -> SignatureLevel | tuple[str, str]:
    try:
        return verify_pades(pdf, reader).level
    except Finding as finding:
        return str(finding.sub_indication), finding.reason


def zipped() -> bytes:
    """900 MB of zeros where the cross-reference should be."""
    squeezer = zlib.compressobj(9)
    packed = b"".join(squeezer.compress(bytes(1 << 24)) for _ in range(56)) + squeezer.flush()
    size = str(len(packed)).encode()
    head = b"1 0 obj\n<</Type/XRef/Size 2/W[1 1 1]/Root 2 0 R/Filter/FlateDecode/Length " + size + b">>stream\n"
    return b"%PDF-1.7\n" + head + packed + b"\nendstream\nendobj\nstartxref\n9\n%%EOF"


def crowded(filling: bytes) -> bytes:
    """A catalogue whose form is very long."""
    body = b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/AcroForm<</Fields[" + filling + b"]>>>>\nendobj\n"
    table = b"xref\n0 2\n0000000000 65535 f \n0000000009 00000 n \ntrailer\n<</Size 2/Root 1 0 R>>\n"
    return body + table + b"startxref\n" + str(len(body)).encode() + b"\n%%EOF"


def test_bombs_do_not_take_the_service_down(signed: bytes, reader: PdfReader) -> None:
    assert refused(crowded(b""), reader) == ("NO_SIGNATURE_FOUND", "SIGNATURE_MISSING")
    assert refused(zipped(), reader) == (F, "PDF_MALFORMED")
    assert refused(crowded(b"[" * 100_000), reader) == (F, "PDF_MALFORMED")
    assert refused(crowded(b"0 " * 8_000_000), reader) == (F, "PDF_TOO_COMPLEX")
    assert verify_pades(signed, reader).format is SignatureFormat.PADES


def test_a_file_that_takes_too_long_is_refused_and_the_next_is_read(signed: bytes) -> None:
    impatient = PdfReader(read_seconds=0.0)
    try:
        assert refused(signed, impatient) == (F, "PDF_TOO_COMPLEX")
        assert refused(signed, impatient) == (F, "PDF_TOO_COMPLEX")
    finally:
        impatient.close()


def test_a_reader_that_dies_is_started_again(signed: bytes) -> None:
    reader = PdfReader()
    try:
        verify_pades(signed, reader)
        assert reader._process is not None
        reader._process.kill()
        reader._process.wait()
        assert refused(signed, reader) == (F, "PDF_TOO_COMPLEX")
        assert verify_pades(signed, reader).format is SignatureFormat.PADES
    finally:
        reader.close()


def test_a_reader_that_does_not_start_says_nothing_about_the_document(
    signed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.signing.formats.pades._READER", "services.signing.formats.absent")
    with pytest.raises(PdfReaderUnavailable):
        verify_pades(signed, PdfReader())


class Captured(PdfReader):
    """A reader that a hostile file has taken over."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self._lie = json.dumps(answer).encode()

    def find(self, pdf: bytes) -> dict[str, Any]:
        return self._answer(self._lie)


_NUMBERS = st.integers(-10, 10_000) | st.integers() | st.booleans()
_TEXTS = st.sampled_from(["/ETSI.CAdES.detached", "/adbe.pkcs7.detached", "MEMORY", ""]) | st.text(max_size=5)
_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "signatures": st.just(1) | _NUMBERS,
        "byte_range": st.lists(_NUMBERS, min_size=4, max_size=4) | st.lists(_NUMBERS, max_size=5) | _NUMBERS,
        "filter": st.just("/ETSI.CAdES.detached") | _TEXTS | _NUMBERS,
        "contents": _TEXTS,
        "time": _NUMBERS | _TEXTS,
        "error": st.none() | _TEXTS,
    },
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=_ANSWERS)
def test_nothing_that_the_reader_says_is_believed(answer: dict[str, Any], signed: bytes) -> None:
    """Only an answer that leaves out exactly the string with that hash passes, and no such answer is among these."""
    with pytest.raises(Finding):
        verify_pades(signed, Captured(answer))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_reader_cannot_shift_what_is_covered(place: int, by: int, signed: bytes) -> None:
    answer = pades_reader.find(signed)
    assert verify_pades(signed, Captured(answer)).level is SignatureLevel.B
    answer["byte_range"][place] += by
    assert refused(signed, Captured(answer)) == (F, "COVERAGE_NOT_WHOLE")


def test_a_reader_cannot_leave_out_less_than_the_string(signed: bytes) -> None:
    """Without its brackets the string would no more be a string; what stands there could be read as something else."""
    answer = pades_reader.find(signed)
    start, before, after, rest = answer["byte_range"]
    answer["byte_range"] = [start, before + 1, after - 1, rest + 1]
    answer["contents"] = hashlib.sha256(bytes.fromhex(signed[before + 2 : after - 2].decode())).hexdigest()
    assert refused(signed, Captured(answer)) == (F, "COVERAGE_NOT_WHOLE")


def test_the_reader_has_no_secrets_and_little_room(signed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", "postgresql://secret")
    reader = PdfReader()
    try:
        verify_pades(signed, reader)
        assert reader._process is not None
        folder = Path(f"/proc/{reader._process.pid}")
        assert b"LIENTHONG" not in (folder / "environ").read_bytes()
        limits = (folder / "limits").read_text()
        for name, most in (("Max address space", 768 * 1024 * 1024), ("Max file size", 0), ("Max processes", 0)):
            assert re.search(rf"{name} +{most} +{most} ", limits)
    finally:
        reader.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_reader_survives_any_file(data: st.DataObject, signed: bytes) -> None:
    """In this process, so that a crash would show: every answer is one of the four."""
    pdf = bytearray(signed)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(pdf) - 1))
        piece = data.draw(st.binary(max_size=6) | st.sampled_from([b"<<", b">>", b" 0 R", b"/V", b"stream", b"%%EOF"]))
        pdf[place : place + data.draw(st.integers(0, 6))] = piece
    answer = pades_reader.find(bytes(pdf))
    shapes = ("error", "signatures", "filter signatures", "byte_range contents filter signatures time")
    assert " ".join(sorted(answer)) in shapes
