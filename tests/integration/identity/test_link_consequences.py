"""To whom a wrong link has to be told: a real consent role beside a real person index, and facilities that have read."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from joserfc.jwk import ECKey
from lienthong.identity.v1 import person_link_pb2, person_link_service_pb2, person_link_service_pb2_grpc

from services.chassis.feed import FollowSettings
from services.chassis.principal import PrincipalKind
from services.chassis.settings import TelemetrySettings
from services.consent.__main__ import compose as compose_consent
from services.consent.ciba import CibaSettings
from services.consent.config import Settings as ConsentSettings
from services.identity.__main__ import compose
from services.identity.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.fixtures.registry import registered
from tests.integration.consent.test_flow import decide, grant, terms
from tests.integration.consent.test_links import DENY, PERMIT, until
from tests.integration.identity.stewards import Steward, steward
from tests.integration.identity.test_persons import TIMEOUT, reason

ONE, TWO, THREE = "001185000001", "001185000002", "001185000003"


@dataclass(frozen=True)
class Stack:
    """Both roles; each knows where the other is."""

    identity: Running
    consent: Running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def stack(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    settings: Settings,
) -> AsyncIterator[Stack]:
    key, jwks = tmp_path / "client.jwk", tmp_path / "jwks.json"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "utf-8")
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")
    # Each follows the other, so one has to have its address before it starts.
    address = f"127.0.0.1:{free_port()}"
    settings = replace(settings, consent_address=address, feed=replace(settings.feed, heartbeat_seconds=0.1))
    async with start_role("identity", compose, settings) as identity:
        consent_settings = ConsentSettings(
            server=replace(identities.server_settings("consent"), listen=address),
            database=registered(database_for("consent")),
            telemetry=TelemetrySettings(log_level="error"),
            ciba=CibaSettings("https://127.0.0.1:1", jwks, identities.pki.authority, "lienthong", key),
            keyring=keyring_file,
            identity_address=identity.address,
            signing_address="127.0.0.1:1",
            records_address="127.0.0.1:1",
            feed=FollowSettings(silence_seconds=30.0),
        )
        async with start_role("consent", compose_consent, consent_settings) as consent:
            yield Stack(identity, consent)


async def consequences(desk: Steward, name: str) -> list[person_link_pb2.LinkConsequence]:
    """All of them, one at a time."""
    request = person_link_service_pb2.ListLinkConsequencesRequest(name=name, page_size=1)
    found: list[person_link_pb2.LinkConsequence] = []
    while True:
        page = await desk.links.ListLinkConsequences(request, timeout=TIMEOUT)
        found += page.consequences
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


async def test_everybody_who_read_while_the_link_was_in_force_and_nobody_else(stack: Stack) -> None:
    async with steward(stack.identity) as desk:
        one, two, three = [await desk.register(number) for number in (ONE, TWO, THREE)]
        await grant(stack.consent, two, terms("01001"))

        async def effect(person: str = one, facility: str = "01001") -> int:
            return int((await decide(stack.consent, person, facility)).effect)

        await until(lambda: effect(two), PERMIT)
        assert await effect() == DENY
        link = await desk.link(one, two)
        await until(effect, PERMIT)
        read = await decide(stack.consent, two)
        assert await effect(one, "79002") == DENY
        # The person who answers for both is linked in turn: what is read under its name counts too.
        further = await desk.link(two, three)
        before_last = len(await consequences(desk, link.name))
        assert before_last == 2

        async def counted() -> int:
            await decide(stack.consent, three)
            return int(any(each.person == one for each in (await consequences(desk, further.name))))

        assert (await consequences(desk, further.name)) == []
        await until(lambda: effect(three), PERMIT)
        await desk.unlink(further.name)
        await desk.unlink(link.name)
        await until(effect, DENY)
        await decide(stack.consent, two)
        wrong = await consequences(desk, link.name)
        others = await consequences(desk, further.name)
        assert len(wrong) == before_last + 1
        assert {each.organization for each in wrong} == {"organizations/01001"}
        assert {each.person for each in wrong} == {one}
        assert len({each.access for each in wrong}) == len(wrong)
        assert [each.read_time.ToNanoseconds() for each in wrong] == sorted(
            each.read_time.ToNanoseconds() for each in wrong
        )
        assert read.name
        # Of the other link: what was read of `three` while `two` answered with it.
        assert [(each.access, each.person) for each in others] == [(wrong[-1].access, two)]
        proposed = [await desk.register(number, verified=True) for number in ("001185000004", "001185000005")]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await consequences(desk, (await desk.link(*proposed)).name)
        assert reason(refused.value) == "PERSON_LINK_STATE"
    async with stack.identity.as_officer(PrincipalKind.AUDITOR) as channel:
        auditor = replace(desk, links=person_link_service_pb2_grpc.PersonLinkServiceStub(channel))
        assert await consequences(auditor, link.name) == wrong


async def test_without_the_ledger_the_list_is_not_guessed(identity: Running) -> None:
    async with steward(identity) as desk:
        link = await desk.link(await desk.register(ONE), await desk.register(TWO))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await consequences(desk, link.name)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
