"""What entries are found and compared by when no number is given, on PostgreSQL."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, delete, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from services.chassis.database import hot
from services.chassis.keyring import PersonKey, PersonKeys, SealBroken
from services.chassis.statements import statement_span
from services.chassis.turns import in_turns
from services.identity.candidates import MOST_PER_KEY, Candidate, Candidates, indexed
from services.identity.matching.blocks import BlockKey, stored_keys
from services.identity.matching.features import FeaturesUnreadable, pack, unpack
from services.identity.model import Person
from services.identity.normalise import NORMALISER_VERSION
from services.identity.postgres.arrays import slices, unnested
from services.identity.postgres.links import LinkTables
from services.identity.postgres.vault import Vault
from services.identity.schema import block_key, person_feature

# A key that is found too often is cut, and its number of rows says so. Redirects are followed; who answers for an entry MUST be one who may
# be a candidate. A destroyed key leaves nobody.
_CANDIDATES = f"""
WITH hit AS (
    SELECT found.person_id, array_agg(asked.key) AS keys
    FROM unnest(%s::bigint[]) AS asked (key)
    CROSS JOIN LATERAL (
        SELECT person_id FROM block_key WHERE block_key.key = asked.key LIMIT {MOST_PER_KEY + 1}
    ) AS found
    GROUP BY found.person_id
)
SELECT hit.person_id, coalesce(redirect.current_id, hit.person_id), hit.keys, feature.packed_sealed,
    own.version, own.root_version, own.wrapped
FROM hit
JOIN person_feature feature ON feature.person_id = hit.person_id
JOIN person_key own ON own.person_id = hit.person_id AND own.wrapped IS NOT NULL
LEFT JOIN person_redirect redirect ON redirect.person_id = hit.person_id
LEFT JOIN person root ON root.person_id = redirect.current_id
WHERE redirect.current_id IS NULL OR (root.state = 'ACTIVE' AND NOT root.protected)
""".encode()  # noqa: S608 - a constant
_COUNTED = 100_000
_PAIRS_AT_ONCE = 2_000
_POPULATION = text(
    "SELECT count(*), (SELECT reltuples FROM pg_class WHERE oid = 'person_feature'::regclass)"
    " FROM (SELECT 1 FROM person_feature LIMIT :counted) AS seen"
)


class FeatureTables(LinkTables):
    """The part of a transaction that deals with block keys and features."""

    _vault: Vault
    _keys: PersonKeys

    async def candidates(self, keys: Collection[BlockKey]) -> Candidates:
        """Entries under any of the keys, each with those it was found by: one statement. Protected, provisional and erased ones are not among
        them.
        """
        versions = self._vault.blind_versions
        asked = await self._vault.ask(
            lambda: {self._vault.block(key, version): key for key in keys for version in versions}
        )
        if not asked:
            return Candidates((), frozenset())
        driver = await hot(self._connection)
        with statement_span("SELECT", "block_key"):
            async with driver.cursor(binary=True) as cursor:
                await cursor.execute(_CANDIDATES, [list(asked)], prepare=True)
                rows = await cursor.fetchall()
        opened = await self._keys.opened([(row[0], row[4], row[5], row[6]) for row in rows])
        cut: set[BlockKey] = set()
        rows_of: dict[int, int] = {}
        found: list[Candidate] = []
        async for entry, person, hashed, sealed, *_ in in_turns(rows):
            by = frozenset(asked[key] for key in hashed)
            for key in hashed:
                rows_of[key] = rows_of.get(key, 0) + 1
            try:
                packed = self._vault.open_features(opened[entry], sealed)
                found.append(Candidate(entry, person, unpack(packed), by))
            except (SealBroken, FeaturesUnreadable):
                # It cannot be compared before it is made anew, and the answer has to say so.
                cut |= by
        cut |= {asked[key] for key, number in rows_of.items() if number > MOST_PER_KEY}
        return Candidates(tuple(found), frozenset(cut))

    async def population(self) -> int:
        """How many entries can be found by demographics; above 100,000 as the statistics have it."""
        counted, estimated = (await self._connection.execute(_POPULATION, {"counted": _COUNTED})).one()
        return max(int(counted), int(estimated)) if counted == _COUNTED else int(counted)

    async def add_features(self, persons: Sequence[Person], keys: Mapping[UUID, PersonKey]) -> None:
        """Keeps what new entries are found by."""
        made = []
        async for one in in_turns(persons):
            person = indexed(one)
            if person is not None:
                hashed = await self._hashed(stored_keys(person))
                made.append((one.id, hashed, self._vault.seal_features(keys[one.id], pack(person))))
        for some in slices(made):
            await self._put_features(some)
        # In order of the key, so that the index is filled side by side.
        for pairs in slices(sorted((key, id) for id, hashed, _ in made for key in hashed), _PAIRS_AT_ONCE):
            listed = unnested(key=(BigInteger, [key for key, _ in pairs]), person_id=(PG_UUID, [id for _, id in pairs]))
            await self._connection.execute(insert(block_key).from_select(["key", "person_id"], select(listed)))

    async def _put_features(self, made: Sequence[tuple[UUID, list[int], bytes]]) -> None:
        given = unnested(
            person_id=(PG_UUID, [id for id, _, _ in made]),
            blocks=(LargeBinary, [struct.pack(f">{len(hashed)}q", *hashed) for _, hashed, _ in made]),
            sealed=(LargeBinary, [sealed for _, _, sealed in made]),
        ).c
        version = literal(self._vault.blind_versions[0], SmallInteger)
        rows = select(given.person_id, literal(NORMALISER_VERSION), version, given.blocks, given.sealed)
        names = ["person_id", "normaliser", "blind_version", "block_keys", "packed_sealed"]
        kept = upsert(person_feature).from_select(names, rows)
        changed = {name: kept.excluded[name] for name in names[1:]}
        await self._connection.execute(kept.on_conflict_do_update(index_elements=["person_id"], set_=changed))

    async def _hashed(self, keys: Sequence[BlockKey]) -> list[int]:
        return await self._vault.ask(lambda: sorted({self._vault.block(key) for key in keys}))

    async def renew_features(self, persons: Sequence[Person], keys: Mapping[UUID, PersonKey]) -> None:
        """Takes away what entries were found by, and keeps what they are found by now."""
        ids = sorted(one.id for one in persons)
        wanted = select(person_feature.c.person_id, person_feature.c.block_keys).where(
            person_feature.c.person_id == func.any(ids)
        )
        former = [
            (key, row.person_id)
            for row in await self._connection.execute(wanted.with_for_update())
            for (key,) in struct.iter_unpack(">q", bytes(row.block_keys))
        ]
        gone = unnested(key=(BigInteger, [key for key, _ in former]), person_id=(PG_UUID, [id for _, id in former])).c
        if former:
            mine = (block_key.c.key == gone.key) & (block_key.c.person_id == gone.person_id)
            await self._connection.execute(delete(block_key).where(mine))
        hidden = [one.id for one in persons if indexed(one) is None]
        if hidden:
            await self._connection.execute(delete(person_feature).where(person_feature.c.person_id == func.any(hidden)))
        await self.add_features(persons, keys)
