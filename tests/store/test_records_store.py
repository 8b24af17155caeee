"""One suite for every records store: what the operations rely on, in memory and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring
from services.records.convert.intake import answer_message
from services.records.formats.document import ContentKind
from services.records.model import (
    ALWAYS,
    MINUTE,
    Accepted,
    Cursor,
    Finished,
    Incoming,
    Known,
    Permission,
    Selection,
    Span,
    StateChange,
    SubmissionState,
)
from services.records.ports import KeysTaken, Store
from services.records.postgres import PostgresStore
from services.records.sensitivity import SensitivityClass
from services.records.service.parts import HEALTH_BOOK_KINDS, join
from services.records.signatures import BatchPlace, DetachedSignature, SignatureForm
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode, incoming, rejected

ALL = frozenset(ContentKind)
SUMMARY, DRUGS = ContentKind.ENCOUNTER_SUMMARY, ContentKind.PRESCRIPTION


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    settings = request.getfixturevalue("database_for")("records")
    keyring: Path = request.getfixturevalue("keyring_file")
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring), system_clock)


async def keep(store: Store, *documents: Accepted) -> list[Finished]:
    return await store.store(documents, [], answers().finish)


async def known(store: Store, document: Incoming) -> Sequence[Known]:
    return (await store.known([document])).get(document.key, [])


async def test_an_accepted_document_is_found_by_its_key(store: Store) -> None:
    one = accepted(episode(1))
    (done,) = await keep(store, one)
    assert await known(store, one.incoming) == [Known(one.id, one.incoming.sha256, "", done.answer)]
    assert await known(store, replace(one.incoming, document_id="other")) == []
    assert await known(store, replace(one.incoming, facility="79001")) == []
    # Other bytes under the same id find it too.
    assert len(await known(store, incoming(episode(2)))) == 1


async def test_a_refused_document_is_found_by_its_bytes_only(store: Store) -> None:
    one = rejected(b"<x")
    await store.store([], [one], answers().finish)
    assert await known(store, one.incoming) == [Known(one.id, one.incoming.sha256, "NOT_XML", one.answer)]
    assert await known(store, incoming(episode(1))) == []
    again = accepted(episode(1))
    await keep(store, again)
    assert [found.id for found in await known(store, again.incoming)] == [again.id]
    assert await store.original(FACILITY, one.id) is None


async def test_numbers_are_dense_per_facility_in_the_order_of_the_batch(store: Store) -> None:
    first = await keep(store, accepted(episode(1), "a"), accepted(episode(2), "b"), accepted(episode(3, "79001"), "a"))
    second = await keep(store, accepted(episode(3, "79001"), "b"), accepted(episode(4), "c"))
    assert [done.sequence for done in first + second] == [1, 2, 1, 2, 3]


async def test_a_taken_key_leaves_nothing_of_the_batch(store: Store) -> None:
    first, other = accepted(episode(1), "a"), accepted(episode(2), "b")
    await keep(store, first)
    with pytest.raises(KeysTaken) as raised:
        await keep(store, other, replace(accepted(episode(3), "a"), id=uuid7()))
    assert raised.value.keys == {first.incoming.key}
    assert await known(store, other.incoming) == []
    assert await store.document(other.id) is None
    (done,) = await keep(store, other)
    assert done.sequence == 2


async def test_concurrent_batches_with_one_key_store_it_once(store: Store) -> None:
    batches = [[accepted(episode(1), "same"), accepted(episode(2), f"own-{n}")] for n in range(4)]
    outcomes = await asyncio.gather(*(keep(store, *batch) for batch in batches), return_exceptions=True)
    assert sum(isinstance(one, KeysTaken) for one in outcomes) == 3
    assert sum(isinstance(one, list) for one in outcomes) == 1


async def test_a_submission_and_what_became_of_it(store: Store) -> None:
    one = accepted(episode(1))
    (done,) = await keep(store, one)
    record = await store.submission(FACILITY, one.id)
    assert record is not None
    assert (record.answer, record.state, record.changes, record.tlog_proof) == (
        done.answer,
        SubmissionState.RETRIEVABLE,
        (),
        "",
    )
    assert await store.submission("79001", one.id) is None
    place = (FACILITY, one.id)
    delivered = StateChange(SubmissionState.DELIVERED, NOW, "insurer", "GD-1")
    acknowledged = StateChange(SubmissionState.ACKNOWLEDGED, NOW, "insurer", "GD-1")
    await store.advance(*place, [delivered, acknowledged])
    await store.advance(*place, [replace(delivered, at=NOW + MINUTE)])
    await store.place({place: 7})
    await store.place({place: 7})
    assert list(await store.unproven(10)) == [(*place, 7)]
    await store.prove({place: "the proof"}, NOW + MINUTE)
    await store.prove({place: "another"}, NOW + 2 * MINUTE)
    assert list(await store.unproven(10)) == []
    record = await store.submission(FACILITY, one.id)
    assert record is not None
    assert record.state is SubmissionState.ACKNOWLEDGED
    assert record.changes == (delivered, acknowledged, StateChange(SubmissionState.LOGGED, NOW + MINUTE))
    assert record.tlog_proof == "the proof"


async def test_a_held_submission_stays_held(store: Store) -> None:
    one = accepted(episode(1), held=True)
    await keep(store, one)
    await store.place({(FACILITY, one.id): 0})
    await store.prove({(FACILITY, one.id): "the proof"}, NOW)
    record = await store.submission(FACILITY, one.id)
    assert record is not None
    assert record.state is SubmissionState.HELD
    assert [change.state for change in record.changes] == [SubmissionState.LOGGED]


async def test_submissions_newest_first_by_state_and_id(store: Store) -> None:
    documents = [accepted(episode(n), f"d{n}", held=n == 3) for n in range(1, 5)]
    documents = [replace(one, id=UUID(int=n)) for n, one in enumerate(documents, 1)]
    await keep(store, *documents)
    refused = replace(rejected(b"<x", "d9"), id=UUID(int=9))
    await store.store([], [refused], answers().finish)
    await store.place({(FACILITY, UUID(int=1)): 0})
    await store.prove({(FACILITY, UUID(int=1)): "proof"}, NOW)

    async def listed(
        before: int | None = None, state: SubmissionState | None = None, document_id: str = "", limit: int = 10
    ) -> list[int]:
        cursor = None if before is None else UUID(int=before)
        return [one.id.int for one in await store.submissions(FACILITY, cursor, state, document_id, limit)]

    assert await listed() == [9, 4, 3, 2, 1]
    assert await listed(limit=2) == [9, 4]
    assert await listed(before=4) == [3, 2, 1]
    assert await listed(state=SubmissionState.RETRIEVABLE) == [4, 2]
    assert await listed(state=SubmissionState.LOGGED) == [1]
    assert await listed(state=SubmissionState.HELD) == [3]
    assert await listed(state=SubmissionState.REJECTED) == [9]
    assert await listed(document_id="d2") == [2]
    assert await store.submissions("79001", None, None, "", 10) == []


async def test_the_original_bytes_come_back_with_their_signatures(store: Store) -> None:
    place = BatchPlace("facility/01001/batch/1\n1\nAA==\n", 0, (b"h" * 32,))
    carried = (
        DetachedSignature(SignatureForm.CMS_DETACHED, b"first"),
        DetachedSignature(SignatureForm.XADES_DETACHED, b"", "XML13"),
        DetachedSignature(SignatureForm.JWS_DETACHED, b"third" * 1000),
        DetachedSignature(SignatureForm.BATCH, b"fourth", batch=place),
    )
    one = accepted(episode(1), signatures=carried)
    bare = accepted(episode(2), "b")
    finished = await keep(store, one, bare)
    stored = await store.original(FACILITY, one.id)
    assert stored is not None
    assert (stored.content, stored.signatures) == (one.incoming.content, one.incoming.signatures)
    assert stored.record.answer == finished[0].answer
    plain = await store.original(FACILITY, bare.id)
    assert plain is not None
    assert plain.signatures == ()
    assert await store.original("79001", one.id) is None


async def test_an_index_entry_is_kept_whole(store: Store) -> None:
    one = accepted(episode(1, referral_to="79001"))
    await keep(store, one)
    entry = await store.document(one.id)
    assert entry is not None
    assert entry.kinds == one.parsed.kinds
    assert (entry.care_start, entry.care_end) == (one.parsed.admitted, one.parsed.discharged)
    assert (entry.person, entry.facility, entry.sha256) == (one.filing.person, FACILITY, one.incoming.sha256)
    assert (entry.size, entry.held, entry.format) == (len(one.incoming.content), False, "XML130")
    assert await store.document(uuid7()) is None


@pytest.fixture
def person() -> UUID:
    return uuid7()


async def three(store: Store, person: UUID) -> list[Accepted]:
    """Documents of one person in the order of the care, oldest first."""
    documents = [accepted(episode(n), f"d{n}", person) for n in (11, 12, 13)]
    await keep(store, *documents, accepted(episode(14), "stranger"))
    return sorted(documents, key=lambda one: one.care[1])


async def test_documents_by_permission(store: Store, person: UUID) -> None:
    old, middle, new = await three(store, person)

    async def found(
        *permissions: Permission, span: Span = ALWAYS, after: Cursor | None = None, limit: int = 9
    ) -> list[UUID]:
        selection = Selection((person,), permissions, span, None, after, limit)
        return [entry.id for entry in await store.documents(selection)]

    everything = Permission(ALL)
    assert await found(everything) == [new.id, middle.id, old.id]
    assert await found(everything, limit=2) == [new.id, middle.id]
    assert await found(everything, after=Cursor(middle.care[1], middle.id)) == [old.id]
    assert await found() == []
    assert await found(Permission(frozenset({ContentKind.HIV_CARE}))) == []
    # A permission ends before its last instant: care that ends then is not inside.
    until = Span(None, middle.care[1])
    assert await found(Permission(ALL, until)) == [old.id]
    assert await found(everything, span=Span(None, middle.care[1] + MINUTE)) == [middle.id, old.id]
    since = Span(middle.care[0], None)
    assert set(await found(Permission(ALL, since))) == {new.id, middle.id}
    # Time and kind must be permitted together.
    assert await found(Permission(frozenset({ContentKind.HIV_CARE})), Permission(ALL, until)) == [old.id]


async def test_documents_by_source_and_sensitive_class(store: Store, person: UUID) -> None:
    def coded(number: int, facility: str, *codes: str) -> Accepted:
        one = accepted(episode(number, facility), f"c{number}", person)
        return replace(one, parsed=replace(one.parsed, diagnosis_codes=frozenset(codes)))

    plain, here = coded(21, FACILITY, "J18.9"), coded(22, "79001", "I10")
    psychiatric, both = coded(23, FACILITY, "F32.1"), coded(24, FACILITY, "F20", "Z21")
    await keep(store, plain, here, psychiatric, both)

    async def found(*permissions: Permission) -> set[UUID]:
        return {one.id for one in await store.documents(Selection((person,), permissions))}

    assert await found(Permission(ALL)) == {plain.id, here.id}
    assert await found(Permission(ALL, source="79001")) == {here.id}
    named = frozenset({SensitivityClass.PSYCHIATRIC})
    assert await found(Permission(ALL, classes=named)) == {plain.id, here.id, psychiatric.id}
    # All classes of a document must be in one permission.
    hiv = frozenset({SensitivityClass.HIV})
    assert both.id not in await found(Permission(ALL, classes=named), Permission(ALL, classes=hiv))
    assert await found(Permission(ALL, classes=named | hiv, source=FACILITY)) == {plain.id, psychiatric.id, both.id}
    stored = await store.document(both.id)
    assert stored is not None
    assert stored.classes == named | hiv
    book = await store.health_book(Selection((person,), (Permission(HEALTH_BOOK_KINDS, source="79001"),)))
    assert [entry.id for entry, _ in book] == [here.id]


async def test_held_documents_are_for_their_facility_alone(store: Store, person: UUID) -> None:
    held = accepted(episode(1), "held", person, held=True)
    open_ = accepted(episode(2, "79001"), "open", person)
    await keep(store, held, open_)
    everything = (Permission(ALL),)
    assert [one.id for one in await store.documents(Selection((person,), everything))] == [open_.id]
    own = Selection((person,), everything, facility=FACILITY)
    assert [one.id for one in await store.documents(own)] == [held.id]
    assert await store.own_document((person,), FACILITY) == held.id
    assert await store.own_document((person,), "24001") is None


async def test_the_health_book_opens_only_what_is_permitted(store: Store, person: UUID) -> None:
    documents = await three(store, person)
    new = documents[-1]
    whole = await store.health_book(Selection((person,), (Permission(HEALTH_BOOK_KINDS),)))
    assert [entry.id for entry, _ in whole] == [one.id for one in reversed(documents)]
    assert join(whole[0][1]) == new.parsed.health_book_entry
    part = await store.health_book(Selection((person,), (Permission(frozenset({DRUGS})),), limit=1))
    ((entry, parts),) = part
    assert entry.id == new.id
    assert parts.keys() == {DRUGS}
    late = Span(new.care[0], None)
    mixed = (Permission(frozenset({SUMMARY})), Permission(frozenset({DRUGS}), late))
    assert [DRUGS in parts for _, parts in await store.health_book(Selection((person,), mixed))] == [True, False, False]


async def test_care_without_readable_times_counts_from_receipt(store: Store, person: UUID) -> None:
    one = accepted(episode(1), person=person)
    await keep(store, replace(one, parsed=replace(one.parsed, admitted=None, discharged=None)))
    (entry,) = await store.documents(Selection((person,), (Permission(ALL),)))
    assert entry.care_start == entry.care_end == NOW
    early = accepted(episode(2), "b", person)
    ends = early.parsed.admitted
    assert ends is not None
    backwards = replace(early.parsed, discharged=ends - timedelta(days=1))
    await keep(store, replace(early, parsed=backwards))
    entry_ = await store.document(early.id)
    assert entry_ is not None
    assert entry_.care_start == entry_.care_end == ends


async def test_the_stored_answer_is_the_one_given(store: Store) -> None:
    one = accepted(episode(1))
    (done,) = await keep(store, one)
    record = await store.submission(FACILITY, one.id)
    assert record is not None
    message = answer_message(record.answer)
    assert message.SerializeToString(deterministic=True) == done.answer
    assert message.name == f"submissions/{one.id}"
    assert message.document == f"documents/{one.id}"
    assert message.sequence == 1
