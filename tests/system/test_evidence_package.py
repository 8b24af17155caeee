"""Evidence packages of a running stack, through Envoy: verified with its public keys alone, by us and by OpenSSL."""

from __future__ import annotations

import asyncio
import io
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from lienthong.agent.profile import load_profile
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.opening import open_signer
from lienthong.client.evidence import EvidenceError, EvidenceReport, EvidenceTrust, verify_package
from lienthong.records.v1 import (
    evidence_service_pb2,
    evidence_service_pb2_grpc,
    intake_service_pb2,
    intake_service_pb2_grpc,
    submission_pb2,
)
from lienthong.samples.generator import Generator
from lienthong.signing.v1 import verdict_pb2
from lienthong.type.v1 import access_context_pb2

from deploy.local.seed import sample_person
from deploy.local.suite import LocalStack
from tests.fixtures.debian import openssl
from tests.system.stack_access import channel_of, signed_documents

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "01001"
OWN = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_LAW_19_1_DD
)


def beside(stack: LocalStack, seed: int) -> submission_pb2.DocumentSubmission:
    """A document whose signature travels beside it."""
    (path,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == FACILITY]
    signer = open_signer(load_profile(Path(path)).key_source())
    episode = Generator(seed).episode(sample_person(stack.endpoints["persons"][0]), FACILITY, "3176")
    return submission_pb2.DocumentSubmission(
        document_id=f"evidence-{seed}",
        format=submission_pb2.DOCUMENT_FORMAT_XML130,
        content=episode.content,
        signatures=[
            submission_pb2.DetachedSignature(
                format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, content=sign_detached(episode.content, signer)
            )
        ],
    )


async def package(channel: grpc.aio.Channel, document: submission_pb2.DocumentSubmission) -> bytes:
    """The package of a document, once it is in the log."""
    intake = intake_service_pb2_grpc.IntakeServiceStub(channel)
    sent = await intake.SubmitDocument(intake_service_pb2.SubmitDocumentRequest(document=document), timeout=30)
    request = intake_service_pb2.GetSubmissionRequest(name=sent.submission.name)
    for _ in range(100):
        found = (await intake.GetSubmission(request, timeout=30)).submission
        if found.receipt.tlog_proof:
            break
        await asyncio.sleep(0.2)
    evidence = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
    asked = evidence_service_pb2.GetEvidencePackageRequest(name=found.document, context=OWN)
    answer = await evidence.GetEvidencePackage(asked, timeout=30)
    content: bytes = answer.content
    listed = await evidence.ListVerdicts(evidence_service_pb2.ListVerdictsRequest(parent=found.name), timeout=30)
    assert [one.occasion for one in listed.verdicts] == ["RECEIVED"]
    return content


def verified(stack: LocalStack, content: bytes) -> EvidenceReport:
    trust = EvidenceTrust.load(Path(stack.endpoints["trust_policy"]).parent)
    return verify_package(content, trust, now=datetime.now(UTC))


def sealed_for_openssl(stack: LocalStack, content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    seal = ["-in", "META-INF/signature.p7s", "-content", "META-INF/ASiCManifest.xml"]
    root = str(Path(stack.endpoints["trust_policy"]).parent / "authorities.pem")
    command = [openssl(), "cms", "-verify", "-binary", "-inform", "DER", *seal, "-CAfile", root, "-purpose", "any"]
    done = subprocess.run([*command, "-out", "/dev/null"], cwd=folder, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


async def test_packages_of_both_kinds_of_signatures(stack: LocalStack, folder: Path) -> None:
    (enveloped,) = signed_documents(stack, folder, FACILITY, 1, 8101)
    inside = submission_pb2.DocumentSubmission(
        document_id="evidence-inside",
        format=submission_pb2.DOCUMENT_FORMAT_XML130,
        content=enveloped.path.read_bytes(),
    )
    async with channel_of(stack, FACILITY) as channel:
        first, second = await package(channel, inside), await package(channel, beside(stack, 8102))
    report = verified(stack, first)
    assert [one.indication for one in report.verdicts] == ["TOTAL_PASSED"]
    assert report.pieces >= 3
    assert len(report.receipt.witnesses) >= 2
    assert [one.rechecked for one in report.signatures] == [False]
    report = verified(stack, second)
    assert [(one.form, one.rechecked) for one in report.signatures] == [("CMS_DETACHED", True)]
    sealed_for_openssl(stack, second, folder / "package")
    changed = bytearray(first)
    changed[len(changed) // 2] ^= 1
    with pytest.raises(EvidenceError):
        verified(stack, bytes(changed))
