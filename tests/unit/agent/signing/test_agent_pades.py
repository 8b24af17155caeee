"""PAdES by the agent: holds here and for pyHanko; what cannot carry a signature is refused by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped] # the oracle ships no types
from lienthong.agent.signing import DocumentUnsignable, Pkcs12Signer
from lienthong.agent.signing.pades import LARGEST_PDF, sign_pdf
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from deploy.local.pki import Pki
from services.signing.formats.facts import Finding
from services.signing.formats.pades import PdfReader, verify_pades
from services.signing.model import SignatureFormat, SignatureLevel
from tests.unit.agent.signing.test_agent_forms import run
from tests.unit.signing.formats.test_format_pades import plain_pdf

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=["rsa", "p256"])
def signer(pki: Pki, request: pytest.FixtureRequest) -> Pkcs12Signer:
    pair = pki.signer("01001", algorithm=request.param)
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


def test_a_signed_file_holds_here(signer: Pkcs12Signer) -> None:
    reader, file = PdfReader(), sign_pdf(plain_pdf(), signer, signing_time=AT)
    try:
        facts = verify_pades(file, reader)
        assert (facts.format, facts.level) == (SignatureFormat.PADES, SignatureLevel.B)
        assert facts.claimed_signing_time == AT
        for place in (file.index(b"/MediaBox") + 12, len(plain_pdf()) + 20):
            changed = bytearray(file)
            changed[place] ^= 1
            with pytest.raises(Finding):
                verify_pades(bytes(changed), reader)
    finally:
        reader.close()


def test_a_signed_file_holds_for_pyhanko(signer: Pkcs12Signer) -> None:
    reader = PdfFileReader(io.BytesIO(sign_pdf(plain_pdf(), signer, signing_time=AT)))
    (embedded,) = reader.embedded_signatures
    roots = [asn1_x509.Certificate.load(der) for der in (signer.certificate, *signer.chain)]
    status = validate_pdf_signature(
        embedded, ValidationContext(trust_roots=roots, allow_fetching=False, revocation_mode="soft-fail")
    )
    assert (status.intact, status.valid, status.coverage) == (True, True, SignatureCoverageLevel.ENTIRE_FILE)
    assert embedded.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    # The time stands in the dictionary; PAdES leaves no room for another one in the signature (EN 319 142-1 §6.3).
    assert "signing_time" not in {one["type"].native for one in embedded.signer_info["signed_attrs"]}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda _: b"", "not a PDF"),
        (lambda pdf: pdf[:-60], "not a PDF"),
        (lambda _: b"%PDF-1.7\n" + b"[" * 50_000 + b"\nstartxref\n9\n%%EOF", "not a PDF"),
        (lambda pdf: pdf + bytes(LARGEST_PDF), "longer than"),
    ],
)
def test_what_is_no_pdf_file(signer: Pkcs12Signer, spoil: Callable[[bytes], bytes], words: str) -> None:
    with pytest.raises(DocumentUnsignable, match=words):
        sign_pdf(spoil(plain_pdf()), signer)


def test_a_second_signature_is_refused(signer: Pkcs12Signer) -> None:
    with pytest.raises(DocumentUnsignable, match="signed already"):
        sign_pdf(sign_pdf(plain_pdf(), signer), signer)


def test_the_command_signs_a_folder_of_pdf_files(pki: Pki, tmp_path: Path) -> None:
    folder, out, pair = tmp_path / "in", tmp_path / "out", pki.signer("01001", algorithm="rsa")
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.pdf").write_bytes(plain_pdf())
    result = run(tmp_path, {"rsa": pair, "p256": pair}, str(folder), "--out", str(out))
    assert (result.exit_code, "signed 2 of 2" in result.output) == (0, True), result.output
    reader = PdfReader()
    try:
        assert {verify_pades(file.read_bytes(), reader).level for file in out.iterdir()} == {SignatureLevel.B}
    finally:
        reader.close()
