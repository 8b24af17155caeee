"""The issuers and the ID app, used by the real verifier of tokens and by the consent role's own CIBA client."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from lienthong.agent.tokens import ClientCredentials, TokenRefused

from deploy.local.tokens import thumbprint
from services.chassis.clock import system_clock
from services.chassis.principal import IssuerKeys, Principal, PrincipalKind, TokenNotBound, TokenVerifier
from services.consent.ciba import AUTH_REQ_ID, CibaApp, CibaSettings
from services.consent.errors import IdAppUnavailable
from services.consent.model import ALWAYS, ConsentRequest, Kind, Purpose, RequestState, Terms
from services.consent.ports import AppApproved, AppPending, AppRefused
from tests.fixtures.identities import Identities
from tests.integration.local.outside_bench import CLIENT, OPERATORS, PERSON, PIN, World, outside

pytestmark = pytest.mark.asyncio(loop_scope="module")
CREDENTIALS = {"grant_type": "client_credentials"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with outside(identities, tmp_path_factory.mktemp("outside")) as running:
        yield running


async def verified(world: World, issuer: str, token: str, certificate: str | None, *kinds: PrincipalKind) -> Principal:
    """What the services make of a token, with the keys that the issuer publishes."""
    document = await world.get(f"/{issuer}/.well-known/openid-configuration")
    assert document["issuer"] == f"{world.settings.base}/{issuer}"
    keys = KeySet.import_key_set(await world.get(document["jwks_uri"].removeprefix(world.settings.base)))
    verifier = TokenVerifier({document["issuer"]: IssuerKeys(keys, frozenset(kinds))}, "lienthong", system_clock)
    return verifier.verify(token, certificate)


def certificate_hash(world: World, code: str) -> str:
    pem = world.identities.workload(f"facility/{code}").certificate.read_bytes()
    return base64.urlsafe_b64decode(thumbprint(pem) + "=").hex()


async def test_facility_gets_a_token_bound_to_its_certificate(world: World) -> None:
    pair = world.identities.workload("facility/01001")
    arguments: dict[str, Any] = {
        "authority": world.identities.pki.authority,
        "certificate": pair.certificate,
        "private_key": pair.private_key,
    }
    endpoint = f"{world.settings.base}/facility/token"
    kinds = (PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER)
    token = await asyncio.to_thread(ClientCredentials(endpoint, **arguments))
    system = await verified(world, "facility", token, certificate_hash(world, "01001"), *kinds)
    assert (system.kind, system.facility) == (PrincipalKind.FACILITY, "01001")
    with pytest.raises(TokenNotBound):
        await verified(world, "facility", token, certificate_hash(world, "79001"), *kinds)
    doctor_token = await asyncio.to_thread(ClientCredentials(endpoint, **arguments, licence="000001/BYT-CCHN"))
    doctor = await verified(world, "facility", doctor_token, certificate_hash(world, "01001"), *kinds)
    assert (doctor.kind, doctor.licence, doctor.role) == (PrincipalKind.PRACTITIONER, "000001/BYT-CCHN", "doctor")
    wrong = ClientCredentials(endpoint, **arguments, licence="1", role="emperor")
    with pytest.raises(TokenRefused):
        await asyncio.to_thread(wrong)


@pytest.mark.parametrize("workload", ["", "records", "gateway"])
async def test_no_facility_certificate_means_no_facility_token(world: World, workload: str) -> None:
    assert await world.post("/facility/token", CREDENTIALS, workload=workload) == (401, {"error": "invalid_client"})


async def test_operators_come_by_secret_and_never_as_a_facility(world: World) -> None:
    form = CREDENTIALS | {"client_id": "auditor", "client_secret": OPERATORS["auditor"][0]}
    status, answer = await world.post("/operator/token", form)
    assert (status, answer["expires_in"]) == (200, 600)
    principal = await verified(world, "operator", answer["access_token"], None, PrincipalKind.AUDITOR)
    assert principal.kind is PrincipalKind.AUDITOR
    for wrong in ({"client_secret": "x"}, {"client_id": "nobody"}, {"client_secret": ""}):
        assert (await world.post("/operator/token", form | wrong))[0] == 401
    assert (await world.post("/operator/token", {"grant_type": "password"}))[0] == 400
    assert (await world.post("/facility/token", form))[0] == 401


async def test_citizen_logs_in_with_a_pin(world: World) -> None:
    form = {"grant_type": "password", "username": PERSON, "password": PIN}
    status, answer = await world.post("/citizen/token", form)
    assert status == 200
    principal = await verified(world, "citizen", answer["access_token"], None, PrincipalKind.CITIZEN)
    assert principal.person == PERSON
    for wrong in ({"password": "000000"}, {"username": "persons/2"}):
        assert await world.post("/citizen/token", form | wrong) == (400, {"error": "invalid_grant"})


async def test_accounts_are_opened_by_the_operator_only(world: World) -> None:
    form = {"client_secret": "guess", "account": "persons/3", "pin": "1"}
    assert (await world.post("/citizen/accounts", form))[0] == 401


def request_of(person: str = PERSON, seconds: int = 60, handle: str = "") -> ConsentRequest:
    now = datetime.now(UTC)
    return ConsentRequest(
        id=uuid4(),
        person=UUID(person.removeprefix("persons/")),
        organization="01001",
        terms=Terms(Purpose.TREATMENT, frozenset({Kind.PRESCRIPTION}), ALWAYS, timedelta(days=7), "01001"),
        binding_message="LT-1234",
        created_at=now,
        expires_at=now + timedelta(seconds=seconds),
        app_request=handle,
    )


@pytest_asyncio.fixture(loop_scope="module")
async def app(world: World) -> AsyncIterator[CibaApp]:
    """The consent role's own client."""
    authority = world.identities.pki.authority
    settings = CibaSettings(f"{world.settings.base}/citizen", world.citizen_jwks, authority, CLIENT, world.client_key)
    async with CibaApp(settings, system_clock) as client:
        yield client


