"""Newborns: an entry of their own at once, found again by mother, day of birth and order; never the mother's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.identity.errors import NewbornConflict, PersonNotFound
from services.identity.model import (
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
from services.identity.service.actors import actor, require_active
from services.identity.service.entries import PROVISIONAL_REGISTERED, Entries, write
from services.identity.service.persons import existing
from services.identity.service.provisional import NOTICE_AFTER, shown, time_violations, unregistered
from services.identity.service.wristbands import issued, local_numbers, printed

HANOI = timezone(timedelta(hours=7))
"""The day of a birth is that of the clock on the wall (Vietnam has had UTC+7 since 1975)."""
MOST_CHILDREN = 10
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Birth:
    """One child of a birth; `mother` None for a foundling, `temporary` empty to have the identifier issued."""

    mother: UUID | None
    at: datetime = field(repr=False)
    order: int
    sex: Sex
    temporary: str = ""
    mrn: str = field(default="", repr=False)

    @property
    def day(self) -> BirthDate:
        """The date of birth."""
        local = self.at.astimezone(HANOI)
        return BirthDate(local.year, local.month, local.day)


class NewbornService:
    """Use cases around newborns."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def register(self, principal: Principal, birth: Birth, request_id: str, digest: bytes) -> tuple[Person, str]:
        """The newborn's entry and its temporary identifier in print. The same child again, in whatever call, is the
        same entry. Raises PersonNotFound for a mother whom the facility may not know of, NewbornConflict when the
        order is another child's, or a number the mother's or anybody else's.
        """
        facility = principal.facility or ""
        asked = local_numbers(facility, birth.temporary, birth.mrn)
        self._check(birth)

        async def work(transaction: Transaction) -> Person:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                entries = Entries(self._clock, self._new_id, principal)
                return str(await self._register(transaction, entries, facility, birth, asked)).encode()

            scope = f"{actor(principal)}/RegisterNewborn"
            return await existing(
                transaction, UUID((await transaction.once(scope, request_id, digest, first_time)).decode())
            )

        person = await write(self._store, work)
        return shown(principal, person, asked), printed(person, facility)

    def _check(self, birth: Birth) -> None:
        wrong = time_violations("birth_time", birth.at, self._clock())
        if not 1 <= birth.order <= MOST_CHILDREN:
            wrong.append(FieldViolation("birth_order", f"1 to {MOST_CHILDREN}", "BIRTH_ORDER_OUT_OF_RANGE"))
        if wrong:
            raise InvalidArgument.of(*wrong)

    async def _register(
        self, transaction: Transaction, entries: Entries, facility: str, birth: Birth, asked: Asked
    ) -> UUID:
        mothers = await _mothers(transaction, facility, birth.mother)
        # Two calls for one child wait for each other here: no index can know that a date is the same day.
        if mothers:
            await transaction.lock(mothers[0])
        holders = {key: holder for holder in await transaction.holders(asked.keys) for key in holder.matched}
        child = await _sibling(transaction, mothers, birth)
        if child is not None:
            return await self._again(transaction, entries, facility, birth, asked, child, holders.values())
        came = Provisional(
            facility=facility,
            kind=ProvisionalKind.NEWBORN,
            arrival_at=entries.now,
            notice_due_at=None if mothers else entries.now + NOTICE_AFTER,
            mother=mothers[0] if mothers else None,
            birth_at=birth.at,
            birth_order=birth.order,
        )
        if holders:
            return await _registered_by_number(transaction, entries, came, birth, mothers, holders.values())
        numbers = entries.identifiers(asked.identifiers, Assurance.TYPED)
        if not birth.temporary:
            numbers = issued(entries, facility) + numbers
        person = entries.provisional(facility, Demographics(birth=birth.day, sex=birth.sex), numbers, came)
        await transaction.add_persons([person], [entries.registered(person)])
        return person.id

    async def _again(
        self,
        transaction: Transaction,
        entries: Entries,
        facility: str,
        birth: Birth,
        asked: Asked,
        child: Person,
        holders: Collection[Holder],
    ) -> UUID:
        """The entry of a child that is known. The facility's numbers must be those it gave before, as twins that both say they are the first
        must not become one; another facility adds its own.
        """
        known = {held.key for held in child.identifiers if held.identifier.assigner == facility}
        if any(holder.person != child.id for holder in holders) or not _same(birth, child):
            raise NewbornConflict("another child of the mother has this order")
        new = entries.identifiers(asked.identifiers, Assurance.TYPED, known)
        types = {key.type for key in known}
        if any(one.key.type in types for one in new):
            raise NewbornConflict("the child of this order has another number at the facility")
        if not birth.temporary and IdentifierType.TEMPORARY not in types:
            new = issued(entries, facility) + new
        if new:
            added = {child.id: new}
            await transaction.add_identifiers(added, entries.added(added))
        return child.id


async def _mothers(transaction: Transaction, facility: str, named: UUID | None) -> list[UUID]:
    """The entries that are the mother, the one that answers for her first; none for a foundling."""
    if named is None:
        return []
    mother = await transaction.person(named)
    if mother is None or (mother.state is PersonState.PROVISIONAL and mother.facility != facility):
        raise PersonNotFound("no such mother")
    root = (await transaction.currents([named]))[named]
    return list((await transaction.members([root]))[root])


async def _sibling(transaction: Transaction, mothers: Collection[UUID], birth: Birth) -> Person | None:
    """The child of this mother with this order and day of birth."""
    if not mothers:
        return None
    for child in await transaction.children(mothers, birth.order):
        came = child.provisional
        if came is not None and came.birth_at is not None and replace(birth, at=came.birth_at).day == birth.day:
            return await existing(transaction, child.id)
    return None


def _same(birth: Birth, child: Person) -> bool:
    came = child.provisional
    if came is None or came.birth_at is None or abs(came.birth_at - birth.at) >= _MINUTE:
        return False
    sexes = {birth.sex, child.demographics.sex}
    return len(sexes) == 1 or Sex.UNDETERMINED in sexes


async def _registered_by_number(
    transaction: Transaction,
    entries: Entries,
    came: Provisional,
    birth: Birth,
    mothers: Collection[UUID],
    holders: Collection[Holder],
) -> UUID:
    """A document may come under the wristband before the registration that was made offline; then its entry becomes the newborn's. Any other
    holder of the numbers is somebody else, most often the mother under whose patient number the child was typed in.
    """
    persons = {holder.person for holder in holders}
    banded = any(key.type is IdentifierType.TEMPORARY for holder in holders for key in holder.matched)
    if len(persons) > 1 or persons & set(mothers) or not banded:
        raise NewbornConflict("a number of the child is somebody else's")
    person = await existing(transaction, persons.pop())
    if person.state is not PersonState.PROVISIONAL or unregistered(person) is None:
        raise NewbornConflict("a number of the child is somebody else's")
    await transaction.come(
        person.id, came, [entries.event(person.id, PROVISIONAL_REGISTERED, {"kind": came.kind.value})]
    )
    return person.id
