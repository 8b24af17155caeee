"""Giving a person a copy of all their documents, in pieces, so that its size does not matter."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.keyring import DataErased
from services.chassis.principal import Principal
from services.records.errors import ExportTooLarge, ReadNotPermitted
from services.records.export import DECIDED_FOR, MOST_DOCUMENTS, Copied, ExportForm, ExportStore
from services.records.formats.asic import ContainerStream
from services.records.model import (
    AccessContext,
    Cursor,
    Decision,
    DocumentEntry,
    Query,
    Selection,
    Span,
    readable_kinds,
)
from services.records.ports import Consent
from services.records.service.documents import ALL_KINDS, StoredBytesAltered

_METHOD = "lienthong.records.v1.ExportService/ExportPersonData"
_PAGE = 50


class ExportService:
    """An export is a read: decided before its first byte and again before each 16 MiB, on the ledger, and kept as a disclosure."""

    def __init__(self, store: ExportStore, consent: Consent, form: ExportForm, clock: Clock) -> None:
        self._store = store
        self._consent = consent
        self._form = form
        self._clock = clock

    async def begin(self, person: UUID, context: AccessContext) -> Decision:
        """Asks whether the caller may have it all. Raises ReadNotPermitted, Unavailable."""
        decision = await self._consent.decide(Query(person, context, ALL_KINDS, _METHOD, Span(None, None)))
        if not decision.permitted:
            raise ReadNotPermitted(decision.name, decision.would_change)
        return decision

    async def pieces(
        self, principal: Principal, person: UUID, context: AccessContext, decision: Decision
    ) -> AsyncIterator[bytes]:
        """The container's bytes, in order. What a decision does not cover is left out, and so is what was erased. Raises ReadNotPermitted when
        a later decision refuses, ExportTooLarge.
        """
        container, copied = ContainerStream(), list[Copied]()
        entries, decided_at = await self._store.entries(person), 0
        after: Cursor | None = None
        while True:
            selection = Selection(entries.all, decision.permissions, Span(None, None), None, after, _PAGE + 1)
            found = await self._store.documents(selection)
            page = [one for one in found[:_PAGE] if readable_kinds(one, decision.permissions) == frozenset(one.kinds)]
            if len(copied) + len(page) > MOST_DOCUMENTS:
                raise ExportTooLarge
            await self._store.disclose(
                principal.facility or "", [(one.facility, one.id) for one in page], self._clock()
            )
            for entry in page:
                if container.size - decided_at >= DECIDED_FOR:
                    decision, decided_at = await self.begin(person, context), container.size
                one = await self._copy(container, entry)
                if one is not None:
                    copied.append(one)
                yield container.take()
            if len(found) <= _PAGE:
                break
            last = found[_PAGE - 1]
            after = Cursor(last.care_end, last.id)
        for member in await asyncio.to_thread(self._form.overview, entries.current, copied, self._clock()):
            container.add(member)
        container.close(self._form.seal)
        yield container.take()

    async def _copy(self, container: ContainerStream, entry: DocumentEntry) -> Copied | None:
        try:
            stored = await self._store.original(entry.facility, entry.id)
        except DataErased:
            return None
        if stored is None or hashlib.sha256(stored.content).hexdigest() != entry.sha256:
            raise StoredBytesAltered
        copied, members = self._form.document(entry, stored)
        for member in members:
            container.add(member)
        return copied