async def asked(app: CibaApp, request: ConsentRequest) -> ConsentRequest:
    return replace(request, app_request=await app.ask(request))


async def answer(world: World, handle: str, what: str, pin: str = PIN) -> tuple[int, dict[str, Any]]:
    return await world.post(f"/citizen/requests/{handle}/{what}", {"pin": pin})


async def test_person_sees_and_approves_what_was_asked(world: World, app: CibaApp) -> None:
    request = await asked(app, request_of())
    assert await app.poll(request) == AppPending()
    shown = await world.get("/citizen/requests", {"x-account": PERSON, "x-pin": PIN})
    (seen,) = [one for one in shown if one["id"] == request.app_request]
    assert seen["message"] == "LT-1234"
    assert seen["details"][0]["organization"] == "organizations/01001"
    assert (await answer(world, request.app_request, "approve", pin="000000"))[0] == 401
    assert await answer(world, request.app_request, "approve") == (200, {"answer": "approve"})
    # The first answer counts.
    assert await answer(world, request.app_request, "deny") == (200, {"answer": "approve"})
    approved = await app.poll(request)
    assert isinstance(approved, AppApproved)
    assert approved.acr
    keys = KeySet.import_key_set(await world.get("/citizen/jwks"))
    claims = jwt.decode(approved.assertion, keys, algorithms=["ES256"]).claims
    assert claims[AUTH_REQ_ID] == request.app_request
    assert abs(claims["auth_time"] - datetime.now(UTC).timestamp()) < 30


async def test_assertion_for_other_details_does_not_count(world: World, app: CibaApp) -> None:
    request = await asked(app, request_of())
    await answer(world, request.app_request, "approve")
    longer = replace(request, terms=replace(request.terms, duration=timedelta(days=3650)))
    with pytest.raises(IdAppUnavailable):
        await app.poll(longer)


async def test_denial_expiry_and_unknown_requests(world: World, app: CibaApp) -> None:
    denied = await asked(app, request_of())
    await answer(world, denied.app_request, "deny")
    assert await app.poll(denied) == AppRefused(RequestState.DENIED)
    lapsed = await asked(app, request_of(seconds=1))
    await asyncio.sleep(1.2)
    assert await app.poll(lapsed) == AppRefused(RequestState.EXPIRED)
    assert (await answer(world, lapsed.app_request, "approve"))[0] == 404
    assert await app.poll(request_of(handle="nothing")) == AppRefused(RequestState.EXPIRED)
    with pytest.raises(IdAppUnavailable):
        await app.ask(request_of("persons/00000000-0000-7000-8000-00000000dead"))


def assertion(world: World, endpoint: str, **changes: Any) -> dict[str, str]:
    key = ECKey.import_key(json.loads(world.client_key.read_text("utf-8")))
    now = int(datetime.now(UTC).timestamp())
    audience = f"{world.settings.base}/citizen/{endpoint}"
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": audience, "jti": str(uuid4()), "iat": now, "exp": now + 60} | changes
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256"}, claims, key),
    }


async def test_client_authenticates_each_time_anew(world: World) -> None:
    form = {"scope": "openid", "login_hint": PERSON, "authorization_details": "[]"}
    good = assertion(world, "bc-authorize")
    assert (await world.post("/citizen/bc-authorize", form | good))[0] == 200
    for wrong in (
        good,  # a second time
        {},
        assertion(world, "token"),
        assertion(world, "bc-authorize", iss="another"),
        assertion(world, "bc-authorize", exp=1),
        assertion(world, "bc-authorize", exp=4102444800),
        assertion(world, "bc-authorize", jti=""),
    ):
        assert await world.post("/citizen/bc-authorize", form | wrong) == (401, {"error": "invalid_client"})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"login_hint": "persons/none"}, "unknown_user_id"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"authorization_details": "{"}, "invalid_request"),
        ({"authorization_details": '["x"]'}, "invalid_request"),
        ({"requested_expiry": "soon"}, "invalid_request"),
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"binding_message": "x" * 1000}, "invalid_binding_message"),
    ],
)
async def test_malformed_requests_are_refused_by_name(world: World, change: dict[str, str], error: str) -> None:
    form = {"scope": "openid", "login_hint": PERSON} | change | assertion(world, "bc-authorize")
    assert await world.post("/citizen/bc-authorize", form) == (400, {"error": error})


async def test_polling_too_fast_is_slowed_down(world: World) -> None:
    form = {"scope": "openid", "login_hint": PERSON} | assertion(world, "bc-authorize")
    _, opened = await world.post("/citizen/bc-authorize", form)
    poll = {"grant_type": "urn:openid:params:grant-type:ciba", "auth_req_id": opened["auth_req_id"]}
    errors = [(await world.post("/citizen/token", poll | assertion(world, "token")))[1]["error"] for _ in range(2)]
    assert errors == ["authorization_pending", "slow_down"]


async def test_page_shows_open_requests_escaped(world: World) -> None:
    form = {"scope": "openid", "login_hint": PERSON, "binding_message": "<script>"} | assertion(world, "bc-authorize")
    await world.post("/citizen/bc-authorize", form)
    page = await world.get("/citizen/")
    assert re.search(r"&lt;script&gt;", page)
    assert "<script>" not in page
