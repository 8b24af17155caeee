"""Making entries of the index: new persons and new identifiers with their lines of history, and writing them against
competition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import Unavailable
from services.chassis.principal import Principal
from services.identity.model import (
    Assurance,
    Demographics,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Provisional,
    ProvisionalKind,
)
from services.identity.normalise.identifiers import NormalIdentifier
from services.identity.ports import IdentifierTaken, LinksMoved, NewId, Store, Transaction
from services.identity.service.actors import actor

T = TypeVar("T")
_ATTEMPTS = 8

PERSON_REGISTERED = "PERSON_REGISTERED"
PROVISIONAL_REGISTERED = "PROVISIONAL_REGISTERED"
IDENTIFIER_ADDED = "IDENTIFIER_ADDED"
AUTHORITY_NOTICED = "AUTHORITY_NOTICED"


async def write(store: Store, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Runs `work` in a transaction, again when another one was first with an identifier or a link: what the other wrote is then
    found, not repeated.
    """
    moving: frozenset[UUID] = frozenset()
    for _ in range(_ATTEMPTS):
        try:
            return await store.write(partial(_holding, moving, work))
        except LinksMoved as error:
            moving |= error.entries
        except IdentifierTaken:
            continue
    raise Unavailable("others keep writing the same persons; nothing was written")


async def _holding(
    entries: frozenset[UUID], work: Callable[[Transaction], Awaitable[T]], transaction: Transaction
) -> T:
    """`work` with these entries held from the start. They only become more from one attempt to the next, so that where many link the same few
    entries each soon holds all that the others could move.
    """
    if entries:
        await transaction.hold(entries)
    return await work(transaction)


class Entries:
    """Makes the values of new entries for one actor."""

    def __init__(self, clock: Clock, new_id: NewId, principal: Principal) -> None:
        self.now: datetime = clock()
        self._new_id = new_id
        self._actor = actor(principal)

    def identifiers(
        self, normal: Iterable[NormalIdentifier], assurance: Assurance, known: Iterable[IdentifierKey] = ()
    ) -> tuple[PersonIdentifier, ...]:
        """The usable ones of `normal` whose key is not in `known`, each key once: a card and its number are one."""
        made: dict[IdentifierKey, PersonIdentifier] = {}
        skip = frozenset(known)
        for one in normal:
            if one.key is not None and one.key not in skip and one.key not in made:
                made[one.key] = PersonIdentifier(one.identifier, one.key, assurance, self.now)
        return tuple(made.values())

    def active(self, demographics: Demographics, identifiers: tuple[PersonIdentifier, ...]) -> Person:
        """A new person with national identifiers."""
        return Person(self._new_id(), PersonState.ACTIVE, demographics, identifiers, None, self.now)

    def provisional(
        self,
        facility: str,
        claimed: Demographics,
        identifiers: tuple[PersonIdentifier, ...],
        came: Provisional | None = None,
    ) -> Person:
        """A new provisional person of a facility; without `came`, one of whom only documents came."""
        came = came or Provisional(facility, ProvisionalKind.UNIDENTIFIED, self.now)
        return Person(
            self._new_id(), PersonState.PROVISIONAL, claimed, identifiers, facility, self.now, provisional=came
        )

    def registered(self, person: Person) -> PersonEvent:
        """The first line of a person's history."""
        kind = PERSON_REGISTERED if person.state is PersonState.ACTIVE else PROVISIONAL_REGISTERED
        return self.event(person.id, kind, {"identifiers": ",".join(one.key.kind for one in person.identifiers)})

    def added(self, identifiers: Mapping[UUID, tuple[PersonIdentifier, ...]]) -> tuple[PersonEvent, ...]:
        """Lines for identifiers added to persons."""
        return tuple(
            self.event(person, IDENTIFIER_ADDED, {"identifiers": ",".join(one.key.kind for one in added)})
            for person, added in identifiers.items()
        )

    def event(self, person: UUID, kind: str, detail: Mapping[str, str]) -> PersonEvent:
        """A line of a person's history; `detail` holds codes only."""
        return PersonEvent(person, self._new_id(), kind, self.now, self._actor, detail)


def local_mrn(facility: str, mrn: str) -> Identifier:
    """The patient number of a facility as an identifier."""
    return Identifier(IdentifierType.LOCAL_MRN, mrn, facility)
