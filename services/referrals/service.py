"""The operations of the referrals role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

from services.chassis.call import Call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.referrals.errors import AppointmentNotFound, ReadNotPermitted, ReferralNotFound
from services.referrals.model import Appointment, Referral, ReferralState, Slip, Step
from services.referrals.ports import AccessContext, Consents, Store, Worklist
from services.referrals.relations import VIETNAM

_BATCH = 200


class ReferralService:
    """Use cases of referrals and appointments."""

    def __init__(self, store: Store, consents: Consents, clock: Clock) -> None:
        self._store = store
        self._consents = consents
        self._clock = clock

    def today(self) -> date:
        """The day in Viet Nam."""
        return self._clock().astimezone(VIETNAM).date()

    async def import_slips(self, slips: Sequence[Slip]) -> int:
        """Imports papers of accepted submissions, at most 200; known events are passed over."""
        if not 1 <= len(slips) <= _BATCH:
            raise InvalidArgument.of(FieldViolation("slips", f"1 to {_BATCH} slips", "COUNT_OUT_OF_RANGE"))
        return await self._store.import_slips(slips)

    async def get(self, call: Call, id: UUID, context: AccessContext) -> tuple[Referral, str]:
        """A referral with its clinical text and the decision that allowed it, for the two facilities and the person."""
        found = await self._store.referral(id)
        if found is None or not (
            _sent_or_addressed(call.principal, found) or await self._is_person(call.principal, found.person)
        ):
            raise ReferralNotFound("no such referral")
        ruling = await self._consents.may_read_referral(call, found, context)
        if not ruling.permitted:
            raise ReadNotPermitted(
                "the decision was a refusal",
                metadata={"decision": ruling.decision, "would_change": ",".join(ruling.would_change)},
            )
        return found, ruling.decision

    async def list(
        self,
        principal: Principal,
        incoming: bool,
        outgoing: bool,
        state: ReferralState | None,
        before: UUID | None,
        limit: int,
        person: UUID | None = None,
    ) -> Sequence[Referral]:
        """The calling facility's worklist, or one person's part of it, newest first, without clinical text."""
        facility = principal.facility or ""
        persons = (await self._store.entries(person)).all if person else ()
        page = Worklist(facility, incoming, outgoing, state, self.today(), before, limit, persons)
        return await self._store.referrals(page)

    async def accept(self, principal: Principal, request: str, id: UUID, etag: str) -> Referral:
        """Accepts a referral."""
        return await self._change(principal, id, Referral.accept, request, etag)

    async def register_arrival(self, principal: Principal, request: str, id: UUID, etag: str) -> Referral:
        """Records the person's arrival."""
        return await self._change(principal, id, Referral.arrive, request, etag)

    async def _change(
        self, principal: Principal, id: UUID, change: Callable[[Referral, Step], Referral], request: str, etag: str
    ) -> Referral:
        step = Step(principal.facility or "", request, etag, self._clock(), self.today())

        def apply(found: Referral) -> Referral:
            if not _sent_or_addressed(principal, found):
                raise ReferralNotFound("no such referral")
            return change(found, step)

        changed = await self._store.change(id, apply)
        if changed is None:
            raise ReferralNotFound("no such referral")
        return changed

    async def appointment(self, principal: Principal, id: UUID) -> Appointment:
        """An appointment, for the issuing facility and the person."""
        found = await self._store.appointment(id)
        ours = found is not None and (
            found.organization == principal.facility or await self._is_person(principal, found.person)
        )
        if found is None or not ours:
            raise AppointmentNotFound("no such appointment")
        return found

    async def appointments(
        self,
        principal: Principal,
        start: date | None,
        end: date | None,
        after: tuple[date, UUID] | None,
        limit: int,
        person: UUID | None = None,
    ) -> Sequence[Appointment]:
        """The calling facility's or person's appointments, by day; a facility's of one person only, where that is asked."""
        own = _person_of(principal)
        asked = own or person
        persons = (await self._store.entries(asked)).all if asked else ()
        organization = None if own else principal.facility or ""
        return await self._store.appointments(
            organization=organization, persons=persons, start=start, end=end, after=after, limit=limit
        )

    async def _is_person(self, principal: Principal, person: UUID) -> bool:
        """Whether the caller is the person for whom this entry stands, whichever entry names them."""
        own = _person_of(principal)
        return own is not None and (own == person or own in (await self._store.entries(person)).all)


def _person_of(principal: Principal) -> UUID | None:
    return UUID(principal.person.removeprefix("persons/")) if principal.person else None


def _sent_or_addressed(principal: Principal, referral: Referral) -> bool:
    return principal.facility in (referral.source, referral.target)
