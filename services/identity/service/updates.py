"""What becomes known of a person: newer demographics, a further number, the end of one, death, protection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal, PrincipalKind
from services.identity.crosscheck import NameAgreement, compare_births, compare_names
from services.identity.errors import EtagMismatch, IdentificationConflict, IdentifierConflict, PersonNotFound
from services.identity.golden import etag as tree_etag
from services.identity.links import ChangeKind
from services.identity.model import (
    FOUNDING,
    SINGLE,
    Agreement,
    Assurance,
    Demographics,
    Identifier,
    IdentifierKey,
    Person,
    PersonEvent,
    PersonIdentifier,
    PersonState,
    Statement,
)
from services.identity.normalise.names import name as normal_name
from services.identity.ports import IdentifierTaken, NewId, Store, Transaction
from services.identity.resolution import Asked, ask
from services.identity.service.actors import AT_FACILITY, actor, require_active
from services.identity.service.entries import IDENTIFIER_ADDED, Entries, write
from services.identity.service.newborns import HANOI
from services.identity.service.persons import birth_violations, existing, may_see, number_violations
from services.identity.service.views import masked, without_demographics
from services.identity.statements import changed, current

DEMOGRAPHICS_CHANGED = "DEMOGRAPHICS_CHANGED"
IDENTIFIER_ENDED = "IDENTIFIER_ENDED"
DEATH_RECORDED = "DEATH_RECORDED"
PROTECTION_CHANGED = "PROTECTION_CHANGED"
_GRADES = list(Assurance)


@dataclass(frozen=True)
class Update:
    """What is new of a person; empty and None leave things as they are. `etag` empty: whatever the entry is at."""

    person: UUID
    etag: str = ""
    demographics: Demographics = field(default=Demographics(), repr=False)
    add: tuple[Identifier, ...] = ()
    end: tuple[Identifier, ...] = ()
    assurance: Assurance = Assurance.TYPED
    death: date | None = field(default=None, repr=False)
    protected: bool | None = None


@dataclass(frozen=True)
class _Checked:
    """An update in canonical form."""

    update: Update
    adds: Asked
    ends: frozenset[IdentifierKey]


class UpdateService:
    """Use cases that change what is known of a person. Nothing that was known before is lost."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def update(
        self, principal: Principal, update: Update, request_id: str, digest: bytes, *, vouched: bool = False
    ) -> Person:
        """The person as it is now. A facility changes only persons whom it registered or of whom it filed documents;
        all others are PersonNotFound to it. Raises EtagMismatch, IdentifierConflict when a number is another person's,
        IdentificationConflict when name and birth date both would become another person's. Where the person stood at the desk and the national ID app
        `vouched` for them, the facility need not have known them before.
        """
        checked = _check(principal, update, self._clock().date())

        async def work(transaction: Transaction) -> Person:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                person = await (
                    existing(transaction, update.person)
                    if vouched
                    else self._known(transaction, principal, update.person)
                )
                if update.etag and update.etag not in {person.etag, await _tree_etag(transaction, person)}:
                    raise EtagMismatch("the person was changed meanwhile")
                await self._change(
                    transaction, Entries(self._clock, self._new_id, principal), principal, person, checked
                )
                return b""

            await transaction.once(f"{actor(principal)}/UpdatePerson", request_id, digest, first_time)
            return await existing(transaction, update.person)

        person = await write(self._store, work)
        if principal.kind in AT_FACILITY and may_see(principal, person):
            return masked(person)
        # No more than was sent: the rest would be a read, which rests on a decision.
        seen = without_demographics(person, checked.adds.keys)
        seen = seen if update.death is not None else replace(seen, death=None)
        return masked(seen) if principal.kind in AT_FACILITY else seen

    async def _known(self, transaction: Transaction, principal: Principal, id: UUID) -> Person:
        person = await transaction.person(id)
        if person is None:
            raise PersonNotFound("no such person")
        if principal.kind not in AT_FACILITY or may_see(principal, person):
            return person
        root = (await transaction.currents([id]))[id]
        members = (await transaction.members([root]))[root]
        if person.state is PersonState.PROVISIONAL or not await transaction.known_at(members, principal.facility or ""):
            raise PersonNotFound("no such person")
        return person

    async def _change(
        self, transaction: Transaction, entries: Entries, principal: Principal, person: Person, checked: _Checked
    ) -> None:
        update = checked.update
        steward = principal.kind is PrincipalKind.STEWARD
        added, ended, reopened = await _numbers(transaction, entries, person, checked, steward)
        after, events = await self._stated(transaction, entries, principal, person, update)
        if update.death is not None and update.death != person.death:
            after = _dead(after, update.death)
            events.append(entries.event(person.id, DEATH_RECORDED, {}))
        if update.protected is not None and update.protected != person.protected:
            after = replace(after, protected=update.protected)
            events.append(entries.event(person.id, PROTECTION_CHANGED, {"protected": str(update.protected).lower()}))
        for kind, keys in ((IDENTIFIER_ENDED, ended), (IDENTIFIER_ADDED, reopened)):
            if keys:
                kinds = ",".join(sorted(key.kind for key in keys))
                events.append(entries.event(person.id, kind, {"identifiers": kinds}))
        if not events and not added:
            return
        # First what makes room, then what takes it.
        if ended:
            await transaction.end_identifiers(person.id, ended, entries.now)
        if reopened:
            await transaction.end_identifiers(person.id, reopened, None)
        if events and not await transaction.change_person(after, ChangeKind.UPDATED, events):
            # Somebody changed the entry since it was read: look again.
            raise IdentifierTaken
        if added:
            mine = {person.id: added}
            await transaction.add_identifiers(mine, entries.added(mine))

    async def _stated(
        self, transaction: Transaction, entries: Entries, principal: Principal, person: Person, update: Update
    ) -> tuple[Person, list[PersonEvent]]:
        """The entry with what was said of it now, and the line of history; what was said first is kept beside it."""
        if update.demographics == Demographics():
            return person, []
        if update.assurance in {Assurance.TYPED, Assurance.CARD_CODE} and principal.kind in AT_FACILITY:
            _require_same_human(person.demographics, update.demographics)
        known = await transaction.statements(person.id)
        new = [] if known else [await self._first(transaction, person)]
        new.append(Statement(self._new_id(), entries.now, update.demographics, update.assurance, actor(principal)))
        await transaction.add_statements(person.id, new)
        after = replace(person, demographics=current([*known, *new]))
        fields = changed(person.demographics, after.demographics)
        return after, [entries.event(person.id, DEMOGRAPHICS_CHANGED, {"fields": ",".join(fields)})]

    async def _first(self, transaction: Transaction, person: Person) -> Statement:
        """What the entry was made with, by whom and how well it was known."""
        history = await transaction.history(person.id)
        grades = [held.assurance for held in person.identifiers if held.valid_from == person.created_at]
        best = max(grades, key=_GRADES.index, default=Assurance.TYPED)
        by = history[0].actor if history else ""
        return Statement(self._new_id(), person.created_at, person.demographics, best, by)


