"""Finding, registering and reading persons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal, PrincipalKind
from services.identity.errors import IdentifierConflict, PersonNotFound
from services.identity.golden import GoldenPerson
from services.identity.model import (
    FOUNDING,
    LOCAL,
    Assurance,
    Demographics,
    Identifier,
    IdentifierType,
    Outcome,
    Person,
    PersonState,
    Query,
    Resolution,
)
from services.identity.normalise.names import name as normal_name
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import Asked, ask, contested
from services.identity.service.actors import AT_FACILITY, actor, require_active
from services.identity.service.entries import Entries, write
from services.identity.service.matching import InFlight, Matcher
from services.identity.service.resolving import Resolver, holders_of
from services.identity.service.trees import answering
from services.identity.service.views import masked, without_demographics


class PersonService:
    """Use cases around persons."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        new_id: NewId,
        matcher: Matcher | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._resolver = Resolver(matcher or Matcher(clock))
        self._in_flight = in_flight or InFlight()

    async def resolve(self, principal: Principal, queries: Sequence[Query]) -> Sequence[Resolution]:
        """Answers each query, in order, with a number of statements that does not grow with the queries. Creates nothing. Raises
        ResolutionOverloaded when the process works on too many.
        """
        asked = [ask(query.identifiers, query.demographics) for query in queries]

        async def work(transaction: Transaction) -> Sequence[Resolution]:
            await require_active(transaction, principal)
            return await self._resolver.resolve(transaction, queries, asked)

        with self._in_flight.of(len(queries)):
            return await self._store.read(work)

    async def register(
        self,
        principal: Principal,
        identifiers: Sequence[Identifier],
        demographics: Demographics,
        assurance: Assurance,
        request_id: str,
        digest: bytes,
    ) -> tuple[Person, bool]:
        """The person of these identifiers, and whether this call made the entry. Raises IdentifierConflict when an
        identifier names somebody whose demographics disagree. Of a person who was known before, the caller sees no
        more than it has sent.
        """
        asked = self._check_registration(principal, identifiers, demographics, assurance)

        async def work(transaction: Transaction) -> tuple[Person, bool]:
            await require_active(transaction, principal)

            async def first_time() -> bytes:
                person, created = await self._register(transaction, principal, asked, assurance)
                return json.dumps({"person": str(person), "created": created}).encode()

            scope = f"{actor(principal)}/RegisterPerson"
            answer = json.loads(await transaction.once(scope, request_id, digest, first_time))
            person = await existing(transaction, UUID(answer["person"]))
            return person, answer["created"]

        person, created = await write(self._store, work)
        # Of somebody who is known already nobody learns more here than they sent: that would be a read, which rests on a decision.
        seen = person if created else without_demographics(person, asked.keys)
        return masked(seen) if principal.kind in AT_FACILITY else seen, created

    async def _register(
        self, transaction: Transaction, principal: Principal, asked: Asked, assurance: Assurance
    ) -> tuple[UUID, bool]:
        entries = Entries(self._clock, self._new_id, principal)
        known = await holders_of(transaction, [asked])
        holders, found = known.of(asked), known.resolve(asked)
        if found.outcome is Outcome.MATCH and found.person is not None:
            new = entries.identifiers(asked.identifiers, assurance, known.matched(asked, found.person))
            if new and found.entry is not None:
                added = {found.entry: new}
                await transaction.add_identifiers(added, entries.added(added))
            return found.person, False
        if contested(asked, holders):
            raise IdentifierConflict("an identifier names a person whose data disagree")
        person = entries.active(_with_nationality(asked), entries.identifiers(asked.identifiers, assurance))
        await transaction.add_persons([person], [entries.registered(person)])
        return person.id, True

    def _check_registration(
        self, principal: Principal, identifiers: Sequence[Identifier], demographics: Demographics, assurance: Assurance
    ) -> Asked:
        """The registration in canonical form. Raises InvalidArgument naming every wrong field."""
        asked = ask(identifiers, demographics)
        wrong = birth_violations(demographics, "demographics.birth_date", self._clock().date())
        wrong += number_violations(asked, "identifiers")
        if not wrong and not any(key.type in FOUNDING for key in asked.keys):
            wanted = "at least one citizen ID, passport or social-insurance number"
            wrong.append(FieldViolation("identifiers", wanted, "NATIONAL_IDENTIFIER_MISSING"))
        name = normal_name(demographics.name)
        if name.empty or name.newborn:
            wrong.append(FieldViolation("demographics.human_name.text", "the person's own name", "NAME_PLACEHOLDER"))
        if demographics.birth is None:
            wrong.append(FieldViolation("demographics.birth_date", "required", "FIELD_REQUIRED"))
        if assurance is Assurance.REGISTRY and principal.kind is not PrincipalKind.STEWARD:
            wrong.append(FieldViolation("assurance", "REGISTRY is for the identity steward", "ASSURANCE_RESERVED"))
        if wrong:
            raise InvalidArgument.of(*wrong)
        return asked

    async def known(self, id: UUID) -> GoldenPerson:
        """Who answers for an entry, whoever asks: only for roles that give nothing of it out. Raises PersonNotFound."""
        found = await self._store.read(lambda transaction: answering(transaction, id))
        if found is None:
            raise PersonNotFound("no such person")
        return found

    async def get(self, principal: Principal, id: UUID) -> Person:
        """Who answers for an entry, with golden values; see `answering`."""
        return (await self.answering(principal, id)).person

    async def answering(self, principal: Principal, id: UUID) -> GoldenPerson:
        """Who answers for an entry, for the person, for a steward, and a provisional one for the facility that registered it;
        PersonNotFound to all others, whether there is such a person or not. A facility sees its own entry as it is, and of the
        person whom it was identified as no more than the numbers that it knew.
        """

        async def work(transaction: Transaction) -> tuple[Person | None, GoldenPerson | None]:
            asked = await transaction.person(id) if principal.kind in AT_FACILITY else None
            return asked, await answering(transaction, id)

        asked, found = await self._store.read(work)
        if found is not None and principal.kind in AT_FACILITY and asked is not None and may_see(principal, asked):
            return _own(asked, found)
        names = {found.person.name, *(f"persons/{one}" for one in found.superseded)} if found else set()
        if found is None or not (principal.kind is PrincipalKind.STEWARD or principal.person in names):
            raise PersonNotFound("no such person")
        return found


