"""Requests answered by a code: from the kiosk's screen, or by SMS, over mTLS and PostgreSQL, with an SMS gateway beside."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from aiohttp import web
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import consent_pb2, consent_service_pb2, consent_service_pb2_grpc

from deploy.local.ports import Ports
from services.chassis.clock import FrozenClock
from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from services.consent.codes import SmsSettings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, StartRole
from tests.fixtures.person_facts import People
from tests.fixtures.registry import registered
from tests.integration.consent.test_flow import terms
from tests.integration.consent.test_minors import family
from tests.integration.consent.ward import HOSPITAL, OTHER, Ward, opened_ward

pb = consent_service_pb2
QR, SMS = consent_pb2.CONSENT_CHANNEL_KIOSK_QR, consent_pb2.CONSENT_CHANNEL_SMS_CODE
PHONE = "0912345678"


@dataclass
class SmsGateway:
    """What a provider does: takes a text for a number, once for each id."""

    sent: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    status: int = 202

    async def take(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("authorization", ""))
        if self.status == 202:
            said = await request.json()
            self.sent[said["id"]] = said
        return web.Response(status=self.status)

    def code(self) -> str:
        """The code that was sent last."""
        text = list(self.sent.values())[-1]["text"]
        return next(word for word in text.split() if word.isdigit() and len(word) == 6)


@pytest.fixture
async def gateway(identities: Identities) -> AsyncIterator[tuple[SmsGateway, str]]:
    ports, sms = Ports(), SmsGateway()
    address = ports.reserve()
    pair = identities.pki.server("sms")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.private_key)
    application = web.Application()
    application.add_routes([web.post("/messages", sms.take)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    host, _, port = address.partition(":")
    await web.TCPSite(runner, host, int(port), ssl_context=context).start()
    yield sms, f"https://{address}/messages"
    await runner.cleanup()
    ports.release()


@pytest.fixture
async def desk(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
    people: People,
    gateway: tuple[SmsGateway, str],
) -> AsyncIterator[Ward]:
    """A ward that can send SMS."""
    token = tmp_path / "sms.token"
    token.write_text("secret\n")
    sms = SmsSettings(gateway[1], identities.pki.authority, token)
    open_ = partial(opened_ward, sms=sms, identity=people.address)
    database = registered(database_for("consent"))
    async with open_(start_role, identities, database, keyring_file, tmp_path, frozen_clock) as ward:
        yield ward


@asynccontextmanager
async def stub_of(ward: Ward, who: str) -> AsyncIterator[consent_service_pb2_grpc.ConsentServiceStub]:
    """As a facility by code, or a citizen."""
    identities, facility = ward.running.identities, None if who.startswith("persons/") else who
    kind = PrincipalKind.CITIZEN if facility is None else PrincipalKind.FACILITY
    token = identities.token(kind, facility=facility or HOSPITAL, person=who, at=ward.clock())
    metadata = identities.metadata(token, facility)
    async with identities.channel(ward.running.address, "consent", "gateway", metadata) as channel:
        yield consent_service_pb2_grpc.ConsentServiceStub(channel)


async def ask(ward: Ward, person: str, channel: int, request_id: str = "") -> pb.RequestConsentResponse:
    request = pb.RequestConsentRequest(
        request_id=request_id or str(uuid4()),
        person=person,
        terms=terms(HOSPITAL),
        channel=channel,  # type: ignore[arg-type] # a number
    )
    async with stub_of(ward, HOSPITAL) as stub:
        return await stub.RequestConsent(request, timeout=5)


async def scan(ward: Ward, person: str, name: str, code: str) -> consent_pb2.Consent:
    async with stub_of(ward, person) as stub:
        request = pb.GrantConsentRequest(request_id=str(uuid4()), consent_request=name, kiosk_code=code)
        return (await stub.GrantConsent(request, timeout=5)).consent


async def tell(ward: Ward, name: str, code: str, facility: str = HOSPITAL) -> consent_pb2.Consent:
    async with stub_of(ward, facility) as stub:
        request = pb.ConfirmConsentCodeRequest(request_id=str(uuid4()), consent_request=name, code=code)
        return (await stub.ConfirmConsentCode(request, timeout=5)).consents[0]


async def refused(call: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.reason, dict(error.metadata)


async def test_what_the_kiosk_shows_is_scanned_once_within_five_minutes(ward: Ward, people: People) -> None:
    person, id = f"persons/{uuid7()}", str(uuid4())
    asked = await ask(ward, person, QR, id)
    assert len(asked.kiosk_code) == 32
    again = await ask(ward, person, QR, id)
    assert (again.consent_request.name, again.kiosk_code) == (asked.consent_request.name, "")
    name = asked.consent_request.name
    other = await ask(ward, person, QR)
    for wrong in ("", "x" * 32, other.kiosk_code):
        assert (await refused(scan(ward, person, name, wrong)))[0] == "CODE_WRONG"
    assert (await refused(scan(ward, f"persons/{uuid7()}", name, asked.kiosk_code)))[0] == "CONSENT_REQUEST_NOT_FOUND"
    granted = await scan(ward, person, name, asked.kiosk_code)
    assert (granted.state, granted.evidence.channel) == (consent_pb2.CONSENT_STATE_ACTIVE, QR)
    kept = ward.rows(
        "SELECT count(*) FROM consent_request WHERE encode(code_hash, 'escape') LIKE %s", "%" + asked.kiosk_code + "%"
    )
    assert kept == [(0,)]
    ward.clock.advance(timedelta(minutes=5))
    assert (await refused(scan(ward, person, other.consent_request.name, other.kiosk_code)))[
        0
    ] == "CONSENT_REQUEST_CLOSED"


async def test_a_code_for_a_request_that_was_not_put_by_code_is_wrong(ward: Ward, people: People) -> None:
    person = ward.app.enrol()
    asked = await ask(ward, person, consent_pb2.CONSENT_CHANNEL_NATIONAL_ID_APP)
    assert asked.kiosk_code == ""
    assert (await refused(scan(ward, person, asked.consent_request.name, "x")))[0] == "CODE_WRONG"
    assert (await refused(tell(ward, asked.consent_request.name, "123456")))[0] == "CONSENT_REQUEST_NOT_FOUND"


async def test_a_code_goes_to_the_registered_phone_and_grants_when_it_is_told(
    desk: Ward, people: People, gateway: tuple[SmsGateway, str]
) -> None:
    person = f"persons/{uuid7()}"
    people.phones[person] = PHONE
    asked = await ask(desk, person, SMS)
    assert asked.kiosk_code == ""
    (message,) = gateway[0].sent.values()
    assert (message["to"], gateway[0].tokens) == (PHONE, ["Bearer secret"])
    assert HOSPITAL not in message["text"]
    assert asked.consent_request.binding_message in message["text"]
    name = asked.consent_request.name
    assert (await refused(tell(desk, name, gateway[0].code(), OTHER)))[0] == "CONSENT_REQUEST_NOT_FOUND"
    granted = await tell(desk, name, gateway[0].code())
    assert (granted.state, granted.evidence.channel) == (consent_pb2.CONSENT_STATE_ACTIVE, SMS)
    assert (await tell(desk, name, gateway[0].code())).name == granted.name


async def test_five_wrong_codes_close_the_request_also_when_they_come_together(
    desk: Ward, people: People, gateway: tuple[SmsGateway, str]
) -> None:
    person = f"persons/{uuid7()}"
    people.phones[person] = PHONE
    name = (await ask(desk, person, SMS)).consent_request.name
    right = gateway[0].code()
    wrong = f"{(int(right) + 1) % 10**6:06}"
    assert await refused(tell(desk, name, wrong)) == ("CODE_WRONG", {"attempts_left": "4"})
    found = await asyncio.gather(*(refused(tell(desk, name, wrong)) for _ in range(6)))
    left = sorted(metadata["attempts_left"] for reason, metadata in found if reason == "CODE_WRONG")
    assert left[-4:] == ["0", "1", "2", "3"] or left == ["0", "0", "0", "1", "2", "3"]
    assert (await refused(tell(desk, name, right)))[0] == "CONSENT_REQUEST_CLOSED"


async def test_a_code_by_sms_lapses_after_five_minutes(
    desk: Ward, people: People, gateway: tuple[SmsGateway, str]
) -> None:
    person = f"persons/{uuid7()}"
    people.phones[person] = PHONE
    name = (await ask(desk, person, SMS)).consent_request.name
    desk.clock.advance(timedelta(minutes=5))
    assert (await refused(tell(desk, name, gateway[0].code())))[0] == "CONSENT_REQUEST_CLOSED"


async def test_for_a_child_the_guardians_phone_is_asked(
    desk: Ward, people: People, gateway: tuple[SmsGateway, str]
) -> None:
    child, mother = await family(desk, people, 5)
    people.phones |= {child: "0900000000", mother: PHONE}
    name = (await ask(desk, child, SMS)).consent_request.name
    assert [one["to"] for one in gateway[0].sent.values()] == [PHONE]
    granted = await tell(desk, name, gateway[0].code())
    assert [one.person for one in granted.agreements] == [mother]


async def test_who_cannot_be_sent_a_code_is_not_asked(
    desk: Ward, people: People, gateway: tuple[SmsGateway, str]
) -> None:
    person = f"persons/{uuid7()}"
    assert await refused(ask(desk, person, SMS)) == ("CHANNEL_NOT_ALLOWED", {"why": "NO_PHONE"})
    people.phones[person] = PHONE
    gateway[0].status = 503
    assert (await refused(ask(desk, person, SMS)))[0] == "SMS_UNAVAILABLE"
    assert desk.rows("SELECT count(*) FROM consent_request") == [(0,)]


async def test_without_a_gateway_nobody_is_sent_a_code(ward: Ward, people: People) -> None:
    person = f"persons/{uuid7()}"
    people.phones[person] = PHONE
    assert await refused(ask(ward, person, SMS)) == ("CHANNEL_NOT_ALLOWED", {"why": "NOT_SET_UP"})
    assert (await refused(ask(ward, person, consent_pb2.CONSENT_CHANNEL_SIGNED_PAPER)))[0] == "FIELD_INVALID"
