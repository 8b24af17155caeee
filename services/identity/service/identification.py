"""Who a provisional person is: the entry itself is confirmed, or it answers with a person of the index, or a steward decides.

| what was found                       | evidence                             | outcome                        |
|--------------------------------------|--------------------------------------|--------------------------------|
| numbers that nobody holds            | any                                  | the entry is confirmed by them |
| numbers of one person who agrees     | any                                  | link                           |
| a person without a number, who agrees | card, app, papers, authority        | link                           |
| the same                             | a relative's or the patient's word   | review                         |
| somebody who does not agree, who is protected, several persons, or another sex or age than was seen | any | review |

"Agrees" is the table of `crosscheck`. Nothing is edited by a link, so that a wrong one can be taken back exactly; and of the person found a
facility sees no more than it has sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal, PrincipalKind
from services.identity.crosscheck import CrossCheck, NameAgreement, compare_births, compare_names, cross_check
from services.identity.errors import (
    EtagMismatch,
    IdentificationConflict,
    LinkRefused,
    NewbornConflict,
    NotProvisional,
    PersonNotFound,
)
from services.identity.links import (
    ChangeKind,
    IdentificationEvidence,
    LinkMethod,
    NewReviewTask,
    ReviewCandidate,
    ReviewReason,
)
from services.identity.model import (
    FOUNDING,
    Agreement,
    Assurance,
    Demographics,
    Holder,
    Identifier,
    Person,
    PersonState,
    ProvisionalKind,
    Sex,
    Statement,
)
from services.identity.normalise.names import name as normal_name
from services.identity.ports import IdentifierTaken, NewId, Store, Transaction
from services.identity.resolution import Asked, ask, conflicts
from services.identity.service.actors import AT_FACILITY, actor, require_active
from services.identity.service.entries import Entries, write
from services.identity.service.links import LinkService
from services.identity.service.persons import birth_violations, existing, number_violations
from services.identity.service.provisional import own_entry, shown
from services.identity.service.views import without_demographics
from services.identity.statements import current

PERSON_IDENTIFIED = "PERSON_IDENTIFIED"
_GRADES = list(Assurance)
# How well a number can be known by each kind of evidence.
_BEST = {
    IdentificationEvidence.CARD_CHIP: Assurance.CHIP_OR_APP,
    IdentificationEvidence.APP_ASSERTION: Assurance.CHIP_OR_APP,
    IdentificationEvidence.CARD_CODE: Assurance.CARD_CODE,
}
_WORD = frozenset({IdentificationEvidence.RELATIVE, IdentificationEvidence.PATIENT_STATEMENT})
"""Evidence that names nobody without a number: people in distress are mistaken, and some are told what to say."""
_AGE_TOLERANCE = 15
"""Years by which an estimate at the bedside may be wrong."""


@dataclass(frozen=True)
class Identification:
    """What was found out about a provisional person: numbers, or `target`, an entry that MatchPersons returned; and name and birth date."""

    person: UUID
    evidence: IdentificationEvidence
    demographics: Demographics = field(repr=False)
    identifiers: tuple[Identifier, ...] = ()
    target: UUID | None = None
    assurance: Assurance = Assurance.TYPED
    etag: str = ""


@dataclass(frozen=True)
class Identified:
    """The person that answers for the entry now; `link` where one was made, `task` where a steward has to decide and nothing was changed."""

    person: Person
    link: UUID | None = None
    task: UUID | None = None


class IdentificationService:
    """The use case that ends being provisional."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId, links: LinkService) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._links = links

    async def identify(self, principal: Principal, found: Identification, request_id: str, digest: bytes) -> Identified:
        """Identifies a provisional person, by the table above. A facility identifies its own only, others are PersonNotFound. Raises
        NotProvisional, EtagMismatch, NewbornConflict for a child that would be its mother, IdentificationConflict when numbers that nobody
        holds come with another sex or age than was seen.
        """
        asked = _check(principal, found, self._clock().date())

        async def work(transaction: Transaction) -> Identified:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                return json.dumps(await self._identify(transaction, principal, found, asked)).encode()

            scope = f"{actor(principal)}/IdentifyProvisionalPerson"
            answer = json.loads(await transaction.once(scope, request_id, digest, first_time))
            root = (await transaction.currents([found.person]))[found.person]
            person = await existing(transaction, root if "link" in answer else found.person)
            ids = {name: UUID(value) for name, value in answer.items()}
            return Identified(person, ids.get("link"), ids.get("task"))

        done = await write(self._store, work)
        if principal.kind in AT_FACILITY:
            return replace(done, person=shown(principal, done.person, asked))
        # A steward learns no more than was sent: the rest would be a read, which rests on a decision.
        return replace(done, person=without_demographics(done.person, asked.keys))

    async def _identify(
        self, transaction: Transaction, principal: Principal, found: Identification, asked: Asked
    ) -> Mapping[str, str]:
        await transaction.lock(found.person)
        person = await _provisional(transaction, principal, found)
        entries = Entries(self._clock, self._new_id, principal)
        candidates = await _candidates(transaction, person, found, asked)
        await _require_not_mother(transaction, person, candidates)
        agrees_with_sight = not contradicts(person, found.demographics)
        if not candidates:
            if not agrees_with_sight:
                raise IdentificationConflict("another sex or age than was seen")
            await self._confirm(transaction, entries, principal, person, found, asked)
            return {}
        by_number = bool(asked.keys)
        if len(candidates) == 1 and agrees_with_sight and (by_number or found.evidence not in _WORD):
            (candidate,) = candidates
            link = await self._link(transaction, principal, person, candidate, found) if candidate.agrees else None
            if link is not None:
                await self._add_numbers(transaction, entries, candidate, found, asked)
                return {"link": str(link)}
        return {"task": str(await self._ask_steward(transaction, entries, person, candidates))}

    async def _confirm(
        self,
        transaction: Transaction,
        entries: Entries,
        principal: Principal,
        person: Person,
        found: Identification,
        asked: Asked,
    ) -> None:
        """The entry becomes a confirmed person with numbers that nobody held."""
        if not any(key.type in FOUNDING for key in asked.keys):
            wanted = "at least one citizen ID, passport or social-insurance number"
            raise InvalidArgument.of(FieldViolation("identifiers", wanted, "NATIONAL_IDENTIFIER_MISSING"))
        known = await transaction.statements(person.id)
        claimed = known or [
            Statement(self._new_id(), person.created_at, person.demographics, Assurance.TYPED, actor(principal))
        ]
        now = Statement(self._new_id(), entries.now, found.demographics, found.assurance, actor(principal))
        await transaction.add_statements(person.id, [now] if known else [*claimed, now])
        stands = replace(person, state=PersonState.ACTIVE, facility=None, demographics=_standing(claimed, now))
        event = entries.event(person.id, PERSON_IDENTIFIED, {"evidence": found.evidence.value})
        if not await transaction.change_person(stands, ChangeKind.IDENTIFIED, [event]):
            # Somebody changed the entry since it was read: look again.
            raise IdentifierTaken
        held = {one.key for one in person.identifiers}
        added = {person.id: entries.identifiers(asked.identifiers, found.assurance, held)}
        if added[person.id]:
            await transaction.add_identifiers(added, entries.added(added))

    async def _link(
        self,
        transaction: Transaction,
        principal: Principal,
        person: Person,
        candidate: _Candidate,
        found: Identification,
    ) -> UUID | None:
        """The link in force; None where only stewards may decide: the two were found to be different before, or verified data contradict."""
        try:
            link = await self._links.link(
                transaction,
                person=person.id,
                target=candidate.root,
                method=LinkMethod.STEWARD if principal.kind is PrincipalKind.STEWARD else LinkMethod.FACILITY,
                evidence=found.evidence,
                actor=actor(principal),
                reason="IDENTIFIED_BY_NUMBER" if found.identifiers else "IDENTIFIED_BY_DEMOGRAPHICS",
            )
        except (LinkRefused, IdentificationConflict):
            return None
        return link.id

    async def _add_numbers(
        self, transaction: Transaction, entries: Entries, candidate: _Candidate, found: Identification, asked: Asked
    ) -> None:
        """What came beside the number that named the person is the person's too, as at a registration; a mere word adds nothing."""
        held = {key for holder in await transaction.holders(asked.keys) for key in holder.matched}
        added = {candidate.root: entries.identifiers(asked.identifiers, found.assurance, held)}
        if added[candidate.root] and found.evidence not in _WORD:
            await transaction.add_identifiers(added, entries.added(added))

    async def _ask_steward(
        self, transaction: Transaction, entries: Entries, person: Person, candidates: Collection[_Candidate]
    ) -> UUID:
        asked = tuple(ReviewCandidate(one.root, 0.0, one.check.evidence) for one in candidates)
        task = NewReviewTask(person.id, ReviewReason.IDENTIFICATION, asked, person.facility or "")
        id = self._new_id()
        return (await transaction.add_review_tasks({id: task}, entries.now))[id]


