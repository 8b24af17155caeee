"""Changes of entries on PostgreSQL: standing, what was said of a person, numbers that end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, func, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from services.identity.links import ChangeKind
from services.identity.model import Assurance, IdentifierKey, Person, PersonEvent, PersonState, Statement
from services.identity.ports import IdentifierTaken
from services.identity.postgres.persons import death_sealed
from services.identity.postgres.provisional import ProvisionalTables
from services.identity.schema import (
    identifier_lookup,
    person,
    person_demographics,
    person_event,
    person_identifier,
    provisional_person,
    source_record,
)

_REGISTERED = ("PERSON_REGISTERED", "PROVISIONAL_REGISTERED")


class UpdateTables(ProvisionalTables):
    """The part of a transaction that changes entries."""

    async def change_person(self, changed: Person, kind: ChangeKind, events: Sequence[PersonEvent]) -> bool:
        """Writes the standing and the demographics of an entry anew and counts its version up; identifiers are not
        touched. False when the entry is not at `changed.version` any more, and nothing is written.
        """
        key = (await self._keys.find_or_make(self._connection, [changed.id]))[changed.id]
        at_version = (person.c.person_id == changed.id) & (person.c.version == changed.version)
        done = await self._connection.execute(
            update(person)
            .where(at_version)
            .values(
                state=changed.state.value,
                facility_id=changed.facility,
                demographics_sealed=self._vault.seal_demographics(key, changed.demographics),
                protected=changed.protected,
                death_sealed=death_sealed(self._vault, key, changed.death),
                version=changed.version + 1,
            )
            .returning(person.c.person_id)
        )
        if done.one_or_none() is None:
            return False
        if changed.provisional is not None:
            await self._connection.execute(
                update(provisional_person)
                .where(provisional_person.c.person_id == changed.id)
                .values(
                    waiting=changed.state is PersonState.PROVISIONAL, notice_due_at=changed.provisional.notice_due_at
                )
            )
        await self.renew_features([changed], {changed.id: key})
        await self._add_events(events)
        await self.tell(kind, events[:1])
        return True

    async def statements(self, id: UUID) -> Sequence[Statement]:
        """What was said of a person, oldest first."""
        said = person_demographics.c
        wanted = select(person_demographics).where(said.person_id == id).order_by(said.valid_from, said.id)
        rows = (await self._connection.execute(wanted)).all()
        if not rows:
            return []
        key = (await self._keys.find(self._connection, [id]))[id]
        return [
            Statement(
                row.id,
                row.valid_from,
                self._vault.open_demographics(key, row.sealed),
                Assurance(row.assurance),
                row.actor,
            )
            for row in rows
        ]

    async def add_statements(self, id: UUID, statements: Sequence[Statement]) -> None:
        """Keeps what was said of a person."""
        key = (await self._keys.find_or_make(self._connection, [id]))[id]
        await self._connection.execute(
            insert(person_demographics),
            [
                {
                    "person_id": id,
                    "id": one.id,
                    "valid_from": one.at,
                    "sealed": self._vault.seal_demographics(key, one.demographics),
                    "assurance": one.assurance.value,
                    "actor": one.actor,
                }
                for one in statements
            ],
        )

    async def end_identifiers(self, id: UUID, keys: Collection[IdentifierKey], at: datetime | None) -> None:
        """Ends numbers of a person at a time, so that they are found still and another person may have them; with None
        they are the person's again. Raises IdentifierTaken when another person has one meanwhile.
        """
        versions = self._vault.blind_versions
        blinds = await self._vault.ask(
            lambda: [(key.kind, self._vault.blind(key, version)) for key in keys for version in versions]
        )
        held, found = person_identifier.c, identifier_lookup.c
        mine = (held.person_id == id) & tuple_(held.kind, held.blind).in_(blinds)
        await self._connection.execute(update(person_identifier).where(mine).values(valid_to=at))
        for exclusive in (True, False):
            kinds = sorted({key.kind for key in keys if (at is None and key.exclusive) is exclusive})
            wanted = (found.person_id == id) & tuple_(found.kind, found.blind).in_(blinds)
            change = update(identifier_lookup).where(wanted, found.kind.in_(kinds)).values(exclusive=exclusive)
            try:
                await self._connection.execute(change)
            except IntegrityError:
                raise IdentifierTaken from None

    async def known_at(self, ids: Collection[UUID], facility: str) -> bool:
        """True when the facility registered one of the entries, or filed a document under one."""
        wanted = sorted(ids)
        actors = [f"{kind}/{facility}" for kind in ("FACILITY", "PRACTITIONER")]
        registered = exists().where(
            person_event.c.person_id == func.any(wanted),
            person_event.c.kind.in_(_REGISTERED),
            person_event.c.actor.in_(actors),
        )
        filed = exists().where(source_record.c.person_id == func.any(wanted), source_record.c.facility_id == facility)
        return bool((await self._connection.execute(select(or_(registered, filed)))).scalar_one())
