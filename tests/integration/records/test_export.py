"""A person's copy of their data: complete, sealed, checked offline, and cut off when the person's permission is."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.errors import LienthongError
from lienthong.client.evidence import EvidenceError, EvidenceTrust, verify_export
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.promise import KEY_NAME
from lienthong.records.v1 import export_service_pb2, export_service_pb2_grpc
from lienthong.samples import Generator
from lienthong.type.v1 import access_context_pb2
from pypdf import PdfReader

from services.records import export
from services.records.config import Settings
from services.records.rpc.export import PIECE
from tests.fakes.records_samples import FACILITY, episode
from tests.fixtures.identities import Identities
from tests.integration.records.conftest import EVERYTHING, Records, document, said

OWN = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST, legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA
)


@pytest.fixture
def trust(identities: Identities) -> EvidenceTrust:
    pki = identities.pki
    key = load_pem_private_key(pki.ed25519("promise").read_bytes(), None)
    return EvidenceTrust(
        TrustPolicy(promise_keys=(NoteSigner(KEY_NAME, key).verifier_key,)),  # type: ignore[arg-type] # Ed25519 by construction
        (),
        (),
        (x509.load_pem_x509_certificates(pki.seal().certificate.read_bytes())[0],),
    )


async def exported(records: Records, person: str, file: Path) -> list[export_service_pb2.ExportPersonDataResponse]:
    """The messages; their content lies in the file."""
    messages = []
    async with records.running.as_citizen(person) as channel:
        stub = export_service_pb2_grpc.ExportServiceStub(channel)
        request = export_service_pb2.ExportPersonDataRequest(person=person, context=OWN)

        async def read() -> None:
            with file.open("wb") as opened:
                async for message in stub.ExportPersonData(request, timeout=60):
                    opened.write(message.content)
                    messages.append(message)

        await said(read())
    return messages


async def submitted(records: Records, count: int) -> tuple[str, dict[str, bytes]]:
    """A person with so many documents: their name, and the exact bytes by name of the document."""
    # No proof of the scripted log would hold: receipts stay promises, which the role's own key signs.
    records.signing.covered = 0
    person, generator = episode(1).person, Generator(77)
    samples = [generator.episode(person, FACILITY) for _ in range(count)]
    results = await records.stream([document(sample, f"d{at}") for at, sample in enumerate(samples)])
    contents = {one.submission.document: sample.content for one, sample in zip(results, samples, strict=True)}
    return results[0].submission.person, contents


async def test_every_original_is_there_byte_for_byte_and_the_whole_verifies_offline(
    records: Records, trust: EvidenceTrust, tmp_path: Path
) -> None:
    person, contents = await submitted(records, 3)
    records.consent.permissions = EVERYTHING
    file = tmp_path / "copy.zip"
    messages = await exported(records, person, file)
    assert messages[0].disclosure.decision == "decisions/1"
    assert [one.content_sha256 for one in messages if one.content_sha256] == [
        hashlib.sha256(file.read_bytes()).hexdigest()
    ]
    assert len(records.consent.queries) == 1
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        assert names[0] == "mimetype"
        for name, content in contents.items():
            assert archive.read(f"originals/{name.removeprefix('documents/')}/document.xml") == content
        bundle = json.loads(archive.read("fhir/bundle.json"))
        pdf = tmp_path / "tom-tat.pdf"
        pdf.write_bytes(archive.read("tom-tat.pdf"))
    kinds = [one["resource"]["resourceType"] for one in bundle["entry"]]
    assert kinds == ["Patient", *["DocumentReference"] * 3, "Provenance"]
    for one in bundle["entry"][1:4]:
        attachment = one["resource"]["content"][0]["attachment"]
        assert attachment["url"] in names
        assert attachment["size"] == len(contents[f"documents/{one['resource']['id']}"])
    said_in_pdf = "".join(page.extract_text() for page in PdfReader(pdf).pages)
    assert "Bản sao dữ liệu sức khỏe của tôi" in said_in_pdf
    assert "Có 3 tài liệu" in said_in_pdf
    report = verify_export(file, trust)
    assert (report.documents, report.files) == (3, len(names) - 3)


async def test_pieces_are_small_and_the_decision_is_asked_again_as_bytes_leave(
    records: Records, trust: EvidenceTrust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.records.service.export.DECIDED_FOR", 20_000)
    monkeypatch.setattr("services.records.service.export._PAGE", 4)
    person, _ = await submitted(records, 9)
    records.consent.permissions = EVERYTHING
    file = tmp_path / "copy.zip"
    messages = await exported(records, person, file)
    assert max(len(one.content) for one in messages) <= PIECE
    assert 2 <= len(records.consent.queries) <= file.stat().st_size // 20_000 + 1
    assert verify_export(file, trust).documents == 9


async def test_a_refusal_ends_the_stream(records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.records.service.export.DECIDED_FOR", 20_000)
    person, _ = await submitted(records, 9)
    with pytest.raises(LienthongError) as refused:
        await exported(records, person, tmp_path / "nothing.zip")
    assert refused.value.reason == "READ_NOT_PERMITTED"
    assert (tmp_path / "nothing.zip").read_bytes() == b""
    records.consent.permissions = EVERYTHING
    decide = records.consent.decide

    async def once(query: object) -> object:
        decision = await decide(query)  # type: ignore[arg-type] # a query
        return decision if len(records.consent.queries) < 3 else replace(decision, permissions=())

    monkeypatch.setattr(records.consent, "decide", once)
    with pytest.raises(LienthongError) as refused:
        await exported(records, person, tmp_path / "part.zip")
    assert refused.value.reason == "READ_NOT_PERMITTED"
    with pytest.raises(EvidenceError):
        verify_export(tmp_path / "part.zip", EvidenceTrust(TrustPolicy(), (), (), ()))


async def test_more_than_one_export_holds_is_refused(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.records.service.export.MOST_DOCUMENTS", 2)
    assert export.MOST_DOCUMENTS == 20_000
    person, _ = await submitted(records, 3)
    records.consent.permissions = EVERYTHING
    with pytest.raises(LienthongError) as refused:
        await exported(records, person, tmp_path / "copy.zip")
    assert refused.value.reason == "EXPORT_TOO_LARGE"


async def test_only_citizens_export(records: Records, settings: Settings) -> None:
    request = export_service_pb2.ExportPersonDataRequest(person=f"persons/{UUID(int=1)}", context=OWN)
    async with records.running.as_facility(FACILITY) as channel:
        stub = export_service_pb2_grpc.ExportServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ExportPersonData(request, timeout=5).read()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def altered(file: Path, to: Path, drop: str = "", change: str = "", add: str = "") -> Path:
    """A copy of a container with one file left out, changed or added."""
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(to, "w") as made:
        for info in archive.infolist():
            if drop and info.filename.endswith(drop):
                continue
            content = archive.read(info)
            if change and info.filename.endswith(change):
                content = content.replace(b"e", b"f", 1) + b" "
            made.writestr(info.filename, content, info.compress_type)
        if add:
            made.writestr(add, b"x")
    return to


async def test_nothing_can_be_left_out_altered_or_added(records: Records, trust: EvidenceTrust, tmp_path: Path) -> None:
    person, _ = await submitted(records, 2)
    records.consent.permissions = EVERYTHING
    file, other = tmp_path / "copy.zip", tmp_path / "other.zip"
    await exported(records, person, file)
    changes: Sequence[tuple[dict[str, str], str]] = (
        ({"drop": "tom-tat.pdf"}, "MEMBER_MISSING"),
        ({"drop": "document.xml"}, "MEMBER_MISSING"),
        ({"change": "document.xml"}, "MEMBER_ALTERED"),
        ({"change": "receipt.json"}, "MEMBER_ALTERED"),
        ({"change": "META-INF/ASiCManifest.xml"}, "SEAL_INVALID"),
        ({"add": "originals/x/document.xml"}, "MEMBER_UNLISTED"),
        ({"drop": "META-INF/signature.p7s"}, "MEMBER_MISSING"),
    )
    for change, expected in changes:
        with pytest.raises(EvidenceError) as refused:
            verify_export(altered(file, other, **change), trust, now=datetime.now(UTC))
        assert refused.value.reason == expected, change
    with pytest.raises(EvidenceError) as refused:
        verify_export(file, replace(trust, seals=()))
    assert refused.value.reason == "SEAL_UNTRUSTED"
