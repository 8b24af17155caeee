"""Evidence packages: everything that proves a document years later, to whoever holds public keys."""

from __future__ import annotations

import asyncio
from uuid import UUID

from lienthong.client.tlog.proof import TlogProof

from services.chassis import log
from services.chassis.principal import Principal
from services.records.model import AccessContext, Decision, DocumentEntry, StoredContent
from services.records.ports import PackageFormat, ProofStore, Signing
from services.records.proof import PackageContents, TimestampedCheckpoint
from services.records.service.documents import DocumentService

_METHOD = "lienthong.records.v1.EvidenceService/GetEvidencePackage"


class PackageService:
    """Puts packages together. A read like any other: decided, on the ledger, and kept as a disclosure."""

    def __init__(self, documents: DocumentService, store: ProofStore, signing: Signing, form: PackageFormat) -> None:
        self._documents = documents
        self._store = store
        self._signing = signing
        self._form = form

    async def get(self, principal: Principal, id: UUID, context: AccessContext) -> tuple[bytes, Decision]:
        """The sealed container. Raises DocumentNotFound, ReadNotPermitted, Unavailable."""
        entry, stored, decision = await self._documents.get(principal, id, context, _METHOD)
        contents = await self.contents(entry, stored)
        return await asyncio.to_thread(self._form.build, contents), decision

    async def contents(self, entry: DocumentEntry, stored: StoredContent) -> PackageContents:
        """What the package of a document holds now."""
        verdicts = tuple(await self._store.verdicts(entry.facility, entry.id))
        renewals = tuple(await self._store.renewals(entry.facility, entry.id))
        bare = PackageContents(entry, stored, verdicts)
        named = self._form.evidence_named(bare)
        evidence, checkpoint = await asyncio.gather(self._signing.evidence(named), self._checkpoint(stored))
        missing = len(named) - len({piece.sha256 for piece in evidence})
        if missing:
            # Whoever needs the proof is better off with what there is; the verifier names what is not.
            log.event("evidence_missing", level="error", pieces=missing)
        return PackageContents(entry, stored, verdicts, tuple(evidence), checkpoint, renewals)

    async def _checkpoint(self, stored: StoredContent) -> TimestampedCheckpoint | None:
        if not stored.record.tlog_proof:
            return None
        return await self._signing.timestamped_checkpoint(TlogProof.parse(stored.record.tlog_proof).index)
