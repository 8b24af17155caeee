"""Provisional persons: who is registered without a confirmed identity, their work lists, and the notice to the authority.

Law 15/2023 on examination and treatment, articles 2.10, 72 and 73: an unidentified patient is told of to the People's Committee of the commune
after 48 hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.errors import NotProvisional, OrganizationNotFound, PersonNotFound
from services.identity.model import (
    LOCAL,
    Assurance,
    BirthDate,
    Demographics,
    Holder,
    IdentifierType,
    Person,
    PersonState,
    Provisional,
    ProvisionalKind,
    Sex,
)
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import Asked
from services.identity.service.actors import AT_FACILITY, actor, require_active
from services.identity.service.entries import AUTHORITY_NOTICED, PROVISIONAL_REGISTERED, Entries, write
from services.identity.service.persons import birth_violations, existing, may_see
from services.identity.service.views import masked, without_demographics
from services.identity.service.wristbands import issued, local_numbers, own_alias, printed, take_alias

OLDEST = 130
NOTICE_AFTER = timedelta(hours=48)
SKEW = timedelta(minutes=10)
"""How far ahead the clock of a facility may be."""
_EARLIEST = timedelta(days=366)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Arrival:
    """How somebody came whose identity is not confirmed; `temporary` and `alias` as issued offline, empty to have them issued; `at` None for
    now.
    """

    sex: Sex
    kind: ProvisionalKind = ProvisionalKind.UNIDENTIFIED
    estimated_age: int | None = None
    claimed: Demographics = field(default=Demographics(), repr=False)
    temporary: str = ""
    alias: str = ""
    mrn: str = field(default="", repr=False)
    at: datetime | None = None


@dataclass(frozen=True)
class Line:
    """A line of the work list: a provisional person without demographics, and the whole hours it has been waiting."""

    person: Person
    came: Provisional
    age_hours: int


@dataclass(frozen=True)
class Wanted:
    """Which part of the work list: of one facility (None: of all), waiting for at least so many hours, those only whose commune had to be told
    and was not.
    """

    facility: str | None = None
    min_age_hours: int = 0
    notice_due: bool = False


class ProvisionalService:
    """Use cases around provisional persons."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def register(
        self, principal: Principal, arrival: Arrival, request_id: str, digest: bytes
    ) -> tuple[Person, str]:
        """The provisional person and the temporary identifier in print. An identifier issued offline is adopted; one
        that is known, like a patient number that is known, gives the person registered first. Calls nobody.
        """
        facility = principal.facility or ""
        asked = local_numbers(facility, arrival.temporary, arrival.mrn)
        came = self._came(facility, arrival)
        claimed = replace(arrival.claimed, birth=self._birth(arrival), sex=arrival.sex)

        async def work(transaction: Transaction) -> Person:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                entries = Entries(self._clock, self._new_id, principal)
                return str(await self._register(transaction, entries, came, asked, claimed)).encode()

            scope = f"{actor(principal)}/RegisterProvisionalPerson"
            return await existing(
                transaction, UUID((await transaction.once(scope, request_id, digest, first_time)).decode())
            )

        person = await write(self._store, work)
        return shown(principal, person, asked), printed(person, facility)

    async def _register(
        self, transaction: Transaction, entries: Entries, came: Provisional, asked: Asked, claimed: Demographics
    ) -> UUID:
        holders = {key: holder for holder in await transaction.holders(asked.keys) for key in holder.matched}
        identifiers = entries.identifiers(asked.identifiers, Assurance.TYPED)
        # The wristband outranks the patient number: it was put on at the bedside.
        holder = next((holders[one.key] for one in identifiers if one.key in holders), None)
        banded = any(one.key.type is IdentifierType.TEMPORARY for one in identifiers)
        if not banded and (holder is None or IdentifierType.TEMPORARY not in holder.held):
            identifiers = issued(entries, came.facility) + identifiers
        if holder is None:
            person = entries.provisional(came.facility, claimed, identifiers, came)
            alias = await take_alias(transaction, came.facility, came.alias, person.id, entries.now)
            person = replace(person, provisional=replace(came, alias=alias))
            await transaction.add_persons([person], [entries.registered(person)])
            return person.id
        new = tuple(one for one in identifiers if one.key not in holders)
        if new:
            added = {holder.person: new}
            await transaction.add_identifiers(added, entries.added(added))
        await self._complete(transaction, entries, came, holder)
        return holder.person

    async def _complete(self, transaction: Transaction, entries: Entries, came: Provisional, holder: Holder) -> None:
        """A document may come before the registration that was made offline; then the entry learns how the person came."""
        person = await existing(transaction, holder.person)
        if person.state is not PersonState.PROVISIONAL or unregistered(person) is None:
            return
        alias = await take_alias(transaction, came.facility, came.alias, person.id, entries.now)
        event = entries.event(person.id, PROVISIONAL_REGISTERED, {"kind": came.kind.value})
        await transaction.come(person.id, replace(came, alias=alias), [event])

    def _came(self, facility: str, arrival: Arrival) -> Provisional:
        now = self._clock()
        at = arrival.at or now
        wrong: list[FieldViolation] = birth_violations(arrival.claimed, "claimed.birth_date", now.date())
        if arrival.estimated_age is not None and not 0 <= arrival.estimated_age <= OLDEST:
            wrong.append(FieldViolation("estimated_age", f"0 to {OLDEST}", "AGE_OUT_OF_RANGE"))
        if arrival.kind is ProvisionalKind.NEWBORN:
            wrong.append(
                FieldViolation("kind", "UNIDENTIFIED or EMERGENCY; RegisterNewborn for newborns", "KIND_NEWBORN")
            )
        wrong += time_violations("arrival_time", at, now)
        if wrong:
            raise InvalidArgument.of(*wrong)
        return Provisional(facility, arrival.kind, at, own_alias(arrival.alias), at + NOTICE_AFTER)

    def _birth(self, arrival: Arrival) -> BirthDate | None:
        if arrival.claimed.birth is not None or arrival.estimated_age is None:
            return arrival.claimed.birth
        return BirthDate(self._clock().year - arrival.estimated_age, estimated=True)

    async def list(
        self, principal: Principal, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Line]:
        """A page of the work list, oldest first. A facility sees its own, and of others learns nothing."""
        if not 0 <= wanted.min_age_hours <= 24 * 36_500:
            raise InvalidArgument.of(FieldViolation("min_age_hours", "0 to 876000", "AGE_OUT_OF_RANGE"))
        facility = wanted.facility
        if principal.kind in AT_FACILITY:
            if facility not in {None, principal.facility}:
                raise OrganizationNotFound("no such facility")
            facility = principal.facility or ""
        now = self._clock()
        arrived_until = now - wanted.min_age_hours * _HOUR if wanted.min_age_hours else None

        async def work(transaction: Transaction) -> Sequence[Person]:
            await require_active(transaction, principal)
            due = now if wanted.notice_due else None
            return await transaction.waiting(facility, arrived_until, due, after, limit)

        return [line(person, now) for person in await self._store.read(work)]

    async def note_notice(
        self, principal: Principal, id: UUID, at: datetime | None, request_id: str, digest: bytes
    ) -> Line:
        """Keeps when the authority of the commune was told, and returns the line of the work list. What was noted
        first stays. Raises PersonNotFound for persons of other facilities, NotProvisional for identified ones.
        """
        now = self._clock()

        async def work(transaction: Transaction) -> Person:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                await self._note(transaction, Entries(self._clock, self._new_id, principal), principal, id, at)
                return b""

            await transaction.once(f"{actor(principal)}/RecordAuthorityNotice", request_id, digest, first_time)
            return await own_entry(transaction, principal, id)

        return line(await self._store.write(work), now)

    async def _note(
        self, transaction: Transaction, entries: Entries, principal: Principal, id: UUID, at: datetime | None
    ) -> None:
        person = await own_entry(transaction, principal, id)
        came = person.provisional
        if person.state is not PersonState.PROVISIONAL or came is None:
            raise NotProvisional("the person is identified")
        told = at or entries.now
        wrong = time_violations("notice_time", told, entries.now)
        if told < came.arrival_at - SKEW:
            wrong.append(FieldViolation("notice_time", "not before the arrival", "NOTICE_BEFORE_ARRIVAL"))
        if wrong:
            raise InvalidArgument.of(*wrong)
        await transaction.note_notice(id, told, [entries.event(id, AUTHORITY_NOTICED, {})])


