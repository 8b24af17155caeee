"""Showing ledgers, and tying them into the transparency log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from uuid import UUID

from lienthong.client.ledger.anchor import SALT_SIZE

from services.chassis.clock import Clock
from services.chassis.principal import Principal, PrincipalKind
from services.consent.anchors import MOST_HEADS, Anchored, anchoring
from services.consent.errors import NotThePerson
from services.consent.model import Access
from services.consent.ports import LedgerPlace, LedgerStore, Log
from services.consent.service.persons import acts_for

_ENTRIES = 100


class LedgerService:
    """A person's ledger, for the person, their guardians, and auditors."""

    def __init__(self, store: LedgerStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def accesses(
        self, principal: Principal, person: UUID, before: LedgerPlace | None, limit: int
    ) -> Sequence[Access]:
        """The ledger under all the person's entries, newest first; for the roles too that the access table lets in."""
        return await self._store.accesses(await self._entries(principal, person), before, limit)

    async def lines(
        self, principal: Principal, person: UUID, after: tuple[UUID, int] | None, limit: int
    ) -> Sequence[Access]:
        """The ledger as it is proven: by entry and number."""
        return await self._store.lines(await self._entries(principal, person), after, limit)

    async def anchors(self, principal: Principal, person: UUID) -> Sequence[Anchored]:
        """What ties the ledgers of the person's entries into the log."""
        return await self._store.anchors(await self._entries(principal, person))

    async def _entries(self, principal: Principal, person: UUID) -> Sequence[UUID]:
        if principal.kind not in {PrincipalKind.AUDITOR, PrincipalKind.WORKLOAD} and not await acts_for(
            self._store, principal, person, self._clock()
        ):
            raise NotThePerson("only the person concerned, their guardians or an auditor may read the ledger")
        return sorted((await self._store.entries(person)).all)


class AnchoringService:
    """Every step is kept before the next, and may be done again: an entry that is in the log already keeps its place."""

    def __init__(self, store: LedgerStore, log: Log, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._new_id = new_id

    async def anchor(self) -> int:
        """Anchors the heads that have grown; how many."""
        done = 0
        while heads := await self._store.grown(MOST_HEADS):
            new = anchoring(heads, self._new_id(), self._clock(), lambda: secrets.token_bytes(SALT_SIZE))
            if not await self._store.add_anchoring(new):
                break
            done += len(heads)
            if len(heads) < MOST_HEADS:
                break
        return done

    async def log(self) -> bool:
        """Appends what is not in the log, and fetches proofs; whether some entry still waits for either."""
        while entries := await self._store.unlogged(_ENTRIES):
            places = await self._log.append([entry for _, entry in entries])
            await self._store.place(dict(zip((id for id, _ in entries), places, strict=True)))
        unproven = await self._store.unproven(_ENTRIES)
        if not unproven:
            return False
        proofs = await self._log.proofs([index for _, index in unproven])
        found = {id: proof for (id, _), proof in zip(unproven, proofs, strict=True) if proof}
        if found:
            await self._store.prove(found)
        return len(found) < len(unproven) or len(unproven) == _ENTRIES
