"""Registering, ending and showing guardianships, and whose agreement a permission needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument, RequestIdReused
from services.chassis.principal import Principal, PrincipalKind
from services.consent.errors import AgeUnknown, GuardianshipNotFound, NoGuardian, NotThePerson, PersonDeceased
from services.consent.guardians import (
    FULL_AGE,
    MOST_IN_OFFICE,
    Guardianship,
    GuardianshipKind,
    GuardianStore,
    Needed,
    birthday,
    clipped,
    needed,
)
from services.consent.model import Period
from services.consent.person_facts import PersonFacts
from services.consent.policy import policy_at
from services.consent.service.persons import acts_for, is_person

_LONGEST_ACTOR = 128


class GuardianshipService:
    """Use cases around guardianships. What time makes of them is computed when it is looked at."""

    def __init__(self, store: GuardianStore, facts: PersonFacts, clock: Clock) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock

    async def register(self, wanted: Guardianship) -> Guardianship:
        """Registers one on evidence; its id comes from the steward's request, so a retry finds the first. For a child it ends at the latest when
        they come of age. Raises InvalidArgument naming every wrong field, PersonUnknown, AgeUnknown, RequestIdReused.
        """
        known = await self._store.guardianship(wanted.id)
        if known is None:
            await self._check_persons(wanted)
            period = await self._period(wanted)
            known = await self._store.add_guardianship(replace(wanted, period=period))
        same = (known.ward, known.guardian, known.kind, known.evidence, known.period.start) == (
            wanted.ward,
            wanted.guardian,
            wanted.kind,
            wanted.evidence,
            wanted.period.start,
        )
        if not same:
            raise RequestIdReused("this request id was used for another request")
        return known

    async def _check_persons(self, wanted: Guardianship) -> None:
        ward = (await self._store.entries(wanted.ward)).all
        # They may be one person by a link that this role has not heard of yet.
        guardian = await self._facts.of(wanted.guardian)
        if wanted.guardian in ward or guardian.person in ward:
            raise InvalidArgument.of(
                FieldViolation("guardianship.guardian", "somebody else than the ward", "OWN_GUARDIAN")
            )
        if guardian.deceased:
            raise InvalidArgument.of(FieldViolation("guardianship.guardian", "a living person", "PERSON_DECEASED"))
        of_age = None if guardian.birth is None else birthday(guardian.birth, FULL_AGE)
        if wanted.kind is GuardianshipKind.GUARDIAN and (of_age is None or self._clock() < of_age):
            wrong = FieldViolation("guardianship.guardian", "a person of full age", "NOT_OF_FULL_AGE")
            raise InvalidArgument.of(wrong)
        if len(await self._store.in_office(ward, self._clock())) >= MOST_IN_OFFICE:
            raise InvalidArgument.of(
                FieldViolation("guardianship.ward", f"at most {MOST_IN_OFFICE} guardians at a time", "TOO_MANY")
            )

    async def _period(self, wanted: Guardianship) -> Period:
        """The period, for a child cut at coming of age."""
        ward = await self._facts.of(wanted.ward)
        if ward.deceased:
            raise InvalidArgument.of(FieldViolation("guardianship.ward", "a living person", "PERSON_DECEASED"))
        now = self._clock()
        appointed = wanted.kind is GuardianshipKind.GUARDIAN
        if ward.birth is None:
            if not appointed:
                raise AgeUnknown("a parent acts for a child, and nobody knows whether the ward is one")
            return wanted.period
        of_age = birthday(ward.birth, policy_at(now).numbers.child_below_years)
        if now >= of_age:
            if not appointed:
                raise InvalidArgument.of(
                    FieldViolation("guardianship.ward", "a child, or the kind GUARDIAN by appointment", "WARD_OF_AGE")
                )
            return wanted.period
        period = clipped(wanted.period, of_age)
        if period is None:
            raise InvalidArgument.of(
                FieldViolation("guardianship.period.start_time", "before the ward comes of age", "PERIOD_EMPTY")
            )
        return period

    async def end(self, principal: Principal, id: UUID, reason: str) -> Guardianship:
        """Ends one from now on; what was granted under it ends with it. Ending twice gives the first answer. Raises GuardianshipNotFound."""
        ended = await self._store.end_guardianship(id, self._clock(), reason, principal.subject[:_LONGEST_ACTOR])
        if ended is None:
            raise GuardianshipNotFound("no such guardianship")
        return ended

    async def list(self, principal: Principal, person: UUID, before: UUID | None, limit: int) -> Sequence[Guardianship]:
        """Those over a person or held by them, newest first, for stewards and the person. A guardian of the person gets those between the two."""
        entries = (await self._store.entries(person)).all
        if principal.kind is PrincipalKind.STEWARD or await is_person(self._store, principal, person):
            return await self._store.guardianships(entries, before, limit)
        if not await acts_for(self._store, principal, person, self._clock()):
            raise NotThePerson("only the person concerned, their guardians and stewards may do this")
        own = (await self._store.entries(UUID((principal.person or "").removeprefix("persons/")))).all
        return await self._store.guardianships_between(entries, own, before, limit)

    async def needed(self, person: UUID) -> Needed:
        """Whose agreement a permission of this person needs now. Where nobody knows when they were born, nobody may agree: an adult's date of
        birth is entered in a minute, whereas a child who is taken for an adult loses who protects them; care in an emergency needs no permission.
        What somebody claimed of a provisional entry can make it a child, but not an adult. Raises AgeUnknown, NoGuardian,
        PersonDeceased, PersonUnknown, PeerUnavailable.
        """
        known = await self._facts.of(person)
        if known.deceased:
            raise PersonDeceased("nobody agrees for who has died")
        now = self._clock()
        numbers = policy_at(now).numbers
        claimed_adult = (
            known.birth is not None and known.provisional and now >= birthday(known.birth, numbers.child_below_years)
        )
        if known.birth is None or claimed_adult:
            raise AgeUnknown("the date of birth must be entered first")
        office = await self._store.in_office((await self._store.entries(person)).all, now)
        found = needed(known.birth, now, numbers, office)
        if found.guardian and not found.guardians:
            raise NoGuardian("a guardian must be registered first")
        return found
