"""Rights of the data subject: taking requests, answering them within their clocks, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument, RequestIdReused
from services.chassis.principal import Principal, PrincipalKind
from services.consent.errors import NotThePerson, SubjectRequestNotFound, SubjectRequestState
from services.consent.legal_clocks import LegalClocks
from services.consent.model import Purpose
from services.consent.service.persons import acts_for
from services.consent.subjects import (
    Eraser,
    Event,
    EventType,
    Kind,
    Part,
    Place,
    SubjectRequest,
    SubjectStore,
)
from services.consent.telemetry import SubjectInstruments

_LONGEST_ACTOR = 200
_CLAIM = 500
_OFFICERS = frozenset({PrincipalKind.ADMIN})
_FACILITY = frozenset({PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER})


class SubjectRequestService:
    """Use cases around the rights of the data subject (Law 91/2025/QH15 art. 4). Administrators answer; a facility answers what was passed to it."""

    def __init__(
        self, store: SubjectStore, eraser: Eraser, clocks: LegalClocks, instruments: SubjectInstruments, clock: Clock
    ) -> None:
        self._store = store
        self._eraser = eraser
        self._clocks = clocks
        self._instruments = instruments
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        id: UUID,
        person: UUID,
        kind: Kind,
        purpose: Purpose | None,
        documents: tuple[UUID, ...],
        text: str,
    ) -> SubjectRequest:
        """Takes a request of the person or their guardian; the clocks are those of the law of the day. Raises NotThePerson, RequestIdReused."""
        now = self._clock()
        if not await acts_for(self._store, principal, person, now):
            raise NotThePerson("only the person concerned and their guardians may do this")
        clocks = self._clocks.of_request(kind.value, now)
        made = await self._store.add_subject_request(
            SubjectRequest(
                id=id,
                person=person,
                kind=kind,
                purpose=purpose,
                documents=documents,
                created_at=now,
                actor=principal.subject[:_LONGEST_ACTOR],
                regime=clocks.regime,
                acknowledge_due_at=clocks.acknowledge_due_at,
                first_due_at=clocks.due_at,
                third_party_due_at=clocks.third_party_due_at,
                text=text,
            )
        )
        if (made.kind, made.purpose, made.documents) != (kind, purpose, documents):
            raise RequestIdReused("this request id was used for another request")
        return made

    async def get(self, principal: Principal, id: UUID) -> SubjectRequest:
        """A request, for the person, their guardian, the facility it was passed to, and administrators. Raises SubjectRequestNotFound."""
        found = await self._store.subject_request(id)
        if found is None or not (
            principal.kind in _OFFICERS
            or _is_passed_to(found, principal)
            or await acts_for(self._store, principal, found.person, self._clock())
        ):
            raise SubjectRequestNotFound("no such request")
        return found

    async def list(
        self, principal: Principal, only_open: bool, only_overdue: bool, after: Place | None, limit: int
    ) -> Sequence[SubjectRequest]:
        """A person's own, newest first; a facility's and an administrator's, what is due soonest first."""
        overdue_at = self._clock() if only_overdue else None
        if principal.kind is PrincipalKind.CITIZEN:
            own = (await self._store.entries(UUID((principal.person or "").removeprefix("persons/")))).all
            return await self._store.subject_requests(own, only_open, overdue_at, after, limit)
        facility = principal.facility if principal.kind in _FACILITY else None
        if only_open or only_overdue:
            return await self._store.subject_queue(facility, overdue_at, after, limit)
        return await self._store.all_subject_requests(facility, after, limit)

    async def acknowledge(self, principal: Principal, id: UUID) -> SubjectRequest:
        """Acknowledges receipt."""
        return await self._record(principal, id, Event(EventType.ACKNOWLEDGED, self._clock(), _actor(principal)))

    async def pass_on(self, principal: Principal, id: UUID, organization: str) -> SubjectRequest:
        """Passes a request on to a facility; the longer clock counts from the request on."""
        event = Event(EventType.PASSED, self._clock(), _actor(principal), organization)
        return await self._record(principal, id, event)

    async def refuse(self, principal: Principal, id: UUID, article: str) -> SubjectRequest:
        """Refuses with the article that allows it; an administrator, or the facility it was passed to."""
        event = Event(EventType.REFUSED, self._clock(), _actor(principal), principal.facility or "", article)
        return await self._record(principal, id, event)

    async def lift(self, principal: Principal, id: UUID) -> SubjectRequest:
        """Lifts a restriction or an objection; the person, or their guardian."""
        return await self._record(principal, id, Event(EventType.LIFTED, self._clock(), _actor(principal)))

    async def fulfil(self, principal: Principal, id: UUID, documents: tuple[UUID, ...]) -> SubjectRequest:
        """Fulfils a request as far as the law allows. A deletion destroys the keys first and is told then; what is retried finds them destroyed.
        Raises PeerUnavailable when the records role cannot be asked: nothing is said to be done then.
        """
        request = await self.get(principal, id)
        event = Event(
            EventType.FULFILLED, self._clock(), _actor(principal), principal.facility or "", documents=documents
        )
        if principal.kind in _FACILITY and request.kind is not Kind.CORRECT:
            raise SubjectRequestState("a facility fulfils corrections", metadata={"state": request.state.value})
        if (request.kind is Kind.CORRECT) != bool(documents):
            wanted = "the documents that correct" if request.kind is Kind.CORRECT else "none but for a correction"
            raise InvalidArgument.of(FieldViolation("documents", wanted, "DOCUMENTS_UNFIT"))
        if request.kind is Kind.DELETE and request.allows(EventType.FULFILLED):
            event = replace(event, parts=await self._erase(request))
        return await self._record(principal, id, event)

    async def _erase(self, request: SubjectRequest) -> tuple[Part, ...]:
        entries = sorted((await self._store.entries(request.person)).all)
        parts = [await self._eraser.erase(entries, request.documents, request.id)]
        if request.documents:
            return tuple(parts)
        for category, held in sorted((await self._store.holdings(entries)).items()):
            if held.count and held.last is not None:
                law = self._clocks.retention[category]
                parts.append(Part(category, 0, held.count, law.article, law.until(held.last)))
        return tuple(parts)

    async def _record(self, principal: Principal, id: UUID, event: Event) -> SubjectRequest:
        """Keeps an event. What happened already is not said twice; what cannot happen now is SubjectRequestState."""
        before = await self.get(principal, id)
        mine = before.organization and before.organization == principal.facility
        if principal.kind in _FACILITY and not mine:
            raise SubjectRequestNotFound("no such request")
        after = await self._store.record_subject_event(id, event)
        if after is None:
            raise SubjectRequestNotFound("no such request")
        kept = after.event(event.type)
        if kept is None or replace(kept, at=event.at, actor=event.actor, parts=event.parts) != event:
            state = {"state": after.state.value}
            raise SubjectRequestState("it does not stand where this could be done", metadata=state)
        return after

    async def watch(self) -> None:
        """Counts what is overdue, and raises an alarm for each clock that ran out, once."""
        now = self._clock()
        counted = await self._store.overdue_by_kind(now)
        self._instruments.overdue({kind.value: counted.get(kind, 0) for kind in Kind})
        while claimed := await self._store.claim_overdue(now, _CLAIM):
            for one in claimed:
                log.event("subject_request_overdue", level="error", subject_request=str(one.id), kind=one.kind.value)
            if len(claimed) < _CLAIM:
                return


def _is_passed_to(request: SubjectRequest, principal: Principal) -> bool:
    return principal.kind in _FACILITY and bool(request.organization) and request.organization == principal.facility


def _actor(principal: Principal) -> str:
    return principal.subject[:_LONGEST_ACTOR]
