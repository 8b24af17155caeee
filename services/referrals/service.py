"""The operations of the referrals role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar
from uuid import UUID

from services.chassis.call import Call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument, PeerRefused, Unavailable
from services.chassis.principal import Principal
from services.referrals.errors import AppointmentNotFound, ReadNotPermitted, ReferralNotFound
from services.referrals.model import Appointment, Referral, ReferralState, Slip, Step
from services.referrals.ports import AccessContext, Consents, Ruling, Store, Worklist
from services.referrals.relations import VIETNAM

_BATCH = 200


P = TypeVar("P", Referral, Appointment)


@dataclass(frozen=True)
class Page(Generic[P]):
    """What of a page may be shown, the decisions that allow it, how many were left out, and the last of all where there is another page."""

    shown: Sequence[P]
    decisions: Sequence[str]
    withheld: int
    end: P | None


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
        rulings = await self._consents.may_read(call, [found], "ReferralService/GetReferral", context)
        return found, _permitted(rulings[found.person])

    async def list(
        self,
        call: Call,
        incoming: bool,
        outgoing: bool,
        state: ReferralState | None,
        before: UUID | None,
        limit: int,
        person: UUID | None = None,
    ) -> Page[Referral]:
        """The calling facility's worklist, or one person's part of it, newest first, without clinical text. One of `limit` and one more are
        looked for; the one more only says that there is another page."""
        facility = call.principal.facility or ""
        persons = (await self._store.entries(person)).all if person else ()
        page = Worklist(facility, incoming, outgoing, state, self.today(), before, limit + 1, persons)
        found = await self._store.referrals(page)
        return await self._shown(call, found, limit, "ReferralService/ListReferrals")

    async def accept(self, call: Call, request: str, id: UUID, etag: str) -> tuple[Referral, str]:
        """Accepts a referral. Returns it with the decision that permits to show it, empty where there is none."""
        changed = await self._change(call.principal, id, Referral.accept, request, etag)
        return changed, await self._afterwards(call, changed, "ReferralService/AcceptReferral")

    async def register_arrival(self, call: Call, request: str, id: UUID, etag: str) -> tuple[Referral, str]:
        """Records the person's arrival. Returns it with the decision that permits to show it, empty where there is none."""
        changed = await self._change(call.principal, id, Referral.arrive, request, etag)
        return changed, await self._afterwards(call, changed, "ReferralService/RegisterArrival")

    async def _afterwards(self, call: Call, changed: Referral, method: str) -> str:
        """The decision that permits to show a referral that was changed. What was done is done, whoever is away: who arrives is received."""
        try:
            ruling = (await self._consents.may_read(call, [changed], method))[changed.person]
        except (Unavailable, PeerRefused):
            return ""
        return ruling.decision if ruling.permitted else ""

    async def _shown(self, call: Call, found: Sequence[P], limit: int, method: str) -> Page[P]:
        """The part of a page that the caller may see."""
        page = found[:limit]
        rulings = await self._consents.may_read(call, page, method) if page else {}
        shown = [one for one in page if rulings[one.person].permitted]
        decisions = tuple(dict.fromkeys(rulings[one.person].decision for one in shown))
        return Page(shown, decisions, len(page) - len(shown), page[-1] if len(found) > limit else None)

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

    async def appointment(self, call: Call, id: UUID) -> tuple[Appointment, str]:
        """An appointment with the decision that allowed it, for the issuing facility and the person."""
        principal = call.principal
        found = await self._store.appointment(id)
        ours = found is not None and (
            found.organization == principal.facility or await self._is_person(principal, found.person)
        )
        if found is None or not ours:
            raise AppointmentNotFound("no such appointment")
        rulings = await self._consents.may_read(call, [found], "AppointmentService/GetAppointment")
        return found, _permitted(rulings[found.person])

    async def appointments(
        self,
        call: Call,
        start: date | None,
        end: date | None,
        after: tuple[date, UUID] | None,
        limit: int,
        person: UUID | None = None,
    ) -> Page[Appointment]:
        """The calling facility's or person's appointments, by day; a facility's of one person only, where that is asked."""
        own = _person_of(call.principal)
        asked = own or person
        persons = (await self._store.entries(asked)).all if asked else ()
        organization = None if own else call.principal.facility or ""
        found = await self._store.appointments(
            organization=organization, persons=persons, start=start, end=end, after=after, limit=limit + 1
        )
        return await self._shown(call, found, limit, "AppointmentService/ListAppointments")

    async def _is_person(self, principal: Principal, person: UUID) -> bool:
        """Whether the caller is the person for whom this entry stands, whichever entry names them."""
        own = _person_of(principal)
        return own is not None and (own == person or own in (await self._store.entries(person)).all)


def _permitted(ruling: Ruling) -> str:
    """The decision's name. Raises ReadNotPermitted where it is a refusal."""
    if not ruling.permitted:
        raise ReadNotPermitted(
            "the decision was a refusal",
            metadata={"decision": ruling.decision, "would_change": ",".join(ruling.would_change)},
        )
    return ruling.decision


def _person_of(principal: Principal) -> UUID | None:
    return UUID(principal.person.removeprefix("persons/")) if principal.person else None


def _sent_or_addressed(principal: Principal, referral: Referral) -> bool:
    return principal.facility in (referral.source, referral.target)
