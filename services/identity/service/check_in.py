"""Checking in at a kiosk: what was shown, who that is, and what waits for that person at this facility today."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from lienthong.client import card_code

from services.chassis.clock import Clock
from services.chassis.errors import PeerRefused, RequestIdReused, Unavailable
from services.chassis.principal import Principal
from services.identity.app_assertion import AppAssertions
from services.identity.check_ins import CheckIns, KeptCheckIn
from services.identity.disclosure import Evidence
from services.identity.errors import (
    AppAssertionInvalid,
    CardCodeUnreadable,
    IdentificationConflict,
    IdentifierConflict,
    ReadNotPermitted,
)
from services.identity.model import (
    Assurance,
    BirthDate,
    Demographics,
    Identifier,
    IdentifierType,
    Outcome,
    Query,
    Resolution,
    Sex,
)
from services.identity.ports import Store, Transaction
from services.identity.service.actors import actor
from services.identity.service.gate import Gate
from services.identity.service.newborns import HANOI
from services.identity.service.persons import PersonService
from services.identity.service.updates import Update, UpdateService

PARTS = ("consent_requests", "appointments", "referrals")
"""What waits for a person, by field of the answer."""
RECORD_NOT_CHANGED = "RECORD_NOT_CHANGED"
"""Warning: what the app said agrees with the person, and was not kept as it contradicts something better known."""
_SEXES = {card_code.CardSex.MALE: Sex.MALE, card_code.CardSex.FEMALE: Sex.FEMALE}


class CheckInMethod(Enum):
    """What was shown."""

    CITIZEN_CARD_CODE = "CITIZEN_CARD_CODE"
    INSURANCE_CARD_CODE = "INSURANCE_CARD_CODE"
    APP_ASSERTION = "APP_ASSERTION"
    TYPED = "TYPED"


@dataclass(frozen=True)
class Card:
    """What a card's code says, as a query; `warnings` name the fields that could not be read."""

    kind: card_code.CardKind
    query: Query = field(repr=False)
    issued: date | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class WaitingItem:
    """Something that waits for a person: resource name, time and state, nothing of its content."""

    name: str
    at: datetime | None
    state: str


class WaitingItems(Protocol):
    """What the other roles have for a person who stands at a facility. Each raises PeerUnavailable or PeerRefused."""

    async def consent_requests(self, person: UUID) -> Sequence[WaitingItem]:
        """Requests of this facility that are not answered."""

    async def appointments(self, person: UUID, day: date) -> Sequence[WaitingItem]:
        """Appointments of this facility on a day."""

    async def referrals(self, person: UUID) -> Sequence[WaitingItem]:
        """Referrals to this facility under which the person may still arrive."""


@dataclass(frozen=True)
class CheckedIn:
    """The answer at the kiosk. `unavailable` are parts with the reason why they are not there; the others hold all the same."""

    method: CheckInMethod
    resolution: Resolution
    assurance: Assurance
    consent_requests: Sequence[WaitingItem] = ()
    appointments: Sequence[WaitingItem] = ()
    referrals: Sequence[WaitingItem] = ()
    unavailable: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    decision: str = ""
    check_in: str = ""


def read_card(code: str) -> Card:
    """What a card's code says. Raises CardCodeUnreadable, which never repeats the code."""
    try:
        read = card_code.parse(code)
    except card_code.CardCodeUnreadable as error:
        raise CardCodeUnreadable(error.reason) from None
    citizen = read.kind is card_code.CardKind.CITIZEN_CARD
    identifiers = [
        Identifier(IdentifierType.CITIZEN_ID if citizen else IdentifierType.HEALTH_INSURANCE, read.number),
        *([Identifier(IdentifierType.OLD_ID, read.old_number)] if read.old_number else []),
    ]
    said = Demographics(
        name=read.name,
        birth=BirthDate(*read.birth) if read.birth else None,
        sex=_SEXES.get(read.sex) if read.sex else None,
    )
    return Card(read.kind, Query(tuple(identifiers), said), read.issue_date, read.warnings)


