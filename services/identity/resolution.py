"""Who holds the identifiers of a query, and do they agree? Pure: takes the holders found, decides, touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.identity.crosscheck import CrossCheck, cross_check
from services.identity.model import (
    SINGLE,
    Agreement,
    Demographics,
    FieldEvidence,
    Holder,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Outcome,
    Resolution,
)
from services.identity.normalise.identifiers import NormalIdentifier, normalise

_DECISIVE = frozenset({"demographics.human_name", "demographics.birth_date"})


_TELLING = SINGLE | {IdentifierType.PASSPORT}


@dataclass(frozen=True)
class Asked:
    """A query in canonical form; `identifiers` stand in the order of the query, unusable ones included."""

    identifiers: tuple[NormalIdentifier, ...]
    demographics: Demographics

    @property
    def keys(self) -> frozenset[IdentifierKey]:
        """Keys that can be looked up."""
        return frozenset(one.key for one in self.identifiers if one.key is not None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reason codes, each with the field it is about."""
        return tuple(f"identifiers[{at}]: {code}" for at, one in enumerate(self.identifiers) for code in one.warnings)

    @property
    def warning_codes(self) -> tuple[str, ...]:
        """Reason codes alone, each once, in order."""
        return tuple(dict.fromkeys(code for one in self.identifiers for code in one.warnings))


def ask(identifiers: Sequence[Identifier], demographics: Demographics) -> Asked:
    """Brings a query to canonical form."""
    return Asked(tuple(normalise(identifier, demographics) for identifier in identifiers), demographics)


class HolderIndex:
    """Holders by key, so that a batch costs no more per query than a query alone."""

    def __init__(self, holders: Iterable[Holder]) -> None:
        self._holders: dict[UUID, Holder] = {}
        self._by_key: dict[IdentifierKey, set[UUID]] = {}
        for holder in holders:
            self.put(holder)

    def __getitem__(self, person: UUID) -> Holder:
        return self._holders[person]

    def __iter__(self) -> Iterator[Holder]:
        return iter(self._holders.values())

    def put(self, holder: Holder) -> None:
        """Adds a holder, or replaces it by one that holds more."""
        self._holders[holder.person] = holder
        for key in holder.matched:
            self._by_key.setdefault(key, set()).add(holder.person)

    def holding(self, keys: Iterable[IdentifierKey]) -> list[Holder]:
        """Those that hold any of the keys, in the order of their ids."""
        found = {person for key in keys for person in self._by_key.get(key, ())}
        return [self._holders[person] for person in sorted(found)]


def resolve(asked: Asked, holders: Iterable[Holder], answering: Mapping[UUID, UUID] | None = None) -> Resolution:
    """Decides one query by its numbers. `holders` are all entries that hold at least one of its keys; entries for which the same one answers
    (`answering`, by entry; itself where it is not there) are one person.
    """
    people: dict[UUID, list[Holder]] = {}
    for holder in holders:
        if holder.matched & asked.keys:
            people.setdefault((answering or {}).get(holder.person, holder.person), []).append(holder)
    exclusive = [id for id, entries in people.items() if any(one.exclusive(asked.keys) for one in entries)]
    if len(exclusive) > 1:
        return Resolution(Outcome.REVIEW, warnings=asked.warnings, evidence=identifier_evidence(asked, None))
    # A number that several may hold names nobody by itself: of its holders only those who agree count.
    candidates = exclusive or [id for id, entries in people.items() if _agreeing(asked, entries)] or list(people)
    if not candidates:
        missing = () if asked.keys else ("identifiers",)
        return Resolution(Outcome.NONE, warnings=asked.warnings, ask_next=missing)
    if len(candidates) > 1:
        return Resolution(Outcome.REVIEW, warnings=asked.warnings, ask_next=("identifiers",))
    entries = people[candidates[0]]
    holder = _agreeing(asked, entries) or entries[0]
    checked = cross_check(asked.demographics, holder.demographics)
    held = replace(
        holder,
        matched=frozenset().union(*(one.matched for one in entries)),
        held=frozenset().union(*(one.held for one in entries)),
    )
    if any(one.protected for one in entries):
        return _protected(asked, candidates[0], held, checked)
    evidence = identifier_evidence(asked, held) + checked.evidence
    if checked.agrees and not conflicts(asked, held):
        return Resolution(Outcome.MATCH, candidates[0], evidence, (), asked.warnings, holder.person)
    return Resolution(Outcome.REVIEW, None, evidence, checked.ask_next, asked.warnings)


def _agreeing(asked: Asked, entries: Iterable[Holder]) -> Holder | None:
    return next((one for one in entries if cross_check(asked.demographics, one.demographics).agrees), None)


def _protected(asked: Asked, person: UUID, holder: Holder, checked: CrossCheck) -> Resolution:
    """The answer about a protected person: who sends number, name and birth date that are hers gets her, and nobody learns more, nor which of
    them was wrong.
    """
    evidence = identifier_evidence(asked, holder)
    if checked.agrees and not conflicts(asked, holder):
        decisive = tuple(one for one in checked.evidence if one.field in _DECISIVE)
        return Resolution(Outcome.MATCH, person, evidence + decisive, (), asked.warnings, holder.person)
    return Resolution(Outcome.REVIEW, None, evidence, (), asked.warnings)


def contested(asked: Asked, holders: Iterable[Holder]) -> bool:
    """True when a query that is no match still cannot found a new person: somebody holds one of its numbers
    exclusively, or holds a shared one and agrees with the demographics.
    """
    return any(
        holder.exclusive(asked.keys) or cross_check(asked.demographics, holder.demographics).agrees
        for holder in holders
        if holder.matched & asked.keys
    )


def conflicts(asked: Asked, holder: Holder) -> bool:
    """True when the query has a number of a type of which the holder has another one and can have one only; or when nothing but a passport
    names the holder, who is of another nationality.
    """
    if any(key.type in SINGLE & holder.held and key not in holder.matched for key in asked.keys):
        return True
    nations = {asked.demographics.nationality, holder.demographics.nationality} - {None}
    by = {key.type for key in asked.keys & holder.matched}
    return by == {IdentifierType.PASSPORT} and len(nations) > 1


def contradicted(asked: Asked, held: Iterable[IdentifierKey]) -> bool:
    """True when the query has a number of which a person has one at a time, and the person (`held`) has another one that no slip of the hand
    explains: one digit wrong, or two neighbours exchanged. A passport counts too: a new one is the same person's only beside the old one.
    """
    mine = frozenset(held)
    for key in asked.keys:
        others = [one.value for one in mine if one.kind == key.kind]
        if key.type in _TELLING and key not in mine and others and not any(_near(key.value, other) for other in others):
            return True
    return False


def _near(left: str, right: str) -> bool:
    if len(left) != len(right):
        return False
    wrong = [at for at, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    if len(wrong) <= 1:
        return True
    first, *rest = wrong
    return rest == [first + 1] and left[first : first + 2] == right[first : first + 2][::-1]


def identifier_evidence(asked: Asked, holder: Holder | None) -> tuple[FieldEvidence, ...]:
    """How each number of the query compares with those of the one found."""
    return tuple(
        FieldEvidence(f"identifiers[{at}]", _identifier_agreement(one.key, holder))
        for at, one in enumerate(asked.identifiers)
    )


def _identifier_agreement(key: IdentifierKey | None, holder: Holder | None) -> Agreement:
    if key is None or (holder is not None and key.type not in holder.held and key not in holder.matched):
        return Agreement.ABSENT
    if holder is None or key not in holder.matched:
        return Agreement.DISAGREES
    return Agreement.AGREES
