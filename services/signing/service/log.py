"""Operations on the transparency log: append, publish, prove (RFC 6962, C2SP tlog-checkpoint and tlog-proof)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from lienthong.client.tlog.merkle import consistency_path, inclusion_path, nodes_for_consistency, nodes_for_inclusion
from lienthong.client.tlog.proof import TlogProof

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.signing.errors import CheckpointNotFound, TreeSizeOutOfRange
from services.signing.model import Checkpoint, CheckpointTimestamp
from services.signing.ports import CheckpointSigner, CheckpointStore, LogStore

ENTRY_BYTES = 4096
"""Largest entry; entries are commitments with their frame, well under 1 KiB."""


class LogService:
    """Use cases of the log. Proofs are given under published checkpoints only, so a reader never sees a tree that was not signed.

    `patience` is how long receipts wait for the quorum of witnesses; None when the policy asks for no witness. `unwitnessed` is told how many
    proofs were given under a checkpoint without quorum.
    """

    def __init__(
        self,
        store: LogStore,
        checkpoints: CheckpointStore,
        sign: CheckpointSigner,
        clock: Clock,
        patience: timedelta | None = None,
        unwitnessed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._checkpoints = checkpoints
        self._sign = sign
        self._clock = clock
        self._patience = patience
        self._unwitnessed = unwitnessed

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends entries of 1 to 4096 bytes, at most 1000; returns the index of each. Entries already there keep theirs."""
        if not 1 <= len(entries) <= 1000:
            raise InvalidArgument.of(FieldViolation("entries", "1 to 1000 entries", "COUNT_OUT_OF_RANGE"))
        wrong = [
            FieldViolation(f"entries[{place}]", f"1 to {ENTRY_BYTES} bytes", "SIZE_OUT_OF_RANGE")
            for place, entry in enumerate(entries)
            if not 1 <= len(entry) <= ENTRY_BYTES
        ]
        if wrong:
            raise InvalidArgument.of(*wrong)
        return await self._store.append(entries)

    async def publish(self) -> Checkpoint | None:
        """Publishes a checkpoint if the tree has grown. Raises LogForked rather than sign a tree that does not extend the last one."""
        return await self._store.publish(self._sign, self._clock())

    async def checkpoint(self) -> Checkpoint:
        """The newest published checkpoint with the cosignatures at hand; `witnessed` also when the policy asks for none."""
        found = await self._checkpoints.newest()
        if found is None:
            raise CheckpointNotFound("no checkpoint is published yet")
        return found if self._patience is not None else replace(found, witnessed=True)

    async def timestamp(self, least_size: int) -> CheckpointTimestamp:
        """The oldest time-stamped checkpoint that covers this many entries; with 0 the newest one."""
        if least_size < 0:
            raise InvalidArgument.of(FieldViolation("least_size", "0 or more", "OUT_OF_RANGE"))
        found = await self._checkpoints.timestamp(least_size)
        if found is None:
            raise CheckpointNotFound("no time-stamped checkpoint covers that size yet")
        return found

    async def inclusion(self, leaf_index: int, tree_size: int) -> tuple[bytes, Sequence[bytes]]:
        """Leaf hash and path of a leaf in the tree of a size that a published checkpoint covers."""
        newest = await self.checkpoint()
        if not 0 <= leaf_index < tree_size <= newest.size:
            raise TreeSizeOutOfRange(
                "leaf_index < tree_size <= size of the newest checkpoint must hold",
                violations=(
                    FieldViolation("tree_size", f"more than leaf_index and at most {newest.size}", "OUT_OF_RANGE"),
                ),
            )
        nodes = await self._store.nodes([(0, leaf_index), *nodes_for_inclusion(leaf_index, tree_size)])
        return nodes[0, leaf_index], inclusion_path(leaf_index, tree_size, nodes)

    async def consistency(self, old_size: int, new_size: int) -> Sequence[bytes]:
        """Path that proves the tree of one size to be a prefix of the other's."""
        newest = await self.checkpoint()
        if not 1 <= old_size <= new_size <= newest.size:
            raise TreeSizeOutOfRange(
                "1 <= old_size <= new_size <= size of the newest checkpoint must hold",
                violations=(
                    FieldViolation("new_size", f"at least old_size and at most {newest.size}", "OUT_OF_RANGE"),
                ),
            )
        nodes = await self._store.nodes(nodes_for_consistency(old_size, new_size))
        return consistency_path(old_size, new_size, nodes)

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        """Entries from an index on, only those that a published checkpoint covers."""
        if start < 0:
            raise InvalidArgument.of(FieldViolation("start_index", "0 or more", "OUT_OF_RANGE"))
        if not 0 <= limit <= 1000:
            raise InvalidArgument.of(FieldViolation("page_size", "0 to 1000", "OUT_OF_RANGE"))
        newest = await self._checkpoints.newest()
        covered = 0 if newest is None else newest.size
        count = min(limit or 256, covered - start)
        return await self._store.entries(start, count) if count > 0 else []

    async def proofs(self, leaf_indexes: Sequence[int], tree_size: int = 0) -> Sequence[str]:
        """tlog-proof@v1 texts under the published checkpoint of a size, with 0 under the newest that may be given out; empty for entries it
        does not cover. A few round trips for the whole batch."""
        if not 1 <= len(leaf_indexes) <= 1000:
            raise InvalidArgument.of(FieldViolation("leaf_indexes", "1 to 1000 indexes", "COUNT_OUT_OF_RANGE"))
        newest = await self._of_size(tree_size) if tree_size else await self._provable()
        if newest is None:
            return [""] * len(leaf_indexes)
        covered = {index for index in leaf_indexes if 0 <= index < newest.size}
        wanted = {place for index in covered for place in nodes_for_inclusion(index, newest.size)}
        nodes = await self._store.nodes(sorted(wanted))
        entries = await self._store.entries_at(sorted(covered))
        texts = {
            index: TlogProof(
                index=index,
                path=tuple(inclusion_path(index, newest.size, nodes)),
                checkpoint=newest.cosigned,
                extra=entries[index],
            ).encode()
            for index in covered
        }
        if self._patience is not None and not newest.witnessed and texts:
            self._unwitnessed(len(texts))
        return [texts.get(index, "") for index in leaf_indexes]

    async def _of_size(self, size: int) -> Checkpoint:
        found = await self._checkpoints.of_size(size) if size > 0 else None
        if found is None:
            raise CheckpointNotFound("no checkpoint of that size is published")
        return found

    async def _provable(self) -> Checkpoint | None:
        """The newest checkpoint that has the quorum; the newest of all once the quorum has been missing for longer than the patience, so
        that no facility waits for ever: whoever checks such a receipt with the policy is told by name that the quorum is missing."""
        newest = await self._checkpoints.newest()
        if newest is None or newest.witnessed or self._patience is None:
            return newest
        since = await self._checkpoints.unwitnessed_since()
        if since is not None and self._clock() - since > self._patience:
            return newest
        return await self._checkpoints.newest_witnessed()
