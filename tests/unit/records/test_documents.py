"""Giving documents out: one decision per read, and nothing beyond it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from services.chassis.errors import PeerUnavailable
from services.chassis.identifiers import uuid7
from services.chassis.principal import Principal, PrincipalKind
from services.records.errors import DocumentNotFound, ReadNotPermitted
from services.records.formats.document import ContentKind
from services.records.model import (
    ALWAYS,
    MINUTE,
    Accepted,
    AccessContext,
    Permission,
    Span,
    StoredContent,
)
from services.records.service.documents import DocumentService, StoredBytesAltered
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import FakeConsent
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode
from tests.unit.records.conftest import no_span

LAW, CONSENT, OWN_DATA = 6, 1, 7
OTHER = "79001"
ALL = frozenset(ContentKind)
SUMMARY, DRUGS = ContentKind.ENCOUNTER_SUMMARY, ContentKind.PRESCRIPTION


def facility(code: str) -> Principal:
    return Principal(PrincipalKind.FACILITY, f"facility:{code}", facility=code)


def citizen(person: UUID) -> Principal:
    return Principal(PrincipalKind.CITIZEN, "citizen", person=f"persons/{person}")


def why(basis: int = CONSENT) -> AccessContext:
    return AccessContext(1, basis)


class House:
    """A store with documents, a scripted consent, and the service between them."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.consent = FakeConsent(own=True)
        self.service = DocumentService(self.store, self.consent, no_span, LAW, lambda: NOW)
        self.person = uuid7()

    async def keep(self, *documents: Accepted) -> None:
        await self.store.store(documents, [], answers().finish)

    async def document(self, seed: int = 1, at: str = FACILITY, *, held: bool = False) -> Accepted:
        one = accepted(episode(seed, at), f"d{seed}", self.person, held=held)
        await self.keep(one)
        return one

    def permit(self, *kinds: ContentKind, span: Span = ALWAYS) -> None:
        self.consent.permissions = (Permission(frozenset(kinds) or ALL, span),)


@pytest.fixture
def house() -> House:
    return House()


async def test_permitted_bytes_are_given_with_their_decision(house: House) -> None:
    one = await house.document()
    house.permit()
    entry, stored, decision = await house.service.get(facility(OTHER), one.id, why())
    assert stored.content == one.incoming.content
    assert entry.id == one.id
    assert decision.name == "decisions/1"
    (query,) = house.consent.queries
    assert query.person == house.person
    assert query.kinds == frozenset(one.parsed.kinds)
    assert query.resources == (f"documents/{one.id}",)
    assert query.own_documents == ()
    assert query.method == "lienthong.records.v1.DocumentService/GetDocument"
    # The care of the document, so that the decision is about this document and not about all time.
    assert query.span == Span(one.care[0], one.care[1] + MINUTE)


async def test_an_own_document_comes_with_evidence(house: House) -> None:
    one = await house.document()
    _, stored, _ = await house.service.get(facility(FACILITY), one.id, why(LAW))
    assert stored.content == one.incoming.content
    assert house.consent.queries[0].own_documents == (f"documents/{one.id}",)


async def test_signed_bytes_are_given_whole_or_not_at_all(house: House) -> None:
    one = await house.document()
    house.permit(SUMMARY)
    with pytest.raises(ReadNotPermitted) as refused:
        await house.service.get(facility(OTHER), one.id, why())
    assert refused.value.metadata == {"decision": "decisions/1", "would_change": "OBTAIN_CONSENT"}
    house.permit(span=Span(None, one.care[1]))
    with pytest.raises(ReadNotPermitted):
        await house.service.get(facility(OTHER), one.id, why())


async def test_what_does_not_exist_is_not_found(house: House) -> None:
    with pytest.raises(DocumentNotFound):
        await house.service.get(facility(OTHER), uuid7(), why())
    assert house.consent.queries == []


async def test_a_held_document_exists_for_its_facility_alone(house: House) -> None:
    one = await house.document(held=True)
    house.permit()
    for reader in (facility(OTHER), citizen(house.person)):
        with pytest.raises(DocumentNotFound):
            await house.service.get(reader, one.id, why())
    _, stored, _ = await house.service.get(facility(FACILITY), one.id, why(LAW))
    assert stored.content == one.incoming.content


async def test_a_citizen_learns_nothing_of_others_documents(house: House) -> None:
    one = await house.document()
    with pytest.raises(DocumentNotFound):
        await house.service.get(citizen(uuid7()), one.id, why(OWN_DATA))
    # The attempt went through consent and so is on the ledger.
    assert len(house.consent.queries) == 1
    with pytest.raises(ReadNotPermitted):
        await house.service.get(citizen(house.person), one.id, why(OWN_DATA))


async def test_nothing_is_given_while_consent_does_not_answer(house: House) -> None:
    one = await house.document()
    house.consent.fault = PeerUnavailable("consent")
    with pytest.raises(PeerUnavailable):
        await house.service.get(facility(FACILITY), one.id, why(LAW))
    with pytest.raises(PeerUnavailable):
        await house.service.list(facility(OTHER), house.person, why(), frozenset(), ALWAYS, None, 9)
    with pytest.raises(PeerUnavailable):
        await house.service.health_book(facility(OTHER), house.person, why(), ALWAYS, None, 9)