def _check(principal: Principal, update: Update, today: date) -> _Checked:
    """The update in canonical form. Raises InvalidArgument naming every wrong field."""
    wrong = birth_violations(update.demographics, "person.demographics.birth_date", today)
    name = normal_name(update.demographics.name)
    if update.demographics.name is not None and (name.empty or name.newborn):
        field = "person.demographics.human_name.text"
        wrong.append(FieldViolation(field, "the person's own name", "NAME_PLACEHOLDER"))
    adds, ends = ask(update.add, update.demographics), ask(update.end, Demographics())
    wrong += number_violations(adds, "add_identifiers") + number_violations(ends, "end_identifiers")
    if adds.keys & ends.keys:
        wrong.append(FieldViolation("end_identifiers", "other numbers than those added", "IDENTIFIER_BOTH"))
    wrong += _reserved(principal, update, today)
    if wrong:
        raise InvalidArgument.of(*wrong)
    return _Checked(update, adds, ends.keys)


def _reserved(principal: Principal, update: Update, today: date) -> list[FieldViolation]:
    """What is wrong with the values that are for the identity steward."""
    steward = principal.kind is PrincipalKind.STEWARD
    wrong: list[FieldViolation] = []
    if update.assurance is Assurance.REGISTRY and not steward:
        wrong.append(FieldViolation("assurance", "REGISTRY is for the identity steward", "ASSURANCE_RESERVED"))
    if update.death is not None and not steward:
        wrong.append(FieldViolation("death_date", "for the identity steward", "STEWARD_ONLY"))
    if update.death is not None and update.death > today:
        wrong.append(FieldViolation("death_date", "not in the future", "DEATH_DATE_IN_FUTURE"))
    if update.protected is not None and not steward:
        wrong.append(FieldViolation("protected", "for the identity steward", "STEWARD_ONLY"))
    return wrong


