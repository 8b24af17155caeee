"""The records role as a process would run it: mTLS and PostgreSQL, with scripted peers behind its ports."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from lienthong.client.errors import LienthongError, from_rpc_error
from lienthong.records.v1 import (
    document_service_pb2,
    document_service_pb2_grpc,
    intake_service_pb2,
    intake_service_pb2_grpc,
    submission_pb2,
)
from lienthong.samples import Episode
from lienthong.type.v1 import access_context_pb2

from services.chassis.feed import Batch, Redirect
from services.chassis.lifecycle import Lifecycle
from services.chassis.principal import PrincipalKind
from services.chassis.server import Server
from services.chassis.settings import TelemetrySettings
from services.records.__main__ import Peers, assemble
from services.records.config import ArchiveSettings, EvidenceSettings, InsurerSettings, IntakeSettings, Settings
from services.records.formats.document import ContentKind
from services.records.model import Permission
from tests.fakes.records_ports import FakeConsent, FakeIdentity, FakeSigning, FakeSlips
from tests.fakes.records_samples import FACILITY
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole

pb = intake_service_pb2
EVERYTHING = (Permission(frozenset(ContentKind)),)
CONSENT = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
)
BY_LAW = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_LAW_19_1_DD
)


@dataclass
class Records:
    """The running role and its scripted surroundings."""

    running: Running
    signing: FakeSigning = field(default_factory=FakeSigning)
    identity: FakeIdentity = field(default_factory=FakeIdentity)
    consent: FakeConsent = field(default_factory=lambda: FakeConsent(own=True))
    slips: FakeSlips = field(default_factory=FakeSlips)

    async def intake(self, method: str, request: Any, facility: str = FACILITY, timeout: float = 10) -> Any:
        """Calls the intake as a facility; raises LienthongError."""
        async with self.running.as_facility(facility) as channel:
            return await said(
                getattr(intake_service_pb2_grpc.IntakeServiceStub(channel), method)(request, timeout=timeout)
            )

    async def submit(
        self, document: submission_pb2.DocumentSubmission, facility: str = FACILITY
    ) -> submission_pb2.Submission:
        """Submits one document."""
        answer = await self.intake("SubmitDocument", pb.SubmitDocumentRequest(document=document), facility)
        submission: submission_pb2.Submission = answer.submission
        return submission

    async def stream(
        self, *messages: list[submission_pb2.DocumentSubmission], facility: str = FACILITY
    ) -> list[intake_service_pb2.SubmissionResult]:
        """Submits over one stream; returns the results in the order they came. Raises LienthongError."""
        identities = self.running.identities
        metadata = identities.metadata(identities.token(PrincipalKind.FACILITY, facility=facility), facility)
        results: list[intake_service_pb2.SubmissionResult] = []

        async def requests() -> AsyncIterator[intake_service_pb2.SubmitDocumentsRequest]:
            for message in messages:
                yield pb.SubmitDocumentsRequest(documents=message)

        async def read() -> None:
            async with self.running.as_facility(facility) as channel:
                stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
                async for response in stub.SubmitDocuments(requests(), timeout=30, metadata=metadata):
                    results.extend(response.results)

        await said(read())
        return results

    async def read(self, method: str, request: Any, facility: str = FACILITY) -> Any:
        """Calls the documents as a facility; raises LienthongError."""
        async with self.running.as_facility(facility) as channel:
            stub = document_service_pb2_grpc.DocumentServiceStub(channel)
            return await said(getattr(stub, method)(request, timeout=10))

    async def get(
        self, name: str, facility: str, context: access_context_pb2.AccessContext = CONSENT
    ) -> document_service_pb2.GetDocumentResponse:
        """Reads one document."""
        request = document_service_pb2.GetDocumentRequest(name=name, context=context)
        response: document_service_pb2.GetDocumentResponse = await self.read("GetDocument", request, facility)
        return response

    async def until_logged(self, name: str, facility: str = FACILITY) -> submission_pb2.Submission:
        """The submission once its receipt is complete."""
        for _ in range(100):
            request = pb.GetSubmissionRequest(name=name)
            submission: submission_pb2.Submission = (await self.intake("GetSubmission", request, facility)).submission
            if submission.receipt.tlog_proof:
                return submission
            await asyncio.sleep(0.05)
        raise AssertionError("not logged in time")


async def said(call: Awaitable[Any]) -> Any:
    """The answer of a call, or its error as integrators see it."""
    import grpc

    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


def document(of: Episode | bytes, document_id: str = "HS-1", **changes: Any) -> submission_pb2.DocumentSubmission:
    content = of if isinstance(of, bytes) else of.content
    return submission_pb2.DocumentSubmission(
        document_id=document_id, format=submission_pb2.DOCUMENT_FORMAT_XML130, content=content, **changes
    )


def sha256(of: Episode) -> str:
    return hashlib.sha256(of.content).hexdigest()


def reason(error: LienthongError) -> tuple[str, str]:
    return error.code.name, error.reason


@pytest.fixture
def settings(identities: Identities, database_for: DatabaseFor, keyring_file: Path) -> Settings:
    nobody = "127.0.0.1:1"
    seal = identities.pki.seal()
    return Settings(
        server=identities.server_settings("records"),
        database=database_for("records"),
        telemetry=TelemetrySettings(log_level="error"),
        keyring=keyring_file,
        promise_key=identities.pki.ed25519("promise"),
        seal_key=seal.private_key,
        seal_certificate=seal.certificate,
        signing_address=nobody,
        identity_address=nobody,
        consent_address=nobody,
        referrals_address=nobody,
        evidence=EvidenceSettings(rejudging_seconds=0.1),
        archive=ArchiveSettings(),
        intake=IntakeSettings(),
        insurer=InsurerSettings(),
    )


StartRecords = Callable[..., Awaitable[Records]]
OpenFeed = Callable[[str], AsyncGenerator[Batch[Redirect], None]]


@pytest.fixture
async def start_records(start_role: StartRole, settings: Settings) -> AsyncIterator[StartRecords]:
    """Starts the role with scripted peers; keyword arguments change its settings, `persons` opens a feed of the person index."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def start(persons: OpenFeed | None = None, **changes: Any) -> Records:
            records = Records(running=None)  # type: ignore[arg-type] # set below, once it runs

            async def compose(changed: Settings, life: Lifecycle) -> Server:
                peers = Peers(records.signing, records.identity, records.consent, records.slips, persons)
                return await assemble(changed, life, peers)

            records.running = await stack.enter_async_context(
                start_role("records", compose, replace(settings, **changes))
            )
            return records

        yield start


@pytest.fixture
async def records(start_records: StartRecords) -> Records:
    return await start_records()
