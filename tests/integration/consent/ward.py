"""A consent role whose clock the test moves, with the national ID app's notice API beside it, and the people who use both."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from aiohttp import ClientSession, TCPConnector, web
from joserfc.jwk import ECKey
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from lienthong.consent.v1 import emergency_access_service_pb2_grpc, notice_service_pb2, notice_service_pb2_grpc

from deploy.local.idapp import Accounts, AppClient, IdApp
from deploy.local.notices import Notices
from deploy.local.ports import Ports
from deploy.local.tokens import TokenIssuer
from services.chassis.clock import FrozenClock
from services.chassis.feed import FollowSettings
from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from services.chassis.settings import DatabaseSettings, TelemetrySettings
from services.consent.__main__ import compose
from services.consent.ciba import CibaSettings
from services.consent.codes import SmsSettings
from services.consent.config import Settings
from services.consent.emergency_store import EmergencySettings
from services.consent.notices import NoticeSettings
from tests.fixtures.identities import Identities, Running, StartRole

Stub = emergency_access_service_pb2_grpc.EmergencyAccessServiceStub
HOSPITAL, OTHER = "01001", "79001"
DOCTOR, SECOND = "000001/BYT-CCHN", "000002/BYT-CCHN"
WHY = "Unconscious after a fall, no papers, bleeding"
CLIENT = "lienthong-consent"


@dataclass
class IdAppNotices:
    """The app's notice and consent APIs on a port of its own; `up` and `down` at will. What was told stays."""

    identities: Identities
    address: str
    clock: FrozenClock
    client: ECKey
    accounts: Accounts = field(default_factory=lambda: Accounts("operator"))
    _runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self.api = Notices(
            f"https://{self.address}/citizen",
            AppClient(CLIENT, self.client),
            self.accounts,
            lambda: self.clock().timestamp(),
        )
        self.issuer = TokenIssuer(f"https://{self.address}/citizen")
        self.consents = IdApp(
            self.issuer, AppClient(CLIENT, self.client), self.accounts, lambda: self.clock().timestamp()
        )

    def enrol(self) -> str:
        """A new citizen with an account."""
        person = f"persons/{uuid7()}"
        self.accounts.pins[person] = "123456"
        return person

    def told(self, person: str) -> list[str]:
        """Types of what a citizen was told, the first first."""
        return [one["type"] for one in self.api.inboxes.get(person, {}).values()]

    async def asked(self, person: str, answer: str = "") -> list[dict[str, Any]]:
        """What waits for a citizen, as the app shows it; all of it is answered with `answer`, approve or deny."""
        trust = ssl.create_default_context(cafile=str(self.identities.pki.authority))
        url = f"https://{self.address}/citizen/requests"
        async with ClientSession(connector=TCPConnector(ssl=trust)) as session:
            async with session.get(url, headers={"x-account": person, "x-pin": "123456"}) as got:
                waiting: list[dict[str, Any]] = await got.json()
            for one in waiting if answer else []:
                async with session.post(f"{url}/{one['id']}/{answer}", data={"pin": "123456"}) as done:
                    assert done.status == 200
        return waiting

    async def up(self) -> None:
        """Listens."""
        application = web.Application()
        application.add_routes([*self.api.routes(), *self.consents.routes()])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        host, _, port = self.address.rpartition(":")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        pair = self.identities.pki.server("outside")
        context.load_cert_chain(pair.certificate, pair.private_key)
        await web.TCPSite(self._runner, host, int(port), ssl_context=context, reuse_address=True).start()

    async def down(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@dataclass
class Ward:
    """The running role, its clock, and the app."""

    running: Running
    clock: FrozenClock
    app: IdAppNotices
    database: DatabaseSettings
    keyring: Path

    @asynccontextmanager
    async def doctor(
        self, licence: str = DOCTOR, facility: str = HOSPITAL, *, acr: str = "", auth_time: datetime | None = None
    ) -> AsyncIterator[Stub]:
        """Through the gateway, as a practitioner."""
        identities = self.running.identities
        token = identities.tokens.practitioner(facility, licence=licence, at=self.clock(), acr=acr, auth_time=auth_time)
        metadata = identities.metadata(token, facility)
        async with identities.channel(self.running.address, "consent", "gateway", metadata) as channel:
            yield Stub(channel)

    @asynccontextmanager
    async def other(
        self, kind: PrincipalKind, *, facility: str = HOSPITAL, person: str = "", employer: str = ""
    ) -> AsyncIterator[Stub]:
        """Through the gateway, as anybody else."""
        identities = self.running.identities
        if kind is PrincipalKind.AUDITOR:
            token = identities.tokens.auditor(employer=employer, at=self.clock())
        else:
            token = identities.token(kind, facility=facility, person=person, at=self.clock())
        bound = facility if kind is PrincipalKind.FACILITY else None
        metadata = identities.metadata(token, bound)
        async with identities.channel(self.running.address, "consent", "gateway", metadata) as channel:
            yield Stub(channel)

    async def open(
        self, person: str, licence: str = DOCTOR, facility: str = HOSPITAL, request_id: str = "", text: str = WHY
    ) -> messages.RequestEmergencyAccessResponse:
        """Opens an access."""
        request = messages.RequestEmergencyAccessRequest(
            request_id=request_id or str(uuid4()),
            person=person,
            reason=messages.EMERGENCY_REASON_UNCONSCIOUS,
            reason_text=text,
        )
        async with self.doctor(licence, facility) as stub:
            return await stub.RequestEmergencyAccess(request, timeout=5)

    async def confirm(
        self,
        name: str,
        licence: str = SECOND,
        facility: str = HOSPITAL,
        acr: str = "",
        auth_time: datetime | None = None,
    ) -> messages.EmergencyAccess:
        """Confirms an access."""
        request = messages.ConfirmEmergencyAccessRequest(request_id=str(uuid4()), name=name)
        async with self.doctor(licence, facility, acr=acr, auth_time=auth_time) as stub:
            return (await stub.ConfirmEmergencyAccess(request, timeout=5)).emergency_access

    async def widen(
        self, name: str, licence: str = DOCTOR, text: str = WHY, life_saving: bool = False
    ) -> messages.EmergencyAccess:
        """Widens an access."""
        request = messages.WidenEmergencyAccessRequest(
            request_id=str(uuid4()), name=name, reason_text=text, life_saving=life_saving
        )
        async with self.doctor(licence) as stub:
            return (await stub.WidenEmergencyAccess(request, timeout=5)).emergency_access

    async def end(self, name: str, licence: str = DOCTOR, facility: str = HOSPITAL) -> messages.EmergencyAccess:
        """Ends an access."""
        request = messages.EndEmergencyAccessRequest(request_id=str(uuid4()), name=name)
        async with self.doctor(licence, facility) as stub:
            return (await stub.EndEmergencyAccess(request, timeout=5)).emergency_access

    async def get(self, name: str) -> messages.EmergencyAccess:
        """An access as the doctor sees it."""
        async with self.doctor() as stub:
            request = messages.GetEmergencyAccessRequest(name=name)
            return (await stub.GetEmergencyAccess(request, timeout=5)).emergency_access

    async def review(
        self,
        name: str,
        outcome: int = messages.REVIEW_OUTCOME_JUSTIFIED,
        finding: str = "The ward's book and the ambulance report agree.",
        employer: str = "",
    ) -> messages.EmergencyAccess:
        """Reviews an access."""
        request = messages.ReviewEmergencyAccessRequest(
            request_id=str(uuid4()),
            name=name,
            outcome=outcome,  # type: ignore[arg-type] # an enum number
            finding=finding,
        )
        async with self.other(PrincipalKind.AUDITOR, employer=employer) as stub:
            return (await stub.ReviewEmergencyAccess(request, timeout=5)).emergency_access

    async def queue(
        self, *, page_size: int = 0, organization: str = "", unreviewed: bool = True, employer: str = ""
    ) -> list[messages.EmergencyAccess]:
        """All pages of an auditor's queue."""
        request = messages.ListEmergencyAccessesRequest(
            unreviewed=unreviewed, page_size=page_size, organization=organization
        )
        found: list[messages.EmergencyAccess] = []
        async with self.other(PrincipalKind.AUDITOR, employer=employer) as stub:
            while True:
                page = await stub.ListEmergencyAccesses(request, timeout=5)
                found += page.emergency_accesses
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    return found

    async def statistics(
        self, organization: str = "", page_size: int = 0, days: int = 0
    ) -> list[messages.EmergencyAccessCounts]:
        """All pages of the statistics."""
        request = messages.GetEmergencyAccessStatisticsRequest(
            organization=organization, page_size=page_size, days=days
        )
        found: list[messages.EmergencyAccessCounts] = []
        async with self.other(PrincipalKind.AUDITOR) as stub:
            while True:
                page = await stub.GetEmergencyAccessStatistics(request, timeout=5)
                found += page.counts
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    return found

    async def notices(self, person: str, caller: str = "", page_size: int = 0) -> list[notice_service_pb2.Notice]:
        """All pages of a person's notices."""
        identities = self.running.identities
        metadata = identities.metadata(
            identities.token(PrincipalKind.CITIZEN, person=caller or person, at=self.clock())
        )
        request = notice_service_pb2.ListNoticesRequest(person=person, page_size=page_size)
        found: list[notice_service_pb2.Notice] = []
        async with identities.channel(self.running.address, "consent", "gateway", metadata) as channel:
            stub = notice_service_pb2_grpc.NoticeServiceStub(channel)
            while True:
                page = await stub.ListNotices(request, timeout=5)
                found += page.notices
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    return found

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What stands in the database, or is put there."""
        with psycopg.connect((self.database.owner_url or "").replace("+psycopg", ""), autocommit=True) as connection:
            found = connection.execute(statement.encode(), values)
            return found.fetchall() if found.description else []

    def guardian(self, ward: str, guardian: str) -> None:
        """Registers a guardianship."""
        self.rows(
            "INSERT INTO guardianship (person_id, id, guardian_id, kind, evidence, created_at)"
            " VALUES (%s, %s, %s, 'PARENT', 'BIRTH_CERTIFICATE', %s)",
            id_of(ward),
            uuid7(),
            id_of(guardian),
            self.clock(),
        )


async def refused(call: Awaitable[object]) -> str:
    """The reason why a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value).reason