async def test_altered_bytes_are_not_given(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await house.document()
    house.permit()
    real = house.store.original

    async def altered(facility: str, id: UUID) -> StoredContent | None:
        stored = await real(facility, id)
        return stored and StoredContent(stored.content + b" ", stored.signatures, stored.record)

    monkeypatch.setattr(house.store, "original", altered)
    with pytest.raises(StoredBytesAltered):
        await house.service.get(facility(OTHER), one.id, why())


async def test_a_list_shows_only_kinds_that_may_be_known(house: House) -> None:
    one = await house.document()
    house.permit(SUMMARY)
    page = await house.service.list(facility(OTHER), house.person, why(), frozenset(), ALWAYS, None, 9)
    assert [(entry.id, shown) for entry, shown in page.documents] == [(one.id, frozenset({SUMMARY}))]
    assert house.consent.queries[0].kinds == ALL
    assert {part.kind for part in page.decision.withheld} == ALL - {SUMMARY}


async def test_a_list_by_kind_and_time_asks_for_no_more(house: House) -> None:
    one = await house.document()
    house.permit()
    span = Span(None, one.care[1])
    page = await house.service.list(facility(OTHER), house.person, why(), frozenset({DRUGS}), span, None, 9)
    assert page.documents == []
    (query,) = house.consent.queries
    assert (query.kinds, query.span) == (frozenset({DRUGS}), span)
    page = await house.service.list(facility(OTHER), house.person, why(), frozenset({DRUGS}), ALWAYS, None, 9)
    assert [shown for _, shown in page.documents] == [{DRUGS}]


async def test_without_permission_a_list_is_refused_whether_there_is_anything_or_not(house: House) -> None:
    await house.document()
    for person in (house.person, uuid7()):
        with pytest.raises(ReadNotPermitted):
            await house.service.list(facility(OTHER), person, why(), frozenset(), ALWAYS, None, 9)


async def test_a_facility_that_treated_the_person_says_so(house: House) -> None:
    one = await house.document()
    house.permit()
    await house.service.list(facility(FACILITY), house.person, why(), frozenset(), ALWAYS, None, 9)
    (query,) = house.consent.queries
    assert (query.resources, query.own_documents) == ((), (f"documents/{one.id}",))


async def test_by_law_a_facility_lists_what_it_made_and_nothing_else(house: House) -> None:
    own = await house.document(1)
    held = await house.document(2, held=True)
    await house.document(3, OTHER)
    page = await house.service.list(facility(FACILITY), house.person, why(LAW), frozenset(), ALWAYS, None, 9)
    assert {entry.id for entry, _ in page.documents} == {own.id, held.id}
    (query,) = house.consent.queries
    assert set(query.resources) == set(query.own_documents) == {f"documents/{own.id}", f"documents/{held.id}"}
    book = await house.service.health_book(facility(FACILITY), house.person, why(LAW), ALWAYS, None, 9)
    assert {entry.id for entry, _ in book.entries} == {own.id, held.id}
    with pytest.raises(ReadNotPermitted):
        await house.service.list(facility("24001"), house.person, why(LAW), frozenset(), ALWAYS, None, 9)


async def test_pages_go_on_where_the_last_one_ended(house: House) -> None:
    documents = [await house.document(seed) for seed in range(1, 6)]
    house.permit()
    expected = [one.id for one in sorted(documents, key=lambda one: (one.care[1], one.id), reverse=True)]
    for read in (house.service.list, None):
        found, cursor, pages = [], None, 0
        while True:
            if read is not None:
                page = await read(facility(OTHER), house.person, why(), frozenset(), ALWAYS, cursor, 2)
                found += [entry.id for entry, _ in page.documents]
                cursor = page.more
            else:
                book = await house.service.health_book(facility(OTHER), house.person, why(), ALWAYS, cursor, 2)
                found += [entry.id for entry, _ in book.entries]
                cursor = book.more
            pages += 1
            if cursor is None:
                break
        assert found == expected
        assert pages == 3


async def test_own_pages_name_no_more_documents_than_a_decision_takes(house: House) -> None:
    one = accepted(episode(1), "d", house.person)
    copies = [
        replace(one, id=uuid7(), incoming=replace(one.incoming, document_id=f"d{number}")) for number in range(130)
    ]
    await house.keep(*copies)
    page = await house.service.list(facility(FACILITY), house.person, why(LAW), frozenset(), ALWAYS, None, 500)
    assert len(page.documents) == 99
    assert len(house.consent.queries[0].resources) == 100
    rest = await house.service.list(facility(FACILITY), house.person, why(LAW), frozenset(), ALWAYS, page.more, 500)
    assert len(rest.documents) == 31
    assert rest.more is None


async def test_the_health_book_is_cut_to_the_permitted_kinds(house: House) -> None:
    one = await house.document()
    house.permit(DRUGS)
    page = await house.service.health_book(facility(OTHER), house.person, why(), ALWAYS, None, 9)
    ((entry, book),) = page.entries
    whole = one.parsed.health_book_entry
    assert whole is not None
    assert entry.id == one.id
    assert book.drugs == whole.drugs
    assert (book.main_diagnosis, book.diagnosis, book.reason, book.results, book.summary) == ("", "", "", (), None)
    house.permit()
    page = await house.service.health_book(facility(OTHER), house.person, why(), ALWAYS, None, 9)
    assert page.entries[0][1] == whole
