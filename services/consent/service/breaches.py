"""The register of breaches of personal data, and its clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument, RequestIdReused
from services.consent.breaches import Breach, BreachStore, Event, EventType, Place, State
from services.consent.errors import BreachNotFound
from services.consent.legal_clocks import LegalClocks
from services.consent.telemetry import SubjectInstruments

_PAGE = 500


class BreachService:
    """Use cases of the register. Access is the table's: administrators write, auditors read too."""

    def __init__(self, store: BreachStore, clocks: LegalClocks, instruments: SubjectInstruments, clock: Clock) -> None:
        self._store = store
        self._clocks = clocks
        self._instruments = instruments
        self._clock = clock

    async def register(self, new: Breach, actor: str) -> Breach:
        """Registers one that was discovered; the clock counts from the discovery. Raises InvalidArgument, RequestIdReused."""
        if new.discovered_at > new.created_at:
            raise InvalidArgument.of(FieldViolation("breach.discover_time", "not in the future", "TIME_IN_THE_FUTURE"))
        first = Event(new.id, EventType.DISCOVERED, new.discovered_at, actor)
        kept = await self._store.add_breach(replace(new, events=(first,)))
        if (kept.discovered_at, kept.nature, kept.organization, kept.text) != (
            new.discovered_at,
            new.nature,
            new.organization,
            new.text,
        ):
            raise RequestIdReused("this request id was used for another request")
        return kept

    async def add_event(self, id: UUID, event: Event) -> Breach:
        """Adds what became known or was done. Raises BreachNotFound, BreachClosed, BreachNotNotified."""
        return _found(await self._store.add_breach_event(id, event))

    async def add_persons(self, id: UUID, event: Event, persons: Sequence[UUID]) -> Breach:
        """Adds persons concerned; each is told by a notice, once. Raises BreachNotFound, BreachClosed."""
        return _found(await self._store.add_breach_persons(id, event, persons))

    async def get(self, id: UUID) -> Breach:
        """A breach with its events. Raises BreachNotFound."""
        return _found(await self._store.breach(id))

    async def list(self, only_open: bool, after: Place | None, limit: int) -> Sequence[Breach]:
        """Breaches, discovered first first: what is due soonest."""
        return await self._store.breaches(only_open, after, limit)

    def due_at(self, breach: Breach) -> datetime:
        """Until when the authority must be told."""
        return self._clocks.breach_due_at(breach.discovered_at)

    def retain_until(self, breach: Breach) -> datetime:
        """When the file may be destroyed at the earliest."""
        return self._clocks.breach_retain_until(breach.discovered_at, breach.last_at)

    def overdue(self, breach: Breach) -> bool:
        """Whether the clock has run out and the authority was not told."""
        return breach.state is State.OPEN and self._clock() >= self.due_at(breach)

    async def watch(self) -> None:
        """Counts the breaches that the authority should have been told of; as long as there are some, it raises an alarm at each look."""
        overdue, after = 0, None
        while True:
            page = await self._store.breaches(True, after, _PAGE)
            overdue += sum(self.overdue(one) for one in page)
            if len(page) < _PAGE:
                break
            after = (page[-1].discovered_at, page[-1].id)
        self._instruments.breaches_overdue(overdue)
        if overdue:
            log.event("breaches_overdue", level="error", overdue=overdue)


def _found(breach: Breach | None) -> Breach:
    if breach is None:
        raise BreachNotFound("no such breach")
    return breach
