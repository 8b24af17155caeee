"""Rows of provisional persons: how they came, read with the person and written with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import FromClause, Table, exists, func, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.keyring import PersonKey
from services.identity.model import Person, PersonState, Provisional, ProvisionalKind
from services.identity.postgres.vault import Vault
from services.identity.schema import person, person_redirect, provisional_person

_BIRTH = "provisional_person.birth"
_PREFIX = "came_"
COLUMNS = tuple(
    column.label(_PREFIX + column.name) for column in provisional_person.columns if column.name != "person_id"
)
"""What `provisional_in` reads, under names of its own."""


def joined(persons: Table) -> FromClause:
    """Persons with how they came, where they ever were provisional."""
    return persons.outerjoin(provisional_person, provisional_person.c.person_id == persons.c.person_id)


def provisional_in(row: Any, key: PersonKey, vault: Vault) -> Provisional | None:
    """How a person came; None for one who was never provisional."""
    if row.came_facility_id is None:
        return None
    return Provisional(
        facility=row.came_facility_id,
        kind=ProvisionalKind(row.came_kind),
        arrival_at=row.came_arrival_at,
        alias=row.came_alias,
        notice_due_at=row.came_notice_due_at,
        notice_at=row.came_notice_at,
        mother=row.came_mother_id,
        birth_at=None if row.came_birth_sealed is None else vault.open_time(key, _BIRTH, row.came_birth_sealed),
        birth_order=row.came_birth_order,
    )


def row_of(vault: Vault, key: PersonKey, id: UUID, came: Provisional) -> dict[str, Any]:
    """The row of how a person came, but for whether it waits."""
    return {
        "person_id": id,
        "facility_id": came.facility,
        "kind": came.kind.value,
        "alias": came.alias,
        "arrival_at": came.arrival_at,
        "notice_due_at": came.notice_due_at,
        "notice_at": came.notice_at,
        "mother_id": came.mother,
        "birth_sealed": None if came.birth_at is None else vault.seal_time(key, _BIRTH, came.birth_at),
        "birth_order": came.birth_order,
    }


async def add(
    connection: AsyncConnection, vault: Vault, keys: Mapping[UUID, PersonKey], persons: Sequence[Person]
) -> None:
    """Keeps how new persons came."""
    rows = [row_of(vault, keys[one.id], one.id, one.provisional) for one in persons if one.provisional is not None]
    if rows:
        await connection.execute(insert(provisional_person), [{**row, "waiting": True} for row in rows])


async def renew_waiting(connection: AsyncConnection, ids: Collection[UUID]) -> None:
    """Puts entries on the work lists, or takes them off, after what they answer with has changed."""
    answers = exists().where(person_redirect.c.person_id == provisional_person.c.person_id)
    await connection.execute(
        update(provisional_person)
        .where(
            provisional_person.c.person_id == func.any(sorted(ids)),
            person.c.person_id == provisional_person.c.person_id,
        )
        .values(waiting=(person.c.state == PersonState.PROVISIONAL.value) & ~answers)
    )
