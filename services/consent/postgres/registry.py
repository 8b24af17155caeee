"""Keeping what the registries say, as their feed tells it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.consent.registry import Registered, RegisteredLicence, RegisteredOrganization

_ORGANIZATIONS = text("""
    INSERT INTO registered_organization (organization, state, care_level, changed_at)
    SELECT * FROM unnest(CAST(:codes AS varchar[]), CAST(:states AS varchar[]), CAST(:levels AS varchar[]), CAST(:times AS timestamptz[]))
    ON CONFLICT (organization) DO UPDATE
        SET state = excluded.state, care_level = excluded.care_level, changed_at = excluded.changed_at
""")
# An array of arrays would have to be rectangular; a code has no semicolon.
_LICENCES = text("""
    INSERT INTO registered_licence (licence, role, scope, starts_at, ends_at, organizations, changed_at)
    SELECT said.number, said.role, said.scope, said.starts_at, said.ends_at, string_to_array(said.codes, ';'), said.changed_at
    FROM unnest(CAST(:numbers AS varchar[]), CAST(:roles AS varchar[]), CAST(:scopes AS varchar[]), CAST(:starts AS timestamptz[]),
                CAST(:ends AS timestamptz[]), CAST(:codes AS varchar[]), CAST(:times AS timestamptz[]))
        AS said (number, role, scope, starts_at, ends_at, codes, changed_at)
    ON CONFLICT (licence) DO UPDATE
        SET role = excluded.role, scope = excluded.scope, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
            organizations = excluded.organizations, changed_at = excluded.changed_at
""")


async def apply_registry(connection: AsyncConnection, said: Sequence[Registered]) -> None:
    """Keeps what a batch says, two statements whatever its size. The same again changes nothing; of the same subject the last counts."""
    organizations = list({one.code: one for one in said if isinstance(one, RegisteredOrganization)}.values())
    licences = list({one.number: one for one in said if isinstance(one, RegisteredLicence)}.values())
    if organizations:
        await connection.execute(
            _ORGANIZATIONS,
            {
                "codes": [one.code for one in organizations],
                "states": [one.state for one in organizations],
                "levels": [one.care_level for one in organizations],
                "times": [one.at for one in organizations],
            },
        )
    if licences:
        await connection.execute(
            _LICENCES,
            {
                "numbers": [one.number for one in licences],
                "roles": [one.role for one in licences],
                "scopes": [one.scope for one in licences],
                "starts": [one.period.start for one in licences],
                "ends": [one.period.end for one in licences],
                "codes": [";".join(one.organizations) for one in licences],
                "times": [one.at for one in licences],
            },
        )