async def _numbers(
    transaction: Transaction, entries: Entries, person: Person, checked: _Checked, steward: bool
) -> tuple[tuple[PersonIdentifier, ...], frozenset[IdentifierKey], frozenset[IdentifierKey]]:
    """Numbers to add, to end, and to take up again. A second number of a type of which one is held ends the former."""
    if not checked.adds.keys and not checked.ends:
        return (), frozenset(), frozenset()
    if person.state is PersonState.PROVISIONAL:
        raise InvalidArgument.of(
            FieldViolation("add_identifiers", "IdentifyProvisionalPerson adds the first ones", "PERSON_PROVISIONAL")
        )
    active = {held.key: held for held in person.identifiers if held.valid_to is None}
    former = {held.key for held in person.identifiers} - active.keys()
    missing = checked.ends - active.keys()
    if missing:
        raise InvalidArgument.of(
            FieldViolation("end_identifiers", "numbers that are the person's", "IDENTIFIER_NOT_HELD")
        )
    own = await _tree(transaction, person.id)
    for holder in await transaction.holders(checked.adds.keys):
        if holder.person not in own and holder.exclusive(checked.adds.keys):
            raise IdentifierConflict("a number is another person's")
    fresh = checked.adds.keys - active.keys()
    types = {key.type for key in fresh} & SINGLE
    ended = checked.ends | {key for key in active if key.type in types}
    better = [key for key in ended if _GRADES.index(active[key].assurance) > _GRADES.index(checked.update.assurance)]
    if better and not steward:
        # What was typed at a desk does not end what a chip or the registry said.
        raise IdentifierConflict("the number that would end is better known than the new one")
    if not any(key.type in FOUNDING for key in (active.keys() - ended) | fresh):
        raise InvalidArgument.of(
            FieldViolation(
                "end_identifiers", "a citizen ID, passport or social-insurance number stays", "LAST_IDENTIFIER"
            )
        )
    reopened = fresh & former
    added = entries.identifiers(checked.adds.identifiers, checked.update.assurance, active.keys() | reopened)
    return added, frozenset(ended), frozenset(reopened)


async def _tree(transaction: Transaction, id: UUID) -> Sequence[UUID]:
    root = (await transaction.currents([id]))[id]
    return (await transaction.members([root]))[root]


async def _tree_etag(transaction: Transaction, person: Person) -> str:
    """The etag that the person is read with where several entries answer as one."""
    persons = await transaction.persons(await _tree(transaction, person.id))
    root = (await transaction.currents([person.id]))[person.id]
    return tree_etag(persons[root], [one for id, one in persons.items() if id != root]) if root in persons else ""


def _require_same_human(known: Demographics, new: Demographics) -> None:
    """A name may change, and a birth date be corrected; both at once, typed at a desk, are somebody else."""
    name = compare_names(normal_name(known.name), normal_name(new.name))
    if name is NameAgreement.OTHER and compare_births(known.birth, new.birth) is Agreement.DISAGREES:
        raise IdentificationConflict("name and birth date are both another person's")


def _dead(person: Person, day: date) -> Person:
    """The person, dead since a day. Of an unidentified one the authority is to be told within 24 hours of it (Law 15/2023 art. 73)."""
    came = person.provisional
    if came is not None and came.notice_due_at is not None:
        # The earliest that the day allows.
        due = datetime.combine(day, time(), HANOI) + timedelta(hours=24)
        came = replace(came, notice_due_at=min(came.notice_due_at, due))
    return replace(person, death=day, provisional=came)
