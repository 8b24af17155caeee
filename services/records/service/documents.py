"""Giving documents out. One decision per read; its ledger entry is durable before a byte is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.feed import Entries
from services.chassis.principal import Principal, PrincipalKind
from services.records import telemetry
from services.records.errors import DocumentNotFound, ReadNotPermitted
from services.records.formats.document import ContentKind
from services.records.formats.health_book import HealthBookEntry
from services.records.model import (
    MINUTE,
    AccessContext,
    Cursor,
    Decision,
    DocumentEntry,
    Permission,
    Query,
    Selection,
    Span,
    StoredContent,
    readable_kinds,
)
from services.records.ports import Consent, DocumentStore, OpenSpan, ProofStore
from services.records.sensitivity import EVERY_CLASS
from services.records.service.parts import HEALTH_BOOK_KINDS, join

LARGEST_OWN_PAGE = 100
"""Documents that one decision can name."""
ALL_KINDS = frozenset(ContentKind)
_METHOD = "lienthong.records.v1.DocumentService/"
GET_DOCUMENT = _METHOD + "GetDocument"


class DocumentAndProofStore(DocumentStore, ProofStore, Protocol):
    """What reads need of the database."""


class StoredBytesAltered(Exception):
    """The stored bytes are not those that were received. A fault of ours; nothing of them is given out."""


@dataclass(frozen=True)
class DocumentPage:
    """A page of documents with the kinds of each that may be shown; `more` says where the next page begins. `unconfirmed` when what lies under
    linked entries was left out, because it is not known at the moment whether they are.
    """

    documents: Sequence[tuple[DocumentEntry, frozenset[ContentKind]]]
    decision: Decision
    more: Cursor | None
    unconfirmed: bool = False


@dataclass(frozen=True)
class HealthBookPage:
    """A page of the health book; `unconfirmed` as in `DocumentPage`."""

    entries: Sequence[tuple[DocumentEntry, HealthBookEntry]]
    decision: Decision
    more: Cursor | None
    unconfirmed: bool = False


class DocumentService:
    """Reads documents for the principal of the call in hand."""

    def __init__(
        self, store: DocumentAndProofStore, consent: Consent, span: OpenSpan, law_basis: int, clock: Clock
    ) -> None:
        """`law_basis` is the number of LEGAL_BASIS_LAW_19_1_DD: the ground on which a facility reads what it made itself."""
        self._store = store
        self._consent = consent
        self._span = span
        self._law_basis = law_basis
        self._clock = clock

    async def get(
        self, principal: Principal, id: UUID, context: AccessContext, method: str = GET_DOCUMENT
    ) -> tuple[DocumentEntry, StoredContent, Decision]:
        """The original bytes, for the RPC of that name. Raises DocumentNotFound, ReadNotPermitted, Unavailable."""
        entry = await self._store.document(id)
        if entry is None or (entry.held and principal.facility != entry.facility):
            raise DocumentNotFound
        query = Query(
            person=entry.person,
            context=context,
            kinds=frozenset(entry.kinds),
            method=method,
            span=Span(entry.care_start, entry.care_end + MINUTE),
            resources=(entry.name,),
            own_documents=(entry.name,) if principal.facility == entry.facility else (),
        )
        decision = await self._decide(query)
        if readable_kinds(entry, decision.permissions) != frozenset(entry.kinds):
            if principal.kind is PrincipalKind.CITIZEN and not await self._is_person(principal, entry):
                # The attempt is on the ledger; that the document exists is not this person's to know.
                raise DocumentNotFound
            raise _refused(decision)
        with self._span(telemetry.SPAN_OPEN):
            stored = await self._store.original(entry.facility, entry.id)
        if stored is None or hashlib.sha256(stored.content).hexdigest() != entry.sha256:
            raise StoredBytesAltered
        await self._disclose(principal, [entry])
        return entry, stored, decision

    async def list(  # noqa: PLR0913 - the request's fields
        self,
        principal: Principal,
        person: UUID,
        context: AccessContext,
        kinds: frozenset[ContentKind],
        span: Span,
        after: Cursor | None,
        limit: int,
    ) -> DocumentPage:
        """A page of documents, newest care first. No kinds means all that may be read."""
        query = Query(person, context, kinds or ALL_KINDS, _METHOD + "ListDocuments", span)
        entries = await self._store.entries(person)
        selection, decision = await self._select(principal, query, entries, after, limit)
        found = await self._store.documents(selection)
        page = found[: selection.limit - 1]
        shown = [(entry, readable_kinds(entry, decision.permissions)) for entry in page]
        return DocumentPage(shown, decision, _more(found, selection), entries.unconfirmed)

    async def health_book(  # noqa: PLR0913 - the request's fields
        self,
        principal: Principal,
        person: UUID,
        context: AccessContext,
        span: Span,
        after: Cursor | None,
        limit: int,
    ) -> HealthBookPage:
        """A page of the health book, assembled from the permitted parts, newest care first."""
        query = Query(person, context, HEALTH_BOOK_KINDS, _METHOD + "GetHealthBook", span)
        together = await self._store.entries(person)
        selection, decision = await self._select(principal, query, together, after, limit)
        with self._span(telemetry.SPAN_OPEN):
            found = await self._store.health_book(selection)
        entries = [(entry, join(parts)) for entry, parts in found[: selection.limit - 1]]
        await self._disclose(principal, [entry for entry, _ in entries])
        more = _more([entry for entry, _ in found], selection)
        return HealthBookPage(entries, decision, more, together.unconfirmed)

    async def _disclose(self, principal: Principal, entries: Sequence[DocumentEntry]) -> None:
        """Keeps who is given what; durable before a byte leaves, so that a compromised key's readers can be told."""
        places = [(entry.facility, entry.id) for entry in entries]
        await self._store.disclose(principal.facility or "", places, self._clock())

    async def _select(
        self, principal: Principal, query: Query, entries: Entries, after: Cursor | None, limit: int
    ) -> tuple[Selection, Decision]:
        """Asks for the decision and says what it lets a page hold; one row more than the page tells whether there is
        another.
        """
        facility = principal.facility
        own: tuple[str, ...] = ()
        scope: str | None = None
        if facility is not None and query.context.legal_basis == self._law_basis:
            # By law a facility may read what it made itself, and nothing but that: the decision names those documents.
            scope, limit = facility, min(limit, LARGEST_OWN_PAGE - 1)
            every = (Permission(query.kinds, classes=EVERY_CLASS),)
            candidates = await self._store.documents(
                Selection(entries.all, every, query.span, facility, after, limit + 1)
            )
            own = tuple(entry.name for entry in candidates)
        elif facility is not None:
            made = await self._store.own_document(entries.all, facility)
            own = () if made is None else (f"documents/{made}",)
        decision = await self._decide(
            Query(
                person=query.person,
                context=query.context,
                kinds=query.kinds,
                method=query.method,
                span=query.span,
                resources=own if scope is not None else (),
                own_documents=own,
            )
        )
        if not decision.permitted:
            raise _refused(decision)
        wanted = tuple(
            replace(one, kinds=one.kinds & query.kinds) for one in decision.permissions if one.kinds & query.kinds
        )
        return Selection(entries.all, wanted, query.span, scope, after, limit + 1), decision

    async def _is_person(self, principal: Principal, entry: DocumentEntry) -> bool:
        """Whether the document is the calling citizen's, whichever entry names them."""
        names = {f"persons/{one}" for one in (await self._store.entries(entry.person)).all}
        return principal.person in names

    async def _decide(self, query: Query) -> Decision:
        with self._span(telemetry.SPAN_DECIDE):
            return await self._consent.decide(query)


def _refused(decision: Decision) -> ReadNotPermitted:
    return ReadNotPermitted(decision.name, decision.would_change)


def _more(found: Sequence[DocumentEntry], selection: Selection) -> Cursor | None:
    if len(found) < selection.limit:
        return None
    last = found[selection.limit - 2]
    return Cursor(last.care_end, last.id)
