"""Checking in at a kiosk with a card, the app, or what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from services.chassis.errors import PeerUnavailable
from services.identity.app_assertion import TYPE, AppAssertions
from services.identity.check_ins import KeptCheckIn
from services.identity.disclosure import Evidence, Ground, Ruling, Wanted
from services.identity.errors import AppAssertionInvalid, CardCodeUnreadable
from services.identity.model import Assurance, BirthDate, Demographics, Identifier, IdentifierType, Outcome, Query, Sex
from services.identity.service import CheckInService, Gate, WaitingItem
from services.identity.service.check_in import RECORD_NOT_CHANGED, CheckInMethod, read_card
from tests.unit.identity.conftest import CLINIC, HOSPITAL, NOW, Operations
from tests.unit.identity.test_filing import HOA, file, said

ISSUER, AUDIENCE = "https://app.test", "lienthong-check-in"
NUMBER = "001185012345"
CODE = f"{NUMBER}|012345678|Nguyễn Thị Hoà|02031985|Nữ|Số 1, Ba Đình, Hà Nội|10052021"
KEY = ECKey.generate_key("P-256", {"kid": "app", "use": "sig", "alg": "ES256"})
OTHER = ECKey.generate_key("P-256", {"kid": "app", "use": "sig", "alg": "ES256"})


@dataclass
class Scripted:
    """What the other roles would say; None for a role that is down."""

    requests: list[WaitingItem] | None = field(default_factory=list)
    asked: list[tuple[str, UUID]] = field(default_factory=list)

    async def consent_requests(self, person: UUID) -> Sequence[WaitingItem]:
        self.asked.append(("consent_requests", person))
        if self.requests is None:
            raise PeerUnavailable("consent")
        return self.requests

    async def appointments(self, person: UUID, day: date) -> Sequence[WaitingItem]:
        self.asked.append((f"appointments {day}", person))
        return [WaitingItem("appointments/1", None, "ISSUED")]

    async def referrals(self, person: UUID) -> Sequence[WaitingItem]:
        self.asked.append(("referrals", person))
        return [WaitingItem("referrals/1", NOW, "SENT")]


@dataclass
class DecisionPoint:
    """`CheckIns` and `Decisions`, as a script."""

    told: list[KeptCheckIn] = field(default_factory=list)
    asked: list[Wanted] = field(default_factory=list)
    deaf: bool = False
    away: bool = False
    refuses: bool = False

    async def tell(self, check_ins: Sequence[KeptCheckIn]) -> None:
        if self.deaf or self.away:
            raise PeerUnavailable("consent")
        self.told += check_ins

    async def decide(self, method: str, wanted: Sequence[Wanted]) -> Sequence[Ruling]:
        if self.away:
            raise PeerUnavailable("consent")
        assert method == "lienthong.identity.v1.CheckInService/CheckIn"
        self.asked += wanted
        return [Ruling("decisions/1", permitted=not self.refuses) for _ in wanted]


@dataclass
class Kiosk:
    operations: Operations
    waiting: Scripted
    service: CheckInService
    decisions: DecisionPoint


@pytest.fixture
def kiosk(operations: Operations) -> Kiosk:
    keys, waiting = KeySet([KEY]), Scripted()
    assertions = AppAssertions(ISSUER, AUDIENCE, keys, operations.clock)
    service = CheckInService(
        operations.store,
        operations.clock,
        operations.persons,
        operations.updates,
        waiting,
        assertions,
        decisions := DecisionPoint(),
        Gate(decisions),
    )
    return Kiosk(operations, waiting, service, decisions)


def asserted(key: ECKey = KEY, typ: str = TYPE, **changes: Any) -> str:
    begin = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": begin,
        "exp": begin + 300,
        "jti": "a1",
        "acr": "http://eidas.europa.eu/LoA/substantial",
        "citizen_number": NUMBER,
        "name": "Nguyễn Thị Hoà",
        "birthdate": "1985-03-02",
        "gender": "female",
    } | changes
    kept = {name: one for name, one in claims.items() if one is not None}
    return jwt.encode({"alg": "ES256", "typ": typ, "kid": "app"}, kept, key, algorithms=["ES256"])


async def known(operations: Operations, demographics: Demographics = HOA) -> UUID:
    (filing,) = await file(
        operations, said(Identifier(IdentifierType.CITIZEN_ID, NUMBER), demographics=demographics, facility="79002")
    )
    return filing.person


async def test_a_card_leads_to_the_person_and_to_what_waits(kiosk: Kiosk) -> None:
    person = await known(kiosk.operations)
    kiosk.waiting.requests = [WaitingItem("consentRequests/1", NOW, "PENDING")]
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    assert (answer.method, answer.assurance) == (CheckInMethod.CITIZEN_CARD_CODE, Assurance.CARD_CODE)
    assert (answer.resolution.outcome, answer.resolution.person) == (Outcome.MATCH, person)
    assert [one.name for one in answer.consent_requests] == ["consentRequests/1"]
    assert [one.name for one in (*answer.appointments, *answer.referrals)] == ["appointments/1", "referrals/1"]
    day = NOW.astimezone(UTC) + timedelta(hours=7)
    assert (f"appointments {day.date()}", person) in kiosk.waiting.asked
    assert answer.unavailable == ()


async def test_a_check_in_is_told_and_shows_why_what_waits_may_be_said(kiosk: Kiosk) -> None:
    person = await known(kiosk.operations)
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    (told,) = kiosk.decisions.told
    assert (told.person, told.facility, told.at, told.name) == (person, HOSPITAL.facility, NOW, answer.check_in)
    assert kiosk.decisions.asked == [Wanted(person, Ground.TREATMENT, (Evidence("CHECK_IN", answer.check_in),))]
    assert answer.decision == "decisions/1"
    # Again on the same day it is the same check-in; at another facility, or on the next day, another.
    assert (await kiosk.service.by_code(HOSPITAL, CODE)).check_in == answer.check_in
    assert (await kiosk.service.by_code(CLINIC, CODE)).check_in != answer.check_in
    kiosk.operations.clock.advance(timedelta(days=1))
    assert (await kiosk.service.by_code(HOSPITAL, CODE)).check_in != answer.check_in


async def test_what_cannot_be_told_is_kept_and_the_answer_says_so(kiosk: Kiosk) -> None:
    await known(kiosk.operations)
    kiosk.decisions.deaf = True
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    assert answer.unavailable == (("check_in", "PEER_UNAVAILABLE"),)
    assert answer.decision == "decisions/1"
    assert len(answer.referrals) == 1
    assert [f"checkIns/{id}" for id in kiosk.operations.store.untold] == [answer.check_in]


@pytest.mark.parametrize(("away", "reason"), [(True, "PEER_UNAVAILABLE"), (False, "READ_NOT_PERMITTED")])
async def test_without_a_permission_nothing_is_said_of_what_waits(kiosk: Kiosk, away: bool, reason: str) -> None:
    person = await known(kiosk.operations)
    kiosk.decisions.away, kiosk.decisions.refuses = away, True
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    # Who it is was found by what the caller sent, and is answered.
    assert answer.resolution.person == person
    assert (answer.consent_requests, answer.appointments, answer.referrals) == ((), (), ())
    assert {one for one in answer.unavailable if one[0] != "check_in"} == {
        ("consent_requests", reason),
        ("appointments", reason),
        ("referrals", reason),
    }
    assert kiosk.waiting.asked == []


async def test_a_role_that_is_down_costs_its_part_only(kiosk: Kiosk) -> None:
    person = await known(kiosk.operations)
    kiosk.waiting.requests = None
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    assert answer.unavailable == (("consent_requests", "PEER_UNAVAILABLE"),)
    assert (answer.resolution.person, len(answer.referrals)) == (person, 1)


async def test_of_whom_is_not_matched_nothing_is_asked(kiosk: Kiosk) -> None:
    answer = await kiosk.service.by_code(HOSPITAL, CODE)
    assert answer.resolution.outcome is Outcome.NONE
    assert kiosk.waiting.asked == []


async def test_what_was_typed(kiosk: Kiosk) -> None:
    person = await known(kiosk.operations)
    query = Query((Identifier(IdentifierType.CITIZEN_ID, NUMBER),), HOA)
    answer = await kiosk.service.by_query(HOSPITAL, query)
    assert (answer.method, answer.assurance, answer.resolution.person) == (
        CheckInMethod.TYPED,
        Assurance.TYPED,
        person,
    )


async def test_the_app_vouches_and_what_it_says_is_kept(kiosk: Kiosk) -> None:
    person = await known(kiosk.operations, replace(HOA, name="Nguyen Thi Hoa", sex=None))
    text = asserted()
    answer = await kiosk.service.by_assertion(HOSPITAL, text)
    assert (answer.method, answer.assurance, answer.resolution.person) == (
        CheckInMethod.APP_ASSERTION,
        Assurance.CHIP_OR_APP,
        person,
    )
    kept = await kiosk.operations.store.read(lambda transaction: transaction.person(person))
    assert kept is not None
    assert (kept.demographics.name, kept.demographics.sex) == ("Nguyễn Thị Hoà", Sex.FEMALE)
    # The facility may repeat its call; to another one the same assertion is somebody else's.
    again = await kiosk.service.by_assertion(HOSPITAL, text)
    assert again.resolution.person == person
    with pytest.raises(AppAssertionInvalid) as refused:
        await kiosk.service.by_assertion(CLINIC, text)
    assert refused.value.metadata == {"cause": "REPLAYED"}


async def test_what_the_app_says_against_the_person_is_not_kept(kiosk: Kiosk) -> None:
    await known(kiosk.operations)
    answer = await kiosk.service.by_assertion(HOSPITAL, asserted(name="Lê Văn Cường", birthdate="1970-01-05"))
    assert answer.resolution.outcome is Outcome.REVIEW
    assert RECORD_NOT_CHANGED not in answer.warnings


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (asserted(OTHER), "SIGNATURE_INVALID"),
        ("not a token", "SIGNATURE_INVALID"),
        ("a.b.c", "SIGNATURE_INVALID"),
        (asserted(typ="JWT"), "TYPE_INVALID"),
        (asserted(iss="https://other.test"), "NOT_FOR_HERE"),
        (asserted(aud="somebody-else"), "NOT_FOR_HERE"),
        (asserted(exp=int(NOW.timestamp()) - 31), "EXPIRED"),
        (asserted(exp=int(NOW.timestamp()) + 301), "EXPIRED"),
        (asserted(iat=int(NOW.timestamp()) + 31), "NOT_YET_VALID"),
        (asserted(iat="now"), "CLAIM_MISSING"),
        (asserted(exp=None), "CLAIM_MISSING"),
        (asserted(acr="http://eidas.europa.eu/LoA/low"), "LEVEL_TOO_LOW"),
        (asserted(acr=None), "LEVEL_TOO_LOW"),
        (asserted(jti=None), "CLAIM_MISSING"),
        (asserted(citizen_number=""), "CLAIM_MISSING"),
        (asserted(birthdate="02/03/1985"), "CLAIM_INVALID"),
        ("x" * 8_193, "TOO_LONG"),
    ],
)
async def test_assertions_that_do_not_hold(kiosk: Kiosk, text: str, cause: str) -> None:
    with pytest.raises(AppAssertionInvalid) as refused:
        await kiosk.service.by_assertion(HOSPITAL, text)
    assert refused.value.metadata == {"cause": cause}
    assert NUMBER not in str(refused.value)


async def test_without_a_provider_no_assertion_holds(kiosk: Kiosk) -> None:
    of = kiosk.operations
    service = CheckInService(
        of.store, of.clock, of.persons, of.updates, kiosk.waiting, None, kiosk.decisions, Gate(kiosk.decisions)
    )
    with pytest.raises(AppAssertionInvalid) as refused:
        await service.by_assertion(HOSPITAL, asserted())
    assert refused.value.metadata == {"cause": "NOT_CONFIGURED"}


def test_a_card_is_a_query() -> None:
    card = read_card(CODE)
    assert card.query == Query(
        (Identifier(IdentifierType.CITIZEN_ID, NUMBER), Identifier(IdentifierType.OLD_ID, "012345678")),
        Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985, 3, 2), sex=Sex.FEMALE),
    )
    assert card.issued == date(2021, 5, 10)
    hexed = "Nguyễn Thị Hoà".encode().hex()
    assert read_card(f"DN4010123456789|{hexed}|1985|2|-|79 - 024|01/01/2020|-").query == Query(
        (Identifier(IdentifierType.HEALTH_INSURANCE, "DN4010123456789"),),
        Demographics(name="Nguyễn Thị Hoà", birth=BirthDate(1985), sex=Sex.FEMALE),
    )


@given(st.one_of(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=12).map("|".join)))
def test_any_text_is_a_card_or_a_clear_refusal(text: str) -> None:
    try:
        read_card(text)
    except CardCodeUnreadable as error:
        assert set(error.metadata) == {"cause"}
        assert error.text == "the code is of no known card"
