"""The golden record: what is best known of a human being, as a pure function of the entries that answer together.

Nothing of it is stored, so that it is right again as soon as a link is taken back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any
from uuid import UUID

from services.identity.model import Assurance, Demographics, Person, PersonState
from services.identity.normalise.names import name as normal_name


class GoldenSource(IntEnum):
    """Why a value was chosen, most trusted first."""

    REGISTRY = 1
    CHIP_OR_APP = 2
    STEWARD = 3
    NEWEST = 4
    CLAIMED = 5


@dataclass(frozen=True)
class GoldenValue:
    """Where one value comes from."""

    field: str
    person: UUID
    source: GoldenSource


@dataclass(frozen=True)
class GoldenPerson:
    """The person that a root answers with: golden values, the numbers of all entries, and the entries that answer with it. `redirected_from` is
    the entry that was asked for, when it was another one. `person.id` is the root.
    """

    person: Person
    etag: str
    superseded: tuple[UUID, ...] = ()
    values: tuple[GoldenValue, ...] = ()
    redirected_from: UUID | None = None


FIELDS: tuple[tuple[str, Callable[[Demographics], Any]], ...] = (
    ("name", lambda one: one.name),
    ("birth", lambda one: one.birth),
    ("sex", lambda one: one.sex),
    ("phone", lambda one: one.phone),
    ("residence", lambda one: one.residence),
    ("mother_name", lambda one: one.mother_name),
    ("nationality", lambda one: one.nationality),
)
_WIRE = {"name": "human_name", "birth": "birth_date"}


def etag(root: Person, others: Collection[Person] = ()) -> str:
    """Changes with every change of an entry that answers, and with every link; the one from before when a link is taken back."""
    if not others:
        return root.etag
    text = ",".join(f"{one.id}:{one.version}" for one in sorted((root, *others), key=lambda one: one.id))
    return f'"{root.version}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def trust(person: Person, stewarded: Collection[UUID]) -> GoldenSource:
    """How far the values of an entry are trusted. `stewarded` are entries that a steward entered."""
    assured = {held.assurance for held in person.identifiers if held.valid_to is None}
    if Assurance.REGISTRY in assured:
        return GoldenSource.REGISTRY
    if Assurance.CHIP_OR_APP in assured:
        return GoldenSource.CHIP_OR_APP
    if person.id in stewarded:
        return GoldenSource.STEWARD
    return GoldenSource.CLAIMED if person.state is PersonState.PROVISIONAL else GoldenSource.NEWEST


def golden(
    root: Person, others: Sequence[Person], stewarded: Collection[UUID] = (), redirected_from: UUID | None = None
) -> GoldenPerson:
    """What a root with these other entries answers with. `stewarded` are entries that a steward entered."""
    entries = (root, *others)
    sources = {one.id: trust(one, stewarded) for one in entries}
    chosen: dict[str, Any] = {}
    values = []
    for field, read in FIELDS:
        said = [one for one in entries if read(one.demographics) is not None]
        if not said:
            continue
        best = min(said, key=lambda one: _rank(one, field, read(one.demographics), sources))
        chosen[field] = read(best.demographics)
        values.append(GoldenValue(_WIRE.get(field, field), best.id, sources[best.id]))
    held = [one for entry in entries for one in entry.identifiers]
    if others:
        held.sort(key=lambda one: (one.valid_from, one.key.kind, one.key.value))
    dead = min((one for one in entries if one.death), key=lambda one: (sources[one.id], one.id), default=None)
    person = replace(
        root,
        demographics=Demographics(**chosen),
        identifiers=tuple(held),
        protected=any(one.protected for one in entries),
        death=dead.death if dead else None,
    )
    superseded = tuple(sorted(one.id for one in others))
    return GoldenPerson(person, etag(root, others), superseded, tuple(values), redirected_from)


def _rank(person: Person, field: str, value: Any, sources: Mapping[UUID, GoldenSource]) -> tuple[Any, ...]:
    """Smaller is better: what says something, then by trust, then the newest entry."""
    empty = False
    if field == "name":
        normal = normal_name(value)
        empty = normal.empty or normal.newborn
    if field == "birth":
        empty = value.estimated
    return empty, sources[person.id], -person.created_at.timestamp(), person.id