class CheckInService:
    """Use cases at a kiosk."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        persons: PersonService,
        updates: UpdateService,
        waiting: WaitingItems,
        assertions: AppAssertions | None,
        decisions: CheckIns,
        gate: Gate,
    ) -> None:
        self._store = store
        self._clock = clock
        self._persons = persons
        self._updates = updates
        self._waiting = waiting
        self._assertions = assertions
        self._decisions = decisions
        self._gate = gate

    async def by_code(self, principal: Principal, code: str) -> CheckedIn:
        """With the code of a card. It is read, not verified: neither card's code is signed. Raises CardCodeUnreadable."""
        card = read_card(code)
        citizen = card.kind is card_code.CardKind.CITIZEN_CARD
        method = CheckInMethod.CITIZEN_CARD_CODE if citizen else CheckInMethod.INSURANCE_CARD_CODE
        return await self._answer(principal, method, card.query, Assurance.CARD_CODE, card.warnings)

    async def by_query(self, principal: Principal, query: Query) -> CheckedIn:
        """With what somebody typed."""
        return await self._answer(principal, CheckInMethod.TYPED, query, Assurance.TYPED, ())

    async def by_assertion(self, principal: Principal, text: str) -> CheckedIn:
        """With an assertion of the national ID app; what it says is kept as said by the app, for the person who is found. A facility may repeat its
        call; from anybody else the same assertion is refused. Raises AppAssertionInvalid.
        """
        if self._assertions is None:
            raise AppAssertionInvalid("NOT_CONFIGURED")
        said = self._assertions.verify(text)

        async def once(transaction: Transaction) -> None:
            async def first_time() -> bytes:
                return b""

            try:
                await transaction.once("CheckIn/APP_ASSERTION", said.id, _digest(principal, text), first_time)
            except RequestIdReused:
                raise AppAssertionInvalid("REPLAYED") from None

        await self._store.write(once)
        query = Query((said.identifier,), said.demographics)
        answer = await self._answer(principal, CheckInMethod.APP_ASSERTION, query, Assurance.CHIP_OR_APP, ())
        if answer.resolution.person is None or answer.resolution.entry is None:
            return answer
        update = Update(
            answer.resolution.entry,
            demographics=said.demographics,
            add=(said.identifier,),
            assurance=Assurance.CHIP_OR_APP,
        )
        try:
            await self._updates.update(principal, update, said.id, _digest(principal, text), vouched=True)
        except (IdentifierConflict, IdentificationConflict):
            return _with(answer, RECORD_NOT_CHANGED)
        return answer

    async def _answer(
        self, principal: Principal, method: CheckInMethod, query: Query, assurance: Assurance, warnings: tuple[str, ...]
    ) -> CheckedIn:
        (resolution,) = await self._persons.resolve(principal, [query])
        answer = CheckedIn(method, resolution, assurance, warnings=warnings)
        if resolution.outcome is not Outcome.MATCH or resolution.person is None:
            return answer
        person, now = resolution.person, self._clock()
        today = now.astimezone(HANOI).date()
        kept, untold = await self._keep(KeptCheckIn.of(person, principal.facility or "", now, today))
        answer = replace(answer, check_in=kept.name, unavailable=untold)
        evidence = (Evidence("CHECK_IN", kept.name),)
        try:
            (ruling,) = await self._gate.rulings(principal, "CheckInService/CheckIn", [(person, evidence)])
        except (Unavailable, PeerRefused) as error:
            return replace(answer, unavailable=(*untold, *((part, error.reason) for part in PARTS)))
        if not ruling.permitted:
            return replace(
                answer,
                unavailable=(*untold, *((part, ReadNotPermitted.reason) for part in PARTS)),
                decision=ruling.decision,
            )
        parts: dict[str, Callable[[], Awaitable[Sequence[WaitingItem]]]] = {
            "consent_requests": lambda: self._waiting.consent_requests(person),
            "appointments": lambda: self._waiting.appointments(person, today),
            "referrals": lambda: self._waiting.referrals(person),
        }
        found = dict(zip(parts, await asyncio.gather(*map(_part, parts.values())), strict=True))
        missing = tuple((name, one) for name, one in found.items() if isinstance(one, str))
        items = {name: one for name, one in found.items() if not isinstance(one, str)}
        return replace(
            answer,
            unavailable=(*untold, *missing),
            decision=ruling.decision,
            consent_requests=items.get("consent_requests", ()),
            appointments=items.get("appointments", ()),
            referrals=items.get("referrals", ()),
        )

    async def _keep(self, check_in: KeptCheckIn) -> tuple[KeptCheckIn, tuple[tuple[str, str], ...]]:
        """Tells the decision point, so that the first read after this one finds it told, and keeps the check-in; what could not be told is kept
        with it and told later. Returns it with why it is not told yet."""
        untold: tuple[tuple[str, str], ...] = ()
        try:
            await self._decisions.tell([check_in])
        except (Unavailable, PeerRefused) as error:
            untold = (("check_in", error.reason),)
        await self._store.write(lambda transaction: transaction.keep_check_in(check_in, told=not untold))
        return check_in, untold


async def _part(ask: Callable[[], Awaitable[Sequence[WaitingItem]]]) -> Sequence[WaitingItem] | str:
    """The items, or the reason why they are not there: who stands at the kiosk is answered with the rest."""
    try:
        return tuple(await ask())
    except (Unavailable, PeerRefused) as error:
        return error.reason


def _with(answer: CheckedIn, warning: str) -> CheckedIn:
    return replace(answer, warnings=(*answer.warnings, warning))


def _digest(principal: Principal, text: str) -> bytes:
    return hashlib.sha256(f"{actor(principal)}\n{text}".encode()).digest()