def unregistered(person: Person) -> Provisional | None:
    """How the person came, when only documents have come and nobody has registered the person: no alias, no newborn."""
    came = person.provisional
    return came if came is not None and not came.alias and came.kind is ProvisionalKind.UNIDENTIFIED else None


def line(person: Person, now: datetime) -> Line:
    """The line of the work list: no demographics, and of the numbers those that facilities gave out themselves."""
    came = person.provisional
    if came is None:
        raise NotProvisional("the person was never provisional")
    own = tuple(held for held in person.identifiers if held.identifier.type in LOCAL)
    shown = replace(person, demographics=Demographics(), identifiers=own)
    return Line(shown, came, max(0, (now - came.arrival_at) // _HOUR))


def shown(principal: Principal, person: Person, asked: Asked) -> Person:
    """What the registering facility sees: its provisional person, and of somebody who is identified no more than it has sent."""
    return masked(person if may_see(principal, person) else without_demographics(person, asked.keys))


async def own_entry(transaction: Transaction, principal: Principal, id: UUID) -> Person:
    """An entry that the facility registered as provisional, whatever became of it since. Raises PersonNotFound."""
    person = await transaction.person(id)
    if person is None or person.provisional is None or person.provisional.facility != principal.facility:
        raise PersonNotFound("no such person")
    return person


def time_violations(field: str, at: datetime, now: datetime) -> list[FieldViolation]:
    """What is wrong with a time at which something happened at a facility."""
    if at > now + SKEW:
        return [FieldViolation(field, "not in the future", "TIME_IN_FUTURE")]
    if at < now - _EARLIEST:
        return [FieldViolation(field, "within the last 366 days", "TIME_TOO_EARLY")]
    return []