async def until(look: Callable[[], object], wanted: object) -> None:
    """Waits until a look shows what is wanted."""
    async with asyncio.timeout(20):
        while look() != wanted:
            await asyncio.sleep(0.02)


def id_of(name: str) -> UUID:
    """The id of a resource name."""
    return UUID(name.partition("/")[2])


@asynccontextmanager
async def opened_ward(
    start_role: StartRole,
    identities: Identities,
    database: DatabaseSettings,
    keyring: Path,
    folder: Path,
    clock: FrozenClock,
    *,
    limits: tuple[int, int] = (5, 40),
    delay: timedelta = timedelta(0),
    identity: str = "127.0.0.1:1",
    sms: SmsSettings | None = None,
) -> AsyncIterator[Ward]:
    """Starts the role and the app."""
    client = ECKey.generate_key("P-256")
    key = folder / "client.jwk"
    key.write_text(json.dumps(client.as_dict(private=True)), "utf-8")
    jwks = folder / "jwks.json"
    ports = Ports()
    app = IdAppNotices(identities, ports.reserve(), clock, client)
    jwks.write_text(json.dumps(app.issuer.jwks), "utf-8")
    settings = Settings(
        server=identities.server_settings("consent"),
        database=database,
        telemetry=TelemetrySettings(),
        ciba=CibaSettings(f"https://{app.address}/citizen", jwks, identities.pki.authority, CLIENT, key),
        keyring=keyring,
        identity_address=identity,
        signing_address="127.0.0.1:1",
        records_address="127.0.0.1:1",
        feed=FollowSettings(silence_seconds=30.0),
        notices=NoticeSettings(delay=delay),
        sms=sms or SmsSettings(),
        emergency=EmergencySettings(practitioner_limit=limits[0], facility_limit=limits[1]),
    )
    await app.up()
    try:
        async with start_role("consent", partial(compose, clock=clock), settings) as running:
            yield Ward(running, clock, app, database, keyring)
    finally:
        await app.down()
        ports.release()
