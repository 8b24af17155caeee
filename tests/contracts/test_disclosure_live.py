"""Running roles on PostgreSQL: every answer that tells of a person names a decision that stands on the ledger, permits, and is about that very
call; and while the decision point is away nothing of the kind is answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2
from lienthong.identity.v1 import (
    check_in_service_pb2,
    check_in_service_pb2_grpc,
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_link_service_pb2,
    person_link_service_pb2_grpc,
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
)
from lienthong.records.v1 import (
    document_service_pb2,
    document_service_pb2_grpc,
    evidence_service_pb2,
    evidence_service_pb2_grpc,
    export_service_pb2,
    export_service_pb2_grpc,
    intake_service_pb2,
    intake_service_pb2_grpc,
    submission_pb2,
)
from lienthong.referrals.v1 import (
    appointment_service_pb2,
    appointment_service_pb2_grpc,
    referral_service_pb2,
    referral_service_pb2_grpc,
)
from lienthong.type.v1 import (
    access_context_pb2,
    administrative_area_pb2,
    administrative_sex_pb2,
    human_name_pb2,
    identifier_pb2,
)
from sqlalchemy import text

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.chassis.lifecycle import Lifecycle
from services.chassis.peers import PeerSettings, channel
from services.chassis.principal import PrincipalKind
from services.chassis.server import Server
from services.chassis.settings import DatabaseSettings, TelemetrySettings
from services.consent.__main__ import compose as compose_consent
from services.consent.config import Settings as ConsentSettings
from services.identity.__main__ import compose as compose_identity
from services.identity.access import ACCESS as IDENTITY_ACCESS
from services.identity.config import Settings as IdentitySettings
from services.identity.links import NewReviewTask, ReviewCandidate, ReviewReason
from services.identity.postgres import PostgresStore
from services.records.__main__ import Peers, assemble
from services.records.access import ACCESS as RECORDS_ACCESS
from services.records.config import ArchiveSettings, EvidenceSettings, InsurerSettings, IntakeSettings
from services.records.config import Settings as RecordsSettings
from services.records.peers import GrpcConsent
from services.referrals.__main__ import compose as compose_referrals
from services.referrals.access import ACCESS as REFERRALS_ACCESS
from services.referrals.config import Settings as ReferralsSettings
from tests.contracts.test_disclosure import BY_METHOD
from tests.fakes.records_ports import FakeIdentity, FakeSigning, FakeSlips
from tests.fakes.records_samples import FACILITY, episode
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.integration.referrals.conftest import SOURCE, TARGET, Referrals, follow_up_slip, referral_slip

TIMEOUT = 10
NOBODY = "127.0.0.1:1"
NAME, NUMBER = "Nguyễn Thị Hoà", "001185012345"
OWN = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST, legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA
)
BY_LAW = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_LAW_19_1_DD
)
SERVED = {*IDENTITY_ACCESS, *RECORDS_ACCESS, *REFERRALS_ACCESS}
RESTING = sorted(
    name for name, row in BY_METHOD.items() if row.kind in {"PERSON_DATA", "SUBJECT_SELF"} and name in SERVED
)
# What is done is answered whoever is away, without a word that the caller did not say.
DONE = {
    "lienthong.identity.v1.CheckInService/CheckIn",
    "lienthong.referrals.v1.ReferralService/AcceptReferral",
    "lienthong.referrals.v1.ReferralService/RegisterArrival",
}


@dataclass
class World:
    """The roles, and what there is to read."""

    identity: Running
    records: Running
    referrals: Running
    person: str = ""
    task: str = ""
    referral: str = ""
    appointment: str = ""
    patient: str = ""
    document: str = ""
    request: str = str(UUID(int=7))

    async def calls(self, name: str) -> Message:
        """Makes the call of that name, the same each time."""
        service, _, method = name.rpartition("/")
        make = getattr(self, f"call_{service.rpartition('.')[2]}_{method}")
        answer: Message = await make()
        return answer

    async def call_PersonService_GetPerson(self) -> Message:
        async with self.identity.as_citizen(self.person) as open_:
            stub = person_service_pb2_grpc.PersonServiceStub(open_)
            return await stub.GetPerson(person_service_pb2.GetPersonRequest(name=self.person), timeout=TIMEOUT)

    async def call_PersonService_ListProvisionalPersons(self) -> Message:
        async with self.identity.as_facility(SOURCE) as open_:
            stub = person_service_pb2_grpc.PersonServiceStub(open_)
            return await stub.ListProvisionalPersons(
                person_service_pb2.ListProvisionalPersonsRequest(), timeout=TIMEOUT
            )

    async def call_PersonLinkService_GetPersonAsOf(self) -> Message:
        async with self.identity.as_officer(PrincipalKind.AUDITOR) as open_:
            stub = person_link_service_pb2_grpc.PersonLinkServiceStub(open_)
            at = Timestamp()
            at.FromDatetime(system_clock())
            request = person_link_service_pb2.GetPersonAsOfRequest(name=self.person, as_of_time=at)
            return await stub.GetPersonAsOf(request, timeout=TIMEOUT)

    async def call_PersonLinkService_ClaimReviewTask(self) -> Message:
        async with self.identity.as_officer(PrincipalKind.STEWARD) as open_:
            stub = person_link_service_pb2_grpc.PersonLinkServiceStub(open_)
            request = person_link_service_pb2.ClaimReviewTaskRequest(request_id=self.request, name=self.task)
            return await stub.ClaimReviewTask(request, timeout=TIMEOUT)

    async def call_CheckInService_CheckIn(self) -> Message:
        query = person_service_pb2.PersonQuery(identifiers=[_number()], demographics=_demographics())
        async with self.identity.as_facility(SOURCE) as open_:
            stub = check_in_service_pb2_grpc.CheckInServiceStub(open_)
            return await stub.CheckIn(check_in_service_pb2.CheckInRequest(query=query), timeout=TIMEOUT)

    async def _referral(self, method: str, request: Message) -> Message:
        async with self.referrals.as_facility(TARGET) as open_:
            stub = referral_service_pb2_grpc.ReferralServiceStub(open_)
            answer: Message = await getattr(stub, method)(request, timeout=TIMEOUT)
            return answer

    async def call_ReferralService_GetReferral(self) -> Message:
        request = referral_service_pb2.GetReferralRequest(name=self.referral, context=BY_LAW)
        return await self._referral("GetReferral", request)

    async def call_ReferralService_ListReferrals(self) -> Message:
        return await self._referral("ListReferrals", referral_service_pb2.ListReferralsRequest())

    async def call_ReferralService_AcceptReferral(self) -> Message:
        request = referral_service_pb2.AcceptReferralRequest(request_id=self.request, name=self.referral)
        return await self._referral("AcceptReferral", request)

    async def call_ReferralService_RegisterArrival(self) -> Message:
        request = referral_service_pb2.RegisterArrivalRequest(request_id=self.request, name=self.referral)
        return await self._referral("RegisterArrival", request)

    async def call_AppointmentService_GetAppointment(self) -> Message:
        async with self.referrals.as_citizen(self.person) as open_:
            stub = appointment_service_pb2_grpc.AppointmentServiceStub(open_)
            request = appointment_service_pb2.GetAppointmentRequest(name=self.appointment)
            return await stub.GetAppointment(request, timeout=TIMEOUT)

    async def call_AppointmentService_ListAppointments(self) -> Message:
        async with self.referrals.as_facility(SOURCE) as open_:
            stub = appointment_service_pb2_grpc.AppointmentServiceStub(open_)
            return await stub.ListAppointments(appointment_service_pb2.ListAppointmentsRequest(), timeout=TIMEOUT)

    async def _own(self, stub: Any, method: str, request: Message) -> Message:
        async with self.records.as_citizen(self.patient) as open_:
            answer: Message = await getattr(stub(open_), method)(request, timeout=TIMEOUT)
            return answer

    async def call_DocumentService_ListDocuments(self) -> Message:
        request = document_service_pb2.ListDocumentsRequest(person=self.patient, context=OWN)
        return await self._own(document_service_pb2_grpc.DocumentServiceStub, "ListDocuments", request)

    async def call_DocumentService_GetDocument(self) -> Message:
        request = document_service_pb2.GetDocumentRequest(name=self.document, context=OWN)
        return await self._own(document_service_pb2_grpc.DocumentServiceStub, "GetDocument", request)

    async def call_DocumentService_GetHealthBook(self) -> Message:
        request = document_service_pb2.GetHealthBookRequest(person=self.patient, context=OWN)
        return await self._own(document_service_pb2_grpc.DocumentServiceStub, "GetHealthBook", request)

    async def call_EvidenceService_GetEvidencePackage(self) -> Message:
        request = evidence_service_pb2.GetEvidencePackageRequest(name=self.document, context=OWN)
        return await self._own(evidence_service_pb2_grpc.EvidenceServiceStub, "GetEvidencePackage", request)

    async def call_ExportService_ExportPersonData(self) -> Message:
        async with self.records.as_citizen(self.patient) as open_:
            stub = export_service_pb2_grpc.ExportServiceStub(open_)
            request = export_service_pb2.ExportPersonDataRequest(person=self.patient, context=OWN)
            whole = export_service_pb2.ExportPersonDataResponse()
            async for part in stub.ExportPersonData(request, timeout=TIMEOUT):
                whole.MergeFrom(part)
            return whole


def _number() -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=NUMBER)


def _demographics() -> person_pb2.Demographics:
    return person_pb2.Demographics(
        human_name=human_name_pb2.HumanName(text=NAME),
        birth_date=date_pb2.Date(year=1985, month=3, day=2),
        sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
    )


def decisions_of(name: str, answer: Any) -> list[str]:
    """The decisions that an answer names."""
    *path, last = BY_METHOD[name].decision.split(".")
    for step in path:
        answer = getattr(answer, step)
    found = getattr(answer, last)
    return [found] if isinstance(found, str) else list(found)


def silent(name: str, answer: Any) -> bool:
    """Whether an answer of what was done tells nothing of the person."""
    if name.endswith("CheckIn"):
        return not (answer.decision or answer.consent_requests or answer.appointments or answer.referrals)
    paper = answer.referral
    return not (answer.decision or paper.person or paper.referral_number or paper.reason_code or paper.document)


class Stage:
    """Starts the roles and puts something into them."""

    def __init__(
        self,
        start: StartRole,
        identities: Identities,
        database_for: DatabaseFor,
        keyring: Path,
        consent: ConsentSettings,
    ) -> None:
        self._start, self._identities, self._databases, self._keyring = start, identities, database_for, keyring
        self.consent = consent

    def _settings(self, role: str) -> dict[str, Any]:
        return {
            "server": self._identities.server_settings(role),
            "database": self._databases(role),
            "telemetry": TelemetrySettings(log_level="error"),
            "keyring": self._keyring,
            "consent_address": NOBODY,
        }

    @asynccontextmanager
    async def world(self) -> AsyncIterator[tuple[World, Callable[[], Awaitable[None]]]]:
        """The world, and what takes the decision point away."""
        async with AsyncExitStack() as life, AsyncExitStack() as deciding:
            consent = await deciding.enter_async_context(self._start("consent", compose_consent, self.consent))
            known = {"consent_address": consent.address}
            of_identity = IdentitySettings(**(self._settings("identity") | known), referrals_address=NOBODY)
            of_referrals = ReferralsSettings(**(self._settings("referrals") | known), identity_address=NOBODY)
            world = World(
                await life.enter_async_context(self._start("identity", compose_identity, of_identity)),
                await life.enter_async_context(self._start("records", _records, self._records(consent.address))),
                await life.enter_async_context(self._start("referrals", compose_referrals, of_referrals)),
            )
            await self._fill(world, of_identity.database, of_referrals.database)
            yield world, deciding.aclose

    def _records(self, consent: str) -> RecordsSettings:
        seal = self._identities.pki.seal()
        return RecordsSettings(
            **(self._settings("records") | {"consent_address": consent}),
            promise_key=self._identities.pki.ed25519("promise"),
            seal_key=seal.private_key,
            seal_certificate=seal.certificate,
            signing_address=NOBODY,
            identity_address=NOBODY,
            referrals_address=NOBODY,
            evidence=EvidenceSettings(),
            archive=ArchiveSettings(),
            intake=IntakeSettings(),
            insurer=InsurerSettings(),
        )

    async def _fill(self, world: World, identity: DatabaseSettings, referrals: DatabaseSettings) -> None:
        async with world.identity.as_officer(PrincipalKind.ADMIN) as open_:
            facility = organization_pb2.Organization(
                code=SOURCE,
                display_name="Bệnh viện",
                care_level=organization_pb2.CARE_LEVEL_BASIC,
                province=administrative_area_pb2.AdministrativeArea(
                    province_code="01", era=administrative_area_pb2.AREA_ERA_PROVINCES_63
                ),
            )
            created = organization_service_pb2.CreateOrganizationRequest(request_id=str(uuid4()), organization=facility)
            await organization_service_pb2_grpc.OrganizationServiceStub(open_).CreateOrganization(
                created, timeout=TIMEOUT
            )
        async with world.identity.as_facility(SOURCE) as open_:
            stub = person_service_pb2_grpc.PersonServiceStub(open_)
            request = person_service_pb2.RegisterPersonRequest(
                request_id=str(uuid4()), identifiers=[_number()], demographics=_demographics()
            )
            world.person = (await stub.RegisterPerson(request, timeout=TIMEOUT)).person.name
            unknown = person_service_pb2.RegisterProvisionalPersonRequest(
                request_id=str(uuid4()), sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE
            )
            somebody = (await stub.RegisterProvisionalPerson(unknown, timeout=TIMEOUT)).person.name
        subject, candidate = (UUID(name.removeprefix("persons/")) for name in (somebody, world.person))
        task = NewReviewTask(
            subject, ReviewReason.SCORE_BAND, (ReviewCandidate(candidate, 14.0, ()),), SOURCE, "fs-2026-11", 1
        )
        id = uuid7()
        async with Database(identity) as database:
            store = PostgresStore(database, FileKeyring(self._keyring), system_clock)
            await store.write(lambda transaction: transaction.add_review_tasks({id: task}, system_clock()))
        world.task = f"reviewTasks/{id}"
        async with Database(referrals) as database:
            papers = Referrals(world.referrals, database)
            await papers.imports(referral_slip(world.person), follow_up_slip(world.person))
            ((world.referral,),) = await papers.rows("SELECT 'referrals/' || id FROM referral")  # type: ignore[assignment] # text
            ((world.appointment,),) = await papers.rows("SELECT 'appointments/' || id FROM appointment")  # type: ignore[assignment] # text
        async with world.records.as_facility(FACILITY) as open_:
            content = submission_pb2.DocumentSubmission(
                document_id="HS-1", format=submission_pb2.DOCUMENT_FORMAT_XML130, content=episode(1).content
            )
            submitted = intake_service_pb2.SubmitDocumentRequest(document=content)
            done = (
                await intake_service_pb2_grpc.IntakeServiceStub(open_).SubmitDocument(submitted, timeout=TIMEOUT)
            ).submission
            world.document, world.patient = done.document, done.person


async def _records(settings: RecordsSettings, life: Lifecycle) -> Server:
    """Records with the real decision point; who signed and who it is are scripted."""
    consent = await life.enter(channel(PeerSettings("consent", settings.consent_address), settings.server))
    # The scripted log has no real proofs.
    return await assemble(
        settings, life, Peers(FakeSigning(covered=0), FakeIdentity(), GrpcConsent(consent), FakeSlips())
    )


@pytest.fixture
def stage(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    decision_settings: ConsentSettings,
) -> Stage:
    return Stage(start_role, identities, database_for, keyring_file, decision_settings)


def test_every_method_that_rests_on_a_decision_is_called_here() -> None:
    called = {name.removeprefix("call_").replace("_", "/") for name in vars(World) if name.startswith("call_")}
    assert {name.rpartition(".")[2] for name in RESTING} <= called


async def test_each_answer_names_decisions_on_the_ledger_and_without_the_decision_point_there_is_none(
    stage: Stage,
) -> None:
    async with stage.world() as (world, take_away), Database(stage.consent.database) as kept:
        named = {name: decisions_of(name, await world.calls(name)) for name in RESTING}
        ledger = await _ledger(kept)
        for name, decisions in named.items():
            assert decisions, name
            for decision in decisions:
                assert ledger[decision] == (name, "PERMIT"), name
        await take_away()
        for name in RESTING:
            if name in DONE:
                assert silent(name, await world.calls(name)), name
                continue
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await world.calls(name)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE, name


async def _ledger(database: Database) -> Mapping[str, tuple[str, str]]:
    """The method and the effect of every line, by decision."""

    async def work(connection: Any) -> dict[str, tuple[str, str]]:
        found = await connection.execute(
            text("SELECT 'decisions/' || decision_id AS name, method, effect FROM access_entry")
        )
        return {row.name: (row.method, row.effect) for row in found}

    return await database.read(work)
