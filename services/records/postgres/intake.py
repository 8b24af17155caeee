"""Taking documents in, on PostgreSQL. A batch costs a fixed number of statements, whatever its size."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.chassis.keyring import PersonKey, PersonKeys
from services.chassis.outbox import Message, enqueue
from services.records.convert.signatures import encode_signature
from services.records.formats.document import ParsedDocument
from services.records.model import Accepted, Finished, Incoming, Key, Known, Rejected, SubmissionState
from services.records.ports import Finish, KeysTaken
from services.records.postgres.proof import ProofTables
from services.records.postgres.vault import Vault
from services.records.sensitivity import classes_of
from services.records.service.parts import cut

_KNOWN = text(
    "WITH asked AS (SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:documents AS text[]),"
    " CAST(:hashes AS bytea[])) AS asked (facility_id, document_id, content_sha256))"
    " SELECT s.facility_id, s.document_id, s.id, s.content_sha256, s.rejection, s.answer"
    " FROM asked JOIN submission s ON s.facility_id = asked.facility_id AND s.document_id = asked.document_id"
    " AND s.rejection = ''"
    " UNION ALL"
    " SELECT s.facility_id, s.document_id, s.id, s.content_sha256, s.rejection, s.answer"
    " FROM asked JOIN submission s ON s.facility_id = asked.facility_id AND s.document_id = asked.document_id"
    " AND s.content_sha256 = asked.content_sha256 AND s.rejection <> ''"
)
_TAKEN = text(
    "SELECT s.facility_id, s.document_id"
    " FROM unnest(CAST(:facilities AS text[]), CAST(:documents AS text[])) AS asked (facility_id, document_id)"
    " JOIN submission s ON s.facility_id = asked.facility_id AND s.document_id = asked.document_id"
    " AND s.rejection = ''"
)
_BODIES = text(
    "INSERT INTO document_body (facility_id, id, person_id, content_sealed, signatures_sealed)"
    " SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:persons AS uuid[]),"
    " CAST(:contents AS bytea[]), CAST(:signatures AS bytea[]))"
)
_EVIDENCE = text(
    "INSERT INTO evidence (facility_id, submission_id, content_sealed, signatures_sealed)"
    " SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:contents AS bytea[]),"
    " CAST(:signatures AS bytea[]))"
)
_DOCUMENTS = text(
    "INSERT INTO document (person_id, id, facility_id, format, kinds, care_start, care_end, content_sha256,"
    " content_size, received_at, held, classes)"
    " SELECT person_id, id, facility_id, format, string_to_array(kinds, ','), care_start, care_end, content_sha256,"
    " content_size, received_at, held, string_to_array(classes, ',')"
    " FROM unnest(CAST(:persons AS uuid[]), CAST(:ids AS uuid[]), CAST(:facilities AS text[]), CAST(:formats AS text[]),"
    " CAST(:kinds AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]), CAST(:hashes AS bytea[]),"
    " CAST(:sizes AS bigint[]), CAST(:received AS timestamptz[]), CAST(:held AS boolean[]),"
    " CAST(:classes AS text[]))"
    " AS new (person_id, id, facility_id, format, kinds, care_start, care_end, content_sha256, content_size, received_at,"
    " held, classes)"
)
_HEALTH_BOOK = text(
    "INSERT INTO health_book (person_id, document_id, parts)"
    " SELECT * FROM unnest(CAST(:persons AS uuid[]), CAST(:ids AS uuid[]), CAST(:parts AS bytea[]))"
)
# The counters' row locks order the numbers; facilities are taken in order, so that two batches cannot lock each other out.
_COUNT = text(
    "INSERT INTO facility_counter (facility_id, last_sequence)"
    " SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:counts AS bigint[])) AS new (facility_id, documents)"
    " ORDER BY facility_id"
    " ON CONFLICT (facility_id) DO UPDATE SET last_sequence = facility_counter.last_sequence + EXCLUDED.last_sequence"
    " RETURNING facility_id, last_sequence"
)
_SUBMISSIONS = text(
    "INSERT INTO submission (facility_id, id, document_id, content_sha256, state, rejection, sequence, received_at,"
    " stored_at, trace_id, answer)"
    " SELECT * FROM unnest(CAST(:facilities AS text[]), CAST(:ids AS uuid[]), CAST(:documents AS text[]),"
    " CAST(:hashes AS bytea[]), CAST(:states AS smallint[]), CAST(:rejections AS text[]), CAST(:sequences AS bigint[]),"
    " CAST(:received AS timestamptz[]), CAST(:stored AS timestamptz[]), CAST(:traces AS text[]), CAST(:answers AS bytea[]))"
)


@dataclass(frozen=True)
class _Sealed:
    """What of a batch is sealed."""

    contents: list[bytes]
    signatures: list[bytes | None]
    parts: list[tuple[UUID, UUID, bytes]]
    evidence: list[bytes]
    evidence_signatures: list[bytes | None]
    refusals: list[bytes]


class IntakeTables(ProofTables):
    """The part of the store that takes documents in."""

    _database: Database
    _keys: PersonKeys
    _vault: Vault

    async def known(self, documents: Sequence[Incoming]) -> Mapping[Key, Sequence[Known]]:
        """What is stored under the documents' keys, in one statement."""
        values = {
            "facilities": [one.facility for one in documents],
            "documents": [one.document_id for one in documents],
            "hashes": [bytes.fromhex(one.sha256) for one in documents],
        }

        async def work(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(_KNOWN, values))

        found: dict[Key, list[Known]] = {}
        for row in await self._database.read(work):
            known = Known(row.id, row.content_sha256.hex(), row.rejection, self._vault.decompress(row.answer))
            found.setdefault(Key(row.facility_id, row.document_id), []).append(known)
        return found

    async def store(self, accepted: Sequence[Accepted], rejected: Sequence[Rejected], finish: Finish) -> list[Finished]:
        """Stores a batch in one transaction."""
        own = await self._keys.own(self._database)

        async def work(connection: AsyncConnection) -> list[Finished]:
            finished: list[Finished] = []
            # In this transaction, so that a key cannot be destroyed between sealing and storing.
            keys = await self._keys.find_or_make(connection, {one.filing.person for one in accepted})
            sealed = await asyncio.to_thread(self._seal, accepted, rejected, keys, own)
            if accepted:
                await self._insert_contents(connection, accepted, sealed)
                await self._insert_proof(connection, accepted)
                numbers = await self._number(connection, accepted)
                finished, answers, messages = await asyncio.to_thread(self._complete, accepted, numbers, finish, own)
                await connection.execute(_SUBMISSIONS, _accepted_rows(accepted, finished, answers))
                await enqueue(connection, messages)
            if rejected:
                await self._insert_refusals(connection, rejected, sealed)
            return finished

        return await self._database.write(work)

    def _seal(
        self,
        accepted: Sequence[Accepted],
        rejected: Sequence[Rejected],
        keys: Mapping[UUID, PersonKey],
        own: PersonKey,
    ) -> _Sealed:
        """Accepted documents under the keys of their persons. Rejected ones belong to nobody that is known: what a forged or broken
        document says of a person must not make a key for one, so they lie under the role's.
        """
        vault = self._vault
        persons = [keys[one.filing.person] for one in accepted]
        parts = [(key, one.id, cut(one.parsed)) for key, one in zip(persons, accepted, strict=True)]
        return _Sealed(
            contents=[
                vault.seal(key, one.incoming.content, "document_body.content", one.id)
                for key, one in zip(persons, accepted, strict=True)
            ],
            signatures=[
                vault.seal_signatures(key, _encoded(one.incoming), "document_body.signatures", one.id)
                for key, one in zip(persons, accepted, strict=True)
            ],
            parts=[(key.person, id, vault.seal_parts(key, part, id)) for key, id, part in parts if part],
            evidence=[vault.seal(own, one.incoming.content, "evidence.content", one.id) for one in rejected],
            evidence_signatures=[
                vault.seal_signatures(own, _encoded(one.incoming), "evidence.signatures", one.id) for one in rejected
            ],
            refusals=[vault.compress(one.answer) for one in rejected],
        )

    async def _insert_contents(
        self, connection: AsyncConnection, accepted: Sequence[Accepted], sealed: _Sealed
    ) -> None:
        facilities, ids = [one.incoming.facility for one in accepted], [one.id for one in accepted]
        persons = [one.filing.person for one in accepted]
        bodies = {"facilities": facilities, "ids": ids, "persons": persons, "contents": sealed.contents}
        await connection.execute(_BODIES, bodies | {"signatures": sealed.signatures})
        await connection.execute(
            _DOCUMENTS,
            {
                "persons": persons,
                "ids": ids,
                "facilities": facilities,
                "formats": [one.parsed.format for one in accepted],
                "kinds": [",".join(kind.value for kind in one.parsed.kinds) for one in accepted],
                "starts": [one.care[0] for one in accepted],
                "ends": [one.care[1] for one in accepted],
                "hashes": [bytes.fromhex(one.incoming.sha256) for one in accepted],
                "sizes": [len(one.incoming.content) for one in accepted],
                "received": [one.incoming.received_at for one in accepted],
                "held": [one.filing.held for one in accepted],
                "classes": [_classes(one.parsed) for one in accepted],
            },
        )
        if sealed.parts:
            owners, documents, parts = zip(*sealed.parts, strict=True)
            rows = {"persons": list(owners), "ids": list(documents), "parts": list(parts)}
            await connection.execute(_HEALTH_BOOK, rows)

    async def _number(self, connection: AsyncConnection, accepted: Sequence[Accepted]) -> list[int]:
        """Numbers in the order of the batch. From here on the facilities' rows are locked, so whoever stored one of the
        keys has either committed, and is seen, or comes after us.
        """
        counts = Counter(one.incoming.facility for one in accepted)
        facilities = sorted(counts)
        counted = await connection.execute(
            _COUNT, {"facilities": facilities, "counts": [counts[facility] for facility in facilities]}
        )
        following = {row.facility_id: row.last_sequence - counts[row.facility_id] + 1 for row in counted}
        asked = {
            "facilities": [one.incoming.facility for one in accepted],
            "documents": [one.incoming.document_id for one in accepted],
        }
        taken = (await connection.execute(_TAKEN, asked)).all()
        if taken:
            raise KeysTaken([Key(row.facility_id, row.document_id) for row in taken])
        numbers = []
        for one in accepted:
            numbers.append(following[one.incoming.facility])
            following[one.incoming.facility] += 1
        return numbers

    def _complete(
        self, accepted: Sequence[Accepted], numbers: Sequence[int], finish: Finish, own: PersonKey
    ) -> tuple[list[Finished], list[bytes], list[Message]]:
        finished = list(finish(list(zip(accepted, numbers, strict=True))))
        messages = [
            # Each submission is an aggregate of its own: entries carry their number, so their order is of no matter.
            Message(
                event.id,
                event.topic.value,
                str(document.id),
                self._vault.seal(own, event.payload, "outbox.payload", event.id),
                document.incoming.trace,
            )
            for document, done in zip(accepted, finished, strict=True)
            for event in done.events
        ]
        return finished, [self._vault.compress(one.answer) for one in finished], messages

    async def _insert_refusals(
        self, connection: AsyncConnection, rejected: Sequence[Rejected], sealed: _Sealed
    ) -> None:
        facilities, ids = [one.incoming.facility for one in rejected], [one.id for one in rejected]
        rows = {
            "facilities": facilities,
            "ids": ids,
            "documents": [one.incoming.document_id for one in rejected],
            "hashes": [bytes.fromhex(one.incoming.sha256) for one in rejected],
            "states": [int(SubmissionState.REJECTED)] * len(rejected),
            "rejections": [one.rejection.reason for one in rejected],
            "sequences": [None] * len(rejected),
            "received": [one.incoming.received_at for one in rejected],
            "stored": [one.submission.history[-1].at for one in rejected],
            "traces": [one.incoming.trace_id for one in rejected],
            "answers": sealed.refusals,
        }
        await connection.execute(_SUBMISSIONS, rows)
        await connection.execute(
            _EVIDENCE,
            {
                "facilities": facilities,
                "ids": ids,
                "contents": sealed.evidence,
                "signatures": sealed.evidence_signatures,
            },
        )


def _encoded(document: Incoming) -> list[bytes]:
    return [encode_signature(signature) for signature in document.signatures]


def _accepted_rows(
    accepted: Sequence[Accepted], finished: Sequence[Finished], answers: Sequence[bytes]
) -> dict[str, Any]:
    return {
        "facilities": [one.incoming.facility for one in accepted],
        "ids": [one.id for one in accepted],
        "documents": [one.incoming.document_id for one in accepted],
        "hashes": [bytes.fromhex(one.incoming.sha256) for one in accepted],
        "states": [int(SubmissionState.HELD if one.filing.held else SubmissionState.RETRIEVABLE) for one in accepted],
        "rejections": [""] * len(accepted),
        "sequences": [done.sequence for done in finished],
        "received": [one.incoming.received_at for one in accepted],
        "stored": [done.stored_at for done in finished],
        "traces": [one.incoming.trace_id for one in accepted],
        "answers": list(answers),
    }


def _classes(parsed: ParsedDocument) -> str:
    return ",".join(sorted(one.value for one in classes_of(parsed.diagnosis_codes, parsed.kinds)))
