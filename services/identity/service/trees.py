"""Entries that answer together: held against others, read as one person, and asked whether two of them may become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.identity.crosscheck import compare_births
from services.identity.errors import PersonLinkState, PersonNotFound
from services.identity.golden import GoldenPerson, etag, golden
from services.identity.model import SINGLE, Agreement, Assurance, DatePrecision, IdentifierKey, Person
from services.identity.ports import LinksMoved, Transaction

MOST_MEMBERS = 500
"""Entries that answer as one person; more is no human being but a fault of a program."""
_TICK = timedelta(microseconds=1)
_VERIFIED = frozenset({Assurance.CHIP_OR_APP, Assurance.REGISTRY})


@dataclass(frozen=True)
class Tree:
    """A root and the entries it answers for, itself first."""

    root: UUID
    persons: Mapping[UUID, Person]
    ids: Sequence[UUID]

    @property
    def top(self) -> Person:
        """The entry that answers. Raises PersonNotFound when it was erased."""
        if self.root not in self.persons:
            raise PersonNotFound("no such person")
        return self.persons[self.root]

    @property
    def etag(self) -> str:
        """Changes with every change of an entry and with every link."""
        return etag(self.top, [one for id, one in self.persons.items() if id != self.root])

    @property
    def keys(self) -> frozenset[IdentifierKey]:
        """All numbers that any of the entries holds or held."""
        return frozenset(held.key for one in self.persons.values() for held in one.identifiers)


async def held(transaction: Transaction, ids: Iterable[UUID]) -> Mapping[UUID, Tree]:
    """The trees of these entries, by the entry named, held until the transaction ends. Raises PersonNotFound, and LinksMoved when others
    linked them while this one waited.
    """
    named = sorted(set(ids))
    before = await transaction.currents(named)
    members = await transaction.members(set(before.values()))
    everybody = {id for group in members.values() for id in group}
    await transaction.hold(everybody)
    if await transaction.currents(sorted(everybody)) != {id: root for root, group in members.items() for id in group}:
        raise LinksMoved(everybody)
    if {id for group in (await transaction.members(set(members))).values() for id in group} != everybody:
        raise LinksMoved(everybody)
    persons = await transaction.persons(everybody)
    trees = {
        root: Tree(root, {id: persons[id] for id in group if id in persons}, group) for root, group in members.items()
    }
    if any(id not in persons for id in named):
        raise PersonNotFound("no such person")
    return {id: trees[before[id]] for id in named}


def fits(left: Tree, right: Tree) -> None:
    """Raises PersonLinkState when together they are more entries than one person has."""
    if len(left.ids) + len(right.ids) > MOST_MEMBERS:
        raise PersonLinkState("too many entries for one person", metadata={"allowed": str(MOST_MEMBERS)})


async def moment(transaction: Transaction, clock: Clock, ids: Iterable[UUID]) -> datetime:
    """Now, and later than every line of the history of these entries, whatever the clocks of other processes say: so the order of time is the
    order in which the entries were held.
    """
    last = await transaction.last_event_at(sorted(ids))
    now = clock()
    return now if last is None or now > last else last + _TICK


def contradict(left: Iterable[Person], right: Iterable[Person]) -> bool:
    """True where two stewards have to agree: verified numbers of a type of which a person holds one differ, or verified birth dates do."""
    one, other = [each for each in left if _verified(each)], [each for each in right if _verified(each)]
    numbers = [{key for each in side for key in _numbers(each)} for side in (one, other)]
    if any(a.kind == b.kind and a != b for a in numbers[0] for b in numbers[1]):
        return True
    return any(_births_differ(a, b) for a in one for b in other)


def _verified(person: Person) -> bool:
    return any(one.assurance in _VERIFIED and one.valid_to is None for one in person.identifiers)


def _numbers(person: Person) -> Iterable[IdentifierKey]:
    return (
        one.key
        for one in person.identifiers
        if one.assurance in _VERIFIED and one.valid_to is None and one.key.type in SINGLE
    )


def _births_differ(one: Person, other: Person) -> bool:
    left, right = one.demographics.birth, other.demographics.birth
    compared = compare_births(left, right)
    if compared is Agreement.DISAGREES or left is None or right is None:
        return compared is Agreement.DISAGREES
    # Day and month exchanged are a slip of the pen on paper; two verified dates do not slip.
    whole = left.precision is DatePrecision.DAY and right.precision is DatePrecision.DAY
    return compared is Agreement.PARTIAL and whole


async def answering(transaction: Transaction, id: UUID) -> GoldenPerson | None:
    """What answers for an entry: its root with golden values. None when there is no such entry, or it was erased."""
    root = (await transaction.currents([id]))[id]
    if root == id:
        ids = (await transaction.members([id]))[id]
        if len(ids) == 1:
            person = await transaction.person(id)
            return None if person is None else golden(person, [], await transaction.stewarded([id]))
    else:
        ids = (await transaction.members([root]))[root]
    persons = await transaction.persons(ids)
    if root not in persons or id not in persons:
        return None
    others = [persons[one] for one in ids if one in persons and one != root]
    stewarded = await transaction.stewarded(list(persons))
    return golden(persons[root], others, stewarded, None if id == root else id)
