"""All that decisions rest on, read in one statement for a whole batch, in the form of `services.consent.record`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import hot
from services.chassis.feed import Entries
from services.chassis.statements import statement_span
from services.consent.decision import Asked
from services.consent.model import Purpose
from services.consent.postgres.emergency_grants import grants_of
from services.consent.record import grant_out
from services.consent.registry import NAME, SILENCE

MOST_CONSENTS = 200
MOST_RELATIONS = 100
MOST_GUARDIANS = 20
MOST_RESTRICTIONS = 100
# Consents that name another facility are not read: they can neither permit nor explain. Those in force come first, so that the limit can only
# cut what has ended. Guardians are compared by who answers for them now. A use is looked for only where the terms limit the frequency.
_GATHER = f"""
WITH asked AS (
    SELECT * FROM unnest(%(nos)s::int[], %(organizations)s::text[], %(licences)s::text[]) AS a (no, organization, licence)
), member AS (
    SELECT * FROM unnest(%(member_nos)s::int[], %(members)s::uuid[]) AS m (no, person_id)
), now AS (
    SELECT %(at)s::timestamptz AS at
)
SELECT asked.no, CAST(jsonb_strip_nulls(jsonb_build_object(
    'consents', (
        SELECT jsonb_agg(one.found) FROM (
            SELECT jsonb_build_object(
                'id', c.id, 'person', c.person_id, 'purpose', c.purpose, 'kinds', c.kinds, 'start', c.data_start, 'end', c.data_end,
                'duration', c.duration_seconds, 'organization', c.organization, 'licence', c.licence,
                'organization_class', c.organization_class, 'erase_after', c.erase_after_seconds, 'reads', c.frequency_reads,
                'interval', c.frequency_interval_seconds, 'classes', nullif(c.sensitive_classes, '{{}}'), 'source', c.source,
                'required', c.required, 'granted_as', c.granted_as,
                'granted_by', coalesce(giver.current_id, c.granted_by), 'granted', c.granted_at,
                'revoked', revoked.at, 'ends_by', c.ends_by, 'channel', c.channel, 'text_version', nullif(c.text_version, ''),
                'agreed', (
                    SELECT jsonb_agg(jsonb_build_array(e.kind, coalesce(agreer.current_id, e.actor_id, c.person_id), e.at) ORDER BY e.at)
                    FROM consent_event e LEFT JOIN person_redirect agreer ON agreer.person_id = e.actor_id
                    WHERE e.person_id = c.person_id AND e.consent_id = c.id AND e.kind <> 'REVOKED'
                ),
                'uses', CASE WHEN c.frequency_reads IS NOT NULL THEN (
                    SELECT nullif(count(*), 0) FROM (
                        SELECT FROM consent_use u
                        WHERE u.person_id = c.person_id AND u.consent_id = c.id
                          AND (c.frequency_interval_seconds IS NULL OR u.at > now.at - make_interval(secs => c.frequency_interval_seconds))
                        LIMIT c.frequency_reads
                    ) AS made
                ) END
            ) AS found
            FROM member
            JOIN consent c ON c.person_id = member.person_id
            LEFT JOIN consent_event revoked
                ON revoked.person_id = c.person_id AND revoked.consent_id = c.id AND revoked.kind = 'REVOKED'
            LEFT JOIN person_redirect giver ON giver.person_id = c.granted_by
            WHERE member.no = asked.no AND asked.organization IS NOT NULL
              AND (c.organization IS NULL OR c.organization = asked.organization)
            ORDER BY (revoked.at IS NULL AND c.granted_at + make_interval(secs => c.duration_seconds) > now.at) DESC, c.id DESC
            LIMIT {MOST_CONSENTS}
        ) AS one
    ),
    'relations', (
        SELECT jsonb_agg(one.found) FROM (
            SELECT jsonb_build_object('type', r.type, 'resource', r.resource, 'start', r.starts_at, 'end', r.ends_at) AS found
            FROM member JOIN treatment_relation r ON r.person_id = member.person_id
            WHERE member.no = asked.no AND r.organization = asked.organization
            ORDER BY r.ends_at DESC LIMIT {MOST_RELATIONS}
        ) AS one
    ),
    'guardians', (
        SELECT jsonb_agg(one.guardian) FROM (
            SELECT DISTINCT coalesce(same.current_id, g.guardian_id) AS guardian
            FROM member JOIN guardianship g ON g.person_id = member.person_id
            LEFT JOIN person_redirect same ON same.person_id = g.guardian_id
            WHERE member.no = asked.no
              AND (g.starts_at IS NULL OR g.starts_at <= now.at) AND (g.ends_at IS NULL OR g.ends_at > now.at)
              AND NOT EXISTS (
                  SELECT FROM guardianship_end e WHERE e.person_id = g.person_id AND e.guardianship_id = g.id AND e.at <= now.at
              )
            ORDER BY 1 LIMIT {MOST_GUARDIANS}
        ) AS one
    ),
    'restrictions', (
        SELECT jsonb_agg(one.found) FROM (
            SELECT DISTINCT jsonb_build_object('kind', r.kind, 'purpose', r.purpose) AS found
            FROM member JOIN restriction r ON r.person_id = member.person_id
            WHERE member.no = asked.no AND r.starts_at <= now.at AND NOT EXISTS (
                SELECT FROM restriction_lift l
                WHERE l.person_id = r.person_id AND l.subject_request_id = r.subject_request_id AND l.at <= now.at
            )
            LIMIT {MOST_RESTRICTIONS}
        ) AS one
    ),
    'registry', jsonb_build_object(
        'heard', (SELECT fresh_until - make_interval(secs => {SILENCE.total_seconds()}) FROM feed_cursor WHERE name = '{NAME}'),
        'active', o.state = 'ACTIVE', 'care_level', o.care_level,
        'role', l.role, 'organizations', l.organizations,
        'licensed', CASE WHEN l.licence IS NOT NULL THEN jsonb_build_object('start', l.starts_at, 'end', l.ends_at) END
    )
)) AS text)
FROM asked CROSS JOIN now
LEFT JOIN registered_organization o ON o.organization = asked.organization
LEFT JOIN registered_licence l ON l.licence = asked.licence
""".encode()  # noqa: S608 - constants


async def gather(
    connection: AsyncConnection, asked: Sequence[Asked], entries: Mapping[UUID, Entries], at: datetime
) -> list[dict[str, Any]]:
    """What the rules look at, in the order of the queries."""
    members = [(no, member) for no, one in enumerate(asked) for member in entries[one.query.person].all]
    values = {
        "nos": list(range(len(asked))),
        "organizations": [one.requester.organization for one in asked],
        "licences": [one.requester.licence for one in asked],
        "member_nos": [no for no, _ in members],
        "members": [member for _, member in members],
        "at": at,
    }
    driver = await hot(connection)
    with statement_span("SELECT", "consent"):
        cursor = await driver.execute(_GATHER, values, prepare=True)
        found = {no: orjson.loads(text) for no, text in await cursor.fetchall()}
    gathered = [found[no] for no in range(len(asked))]
    await _add_grants(connection, asked, entries, at, gathered)
    return gathered


async def _add_grants(
    connection: AsyncConnection,
    asked: Sequence[Asked],
    entries: Mapping[UUID, Entries],
    at: datetime,
    gathered: Sequence[dict[str, Any]],
) -> None:
    """Emergencies are rare: one more statement for each practitioner that claims one."""
    claims: dict[tuple[str | None, str | None], list[int]] = {}
    for no, one in enumerate(asked):
        if one.query.purpose is Purpose.EMERGENCY_TREATMENT:
            claims.setdefault((one.requester.licence, one.requester.organization), []).append(no)
    for (licence, organization), nos in claims.items():
        answers = {
            member: entries[asked[no].query.person].current
            for no in nos
            for member in entries[asked[no].query.person].all
        }
        grants = await grants_of(connection, answers, licence, organization, at)
        for no in nos:
            grant = grants.get(entries[asked[no].query.person].current)
            if grant is not None:
                gathered[no]["emergency"] = grant_out(grant)