@dataclass(frozen=True)
class _Candidate:
    """Somebody whom the provisional person may be: the entry that answers, and whether all that was found agrees."""

    root: UUID
    agrees: bool
    check: CrossCheck


def _check(principal: Principal, found: Identification, today: date) -> Asked:
    """What was found in canonical form. Raises InvalidArgument naming every wrong field."""
    asked = ask(found.identifiers, found.demographics)
    wrong = birth_violations(found.demographics, "demographics.birth_date", today)
    wrong += number_violations(asked, "identifiers")
    if not found.identifiers and found.target is None:
        wrong.append(FieldViolation("identifiers", "numbers, or a person", "IDENTIFIER_OR_PERSON_MISSING"))
    name = normal_name(found.demographics.name)
    if name.empty or name.newborn:
        wrong.append(FieldViolation("demographics.human_name.text", "the person's own name", "NAME_PLACEHOLDER"))
    if found.demographics.birth is None:
        wrong.append(FieldViolation("demographics.birth_date", "required", "FIELD_REQUIRED"))
    if found.assurance is Assurance.REGISTRY:
        if principal.kind is not PrincipalKind.STEWARD:
            wrong.append(FieldViolation("assurance", "REGISTRY is for the identity steward", "ASSURANCE_RESERVED"))
    elif _GRADES.index(found.assurance) > _GRADES.index(_BEST.get(found.evidence, Assurance.TYPED)):
        wrong.append(FieldViolation("assurance", "what the evidence can give", "ASSURANCE_ABOVE_EVIDENCE"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return asked


async def _provisional(transaction: Transaction, principal: Principal, found: Identification) -> Person:
    """The entry, which waits to be identified."""
    if principal.kind in AT_FACILITY:
        person = await own_entry(transaction, principal, found.person)
    else:
        person = await existing(transaction, found.person)
    answers = (await transaction.currents([person.id]))[person.id]
    if person.state is not PersonState.PROVISIONAL or answers != person.id:
        raise NotProvisional("the person is identified")
    if found.etag and found.etag != person.etag:
        raise EtagMismatch("the person was changed meanwhile")
    return person


async def _candidates(
    transaction: Transaction, person: Person, found: Identification, asked: Asked
) -> list[_Candidate]:
    """Who holds the numbers, and who was named, by the entry that answers for them."""
    holders = [one for one in await transaction.holders(asked.keys) if one.person != person.id] if asked.keys else []
    counted = [one for one in holders if one.exclusive(asked.keys)] or [
        one for one in holders if cross_check(asked.demographics, one.demographics).agrees
    ]
    wanted = {one.person for one in counted} | ({found.target} if found.target else set())
    roots = await transaction.currents(wanted)
    made = [_held(roots[one.person], one, asked) for one in counted]
    if found.target is not None:
        made.append(await _named(transaction, person, roots[found.target], asked))
    merged: dict[UUID, _Candidate] = {}
    for one in made:
        before = merged.get(one.root)
        merged[one.root] = one if before is None else replace(one, agrees=one.agrees and before.agrees)
    merged.pop(person.id, None)
    return list(merged.values())


def _held(root: UUID, holder: Holder, asked: Asked) -> _Candidate:
    check = cross_check(asked.demographics, holder.demographics)
    return _Candidate(root, check.agrees and not conflicts(asked, holder) and not holder.protected, check)


async def _named(transaction: Transaction, person: Person, root: UUID, asked: Asked) -> _Candidate:
    target = await transaction.person(root)
    if target is None or target.id == person.id:
        raise PersonNotFound("no such person")
    check = cross_check(asked.demographics, target.demographics)
    return _Candidate(root, check.agrees and not target.protected, check)


async def _require_not_mother(transaction: Transaction, person: Person, candidates: Iterable[_Candidate]) -> None:
    came = person.provisional
    if came is None or came.mother is None:
        return
    mother = (await transaction.currents([came.mother]))[came.mother]
    if any(one.root == mother for one in candidates):
        raise NewbornConflict("a mother is not her own child")


def contradicts(person: Person, found: Demographics) -> bool:
    """True when somebody was seen who is not the one found: of another sex, or of another age than a wrong estimate explains; a newborn born
    on another day. What was claimed and not confirmed counts only when name and birth date are both another's.
    """
    seen = person.demographics
    if {seen.sex, found.sex} == {Sex.MALE, Sex.FEMALE}:
        return True
    if seen.birth is None or found.birth is None:
        return False
    if seen.birth.estimated:
        return abs(seen.birth.year - found.birth.year) > _AGE_TOLERANCE
    if compare_births(seen.birth, found.birth) is not Agreement.DISAGREES:
        return False
    newborn = person.provisional is not None and person.provisional.kind is ProvisionalKind.NEWBORN
    return newborn or _other_name(seen, found)


def _other_name(one: Demographics, other: Demographics) -> bool:
    return compare_names(normal_name(one.name), normal_name(other.name)) is NameAgreement.OTHER


def _standing(claimed: Collection[Statement], found: Statement) -> Demographics:
    """What stands of a confirmed person. Claims under another name were about somebody else."""
    kept = [one for one in claimed if not _other_name(one.demographics, found.demographics)]
    stands = current([*kept, found])
    sexes = [one.demographics.sex for one in claimed if one.demographics.sex is not None]
    return replace(stands, sex=stands.sex or (sexes[-1] if sexes else None))
