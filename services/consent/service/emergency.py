"""Emergency access: opening, confirming, widening, ending and reviewing it, and what is counted of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument, RequestIdReused
from services.chassis.principal import LEEWAY, Principal, PrincipalKind, PrincipalNotAllowed
from services.consent.emergency import EmergencyAccess, Event, EventType, Outcome, Reason, State
from services.consent.emergency_store import Counts, EmergencySettings, EmergencyStore, Place, ReviewBacklog
from services.consent.errors import (
    EmergencyAccessEnded,
    EmergencyAccessNotFound,
    EmergencyAccessUnconfirmed,
    ReviewClosed,
    SecondFactorRequired,
)
from services.consent.telemetry import EmergencyInstruments


class EmergencyService:
    """Every state is computed for the moment of the call; what happens is an event, kept with the notice to the person."""

    def __init__(
        self, store: EmergencyStore, settings: EmergencySettings, instruments: EmergencyInstruments, clock: Clock
    ) -> None:
        self._store = store
        self._settings = settings
        self._instruments = instruments
        self._clock = clock

    async def open(
        self, principal: Principal, person: UUID, reason: Reason, text: str, id: UUID
    ) -> tuple[EmergencyAccess, bool]:
        """Opens an access to the summary; also whether this is beyond the usual number. Care is never blocked by a number."""
        organization, licence = _practitioner(principal)
        wanted = EmergencyAccess(id, person, organization, licence, reason, self._clock(), text=text)
        opened = await self._store.open_emergency(
            wanted, _event(EventType.OPENED, principal, wanted.opened_at), self._settings.limit_window
        )
        access = opened.access
        # A person who was linked meanwhile is kept under another entry.
        if (access.reason, access.text) != (reason, text) and access.text:
            raise RequestIdReused("this request id was used for another request")
        over = [
            (scope, count, limit)
            for scope, count, limit in (
                ("PRACTITIONER", opened.by_practitioner, self._settings.practitioner_limit),
                ("FACILITY", opened.by_facility, self._settings.facility_limit),
            )
            if count > limit
        ]
        if not opened.first:
            return access, bool(over)
        self._instruments.opened(organization)
        for scope, count, limit in over:
            self._instruments.unusual(organization, scope)
            log.event(
                "emergency_access_unusual",
                level="warning",
                scope=scope,
                organization=organization,
                opened=count,
                limit=limit,
            )
        return access, bool(over)

    async def confirm(self, principal: Principal, id: UUID) -> EmergencyAccess:
        """Confirms an access. Confirming what is confirmed changes nothing."""
        access = await self._of_facility(principal, id)
        _, licence = _practitioner(principal)
        if access.confirmed_at is not None:
            return access
        now = self._clock()
        if access.state(now) is State.ENDED:
            raise EmergencyAccessEnded("the access has ended")
        if licence == access.licence and not self._fresh_second_factor(principal, now):
            raise SecondFactorRequired(
                "another practitioner, or the same one with a fresh second factor",
                metadata={
                    "acr_values": " ".join(self._settings.strong_acr),
                    "max_age": str(int(self._settings.fresh.total_seconds())),
                },
            )
        return await self._record(access, _event(EventType.CONFIRMED, principal, now))

    async def widen(self, principal: Principal, id: UUID, text: str, life_saving: bool) -> EmergencyAccess:
        """Widens an access beyond the summary, by who opened it. Who did so without asserting that sensitive classes are needed to save life may
        do so later; the first reason given counts for each of the two."""
        access = await self._of_facility(principal, id)
        if principal.licence != access.licence:
            raise PrincipalNotAllowed("only the practitioner who opened it may widen it")
        now = self._clock()
        state = access.state(now)
        if state is State.ENDED:
            raise EmergencyAccessEnded("the access has ended")
        if state is State.UNCONFIRMED:
            raise EmergencyAccessUnconfirmed("the access is not confirmed")
        type = EventType.WIDENED if access.widened_at is None else EventType.LIFE_SAVING
        if type is EventType.LIFE_SAVING and (access.life_saving or not life_saving):
            return access
        recorded = await self._record(access, _event(type, principal, now, text=text, life_saving=life_saving))
        if life_saving and not recorded.life_saving:
            # A widening without it was made at the same moment.
            again = _event(EventType.LIFE_SAVING, principal, now, text=text, life_saving=True)
            return await self._record(access, again)
        return recorded

    async def end(self, principal: Principal, id: UUID) -> EmergencyAccess:
        """Ends an access. Ending what has ended changes nothing."""
        access = await self._of_facility(principal, id)
        now = self._clock()
        if access.state(now) is State.ENDED:
            return access
        return await self._record(access, _event(EventType.ENDED, principal, now))

    async def get(self, principal: Principal, id: UUID) -> EmergencyAccess:
        """An access, for the facility, the person, their guardians, and auditors."""
        found = await self._store.emergency(id)
        if found is None or not await self._may_see(principal, found):
            raise EmergencyAccessNotFound("no such emergency access")
        return found

    async def list(
        self, principal: Principal, unreviewed: bool, organization: str | None, place: Place | None, limit: int
    ) -> Sequence[EmergencyAccess]:
        """An auditor's queue, longest due first and without those of the facility where the auditor works; a facility's or a citizen's own,
        newest first."""
        if principal.kind is PrincipalKind.AUDITOR:
            return await self._store.emergency_queue(unreviewed, organization, principal.employer or None, place, limit)
        if organization is not None:
            raise InvalidArgument.of(FieldViolation("organization", "only auditors may ask by facility", "NOT_ALLOWED"))
        if principal.facility is not None:
            return await self._store.emergencies_at(principal.facility, unreviewed, place, limit)
        if unreviewed:
            raise InvalidArgument.of(FieldViolation("unreviewed", "only auditors and facilities", "NOT_ALLOWED"))
        if not principal.person:
            raise PrincipalNotAllowed("only facilities, citizens and auditors may list emergency accesses")
        person = UUID(principal.person.removeprefix("persons/"))
        return await self._store.emergencies_of((await self._store.entries(person)).all, place, limit)

    async def review(self, principal: Principal, id: UUID, outcome: Outcome, finding: str) -> EmergencyAccess:
        """Keeps what an auditor found, who is nobody of that facility. The first finding counts; the same again gives the first answer."""
        access = await self._store.emergency(id)
        if access is None:
            raise EmergencyAccessNotFound("no such emergency access")
        if principal.employer == access.organization:
            raise PrincipalNotAllowed("nobody reviews an access of the facility where they work")
        event = _event(EventType.REVIEWED, principal, self._clock(), text=finding, outcome=outcome)
        recorded = await self._store.record_emergency_event(id, event)
        if recorded is None:
            raise EmergencyAccessNotFound("no such emergency access")
        kept = recorded.event
        if not recorded.first and (kept.actor, kept.outcome, kept.text) != (event.actor, outcome, finding):
            raise ReviewClosed("the access was reviewed before")
        if recorded.first:
            self._instruments.reviewed(access.organization, outcome.value)
        return recorded.access

    async def statistics(
        self,
        at: datetime,
        days: int,
        organization: str | None,
        after: tuple[int, str, str] | None,
        limit: int,
    ) -> Sequence[Counts]:
        """Counts of the days before a time, most accesses first."""
        return await self._store.emergency_statistics(at - timedelta(days=days), at, organization, after, limit)

    async def backlog(self) -> ReviewBacklog:
        """What waits to be reviewed."""
        return await self._store.review_backlog(self._clock())

    async def restore_reviews(self) -> int:
        """Makes sure that everything nobody has reviewed is in the queue; returns how many were not, which somebody took out by hand."""
        restored = await self._store.restore_reviews()
        if restored:
            log.event("emergency_reviews_restored", level="error", restored=restored)
        return restored

    def _fresh_second_factor(self, principal: Principal, now: datetime) -> bool:
        strong = principal.acr in self._settings.strong_acr or not principal.amr.isdisjoint(self._settings.strong_amr)
        at = principal.authenticated_at
        return strong and at is not None and -LEEWAY <= now - at <= self._settings.fresh

    async def _record(self, access: EmergencyAccess, event: Event) -> EmergencyAccess:
        recorded = await self._store.record_emergency_event(access.id, event)
        if recorded is None:
            raise EmergencyAccessNotFound("no such emergency access")
        if recorded.first:
            self._instruments.event(access.organization, event.type.value)
        return recorded.access

    async def _of_facility(self, principal: Principal, id: UUID) -> EmergencyAccess:
        found = await self._store.emergency(id)
        if found is None or found.organization != principal.facility:
            raise EmergencyAccessNotFound("no such emergency access")
        return found

    async def _may_see(self, principal: Principal, access: EmergencyAccess) -> bool:
        if principal.kind is PrincipalKind.AUDITOR or principal.facility == access.organization:
            return True
        if principal.kind is not PrincipalKind.CITIZEN or not principal.person:
            return False
        caller = UUID(principal.person.removeprefix("persons/"))
        entries = (await self._store.entries(access.person)).all
        return caller in entries or access.person in await self._store.wards(caller, self._clock())


def _practitioner(principal: Principal) -> tuple[str, str]:
    """Facility and licence of who acts; the access table lets nobody else in."""
    if principal.kind is not PrincipalKind.PRACTITIONER or not principal.facility or not principal.licence:
        raise PrincipalNotAllowed("only a practitioner with a licence may do this")
    return principal.facility, principal.licence


def _event(
    type: EventType,
    principal: Principal,
    at: datetime,
    *,
    text: str = "",
    life_saving: bool = False,
    outcome: Outcome | None = None,
) -> Event:
    return Event(
        type,
        at,
        principal.subject,
        principal.facility or "",
        principal.licence or "",
        life_saving=life_saving,
        outcome=outcome,
        acr=principal.acr or " ".join(sorted(principal.amr)),
        text=text,
    )