def _own(asked: Person, found: GoldenPerson) -> GoldenPerson:
    """What the facility of a provisional entry sees."""
    if found.redirected_from is None:
        return GoldenPerson(masked(asked), asked.etag)
    root = masked(without_demographics(found.person, {held.key for held in asked.identifiers}))
    return GoldenPerson(root, found.etag, (asked.id,), (), asked.id)


def _with_nationality(asked: Asked) -> Demographics:
    """The demographics; of somebody who comes with passports of one country and no citizen number, with that nationality where none was said."""
    said = asked.demographics
    countries = {one.identifier.assigner for one in asked.identifiers if one.identifier.type is IdentifierType.PASSPORT}
    vietnamese = any(key.type is IdentifierType.CITIZEN_ID for key in asked.keys)
    if said.nationality is not None or vietnamese or len(countries) != 1:
        return said
    return replace(said, nationality=countries.pop())


def may_see(principal: Principal, person: Person) -> bool:
    """True when the principal may read the whole entry."""
    if principal.kind in AT_FACILITY:
        return person.state is PersonState.PROVISIONAL and person.facility == principal.facility
    if principal.kind is PrincipalKind.CITIZEN:
        return principal.person == person.name
    return principal.kind is PrincipalKind.STEWARD


async def existing(transaction: Transaction, id: UUID) -> Person:
    """A person. Raises PersonNotFound."""
    person = await transaction.person(id)
    if person is None:
        raise PersonNotFound("no such person")
    return person


def number_violations(asked: Asked, field: str) -> list[FieldViolation]:
    """What is wrong with numbers that have to be national and usable, under the name of their field."""
    wrong: list[FieldViolation] = []
    for at, one in enumerate(asked.identifiers):
        if one.identifier.type in LOCAL:
            wrong.append(FieldViolation(f"{field}[{at}].type", "a national identifier", "TYPE_NOT_NATIONAL"))
        elif one.key is None:
            wrong.append(FieldViolation(f"{field}[{at}].value", "a usable identifier", one.warnings[0]))
    return wrong


def birth_violations(demographics: Demographics, field: str, today: date) -> list[FieldViolation]:
    """What is wrong with a date of birth, under the name of its field."""
    birth = demographics.birth
    if birth is None or date(birth.year, birth.month or 1, birth.day or 1) <= today:
        return []
    return [FieldViolation(field, "not in the future", "BIRTH_DATE_IN_FUTURE")]
