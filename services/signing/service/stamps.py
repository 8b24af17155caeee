"""Time-stamping checkpoints: one RFC 3161 token gives every entry below it proof of existence (trust.md §2.4 c)."""

from __future__ import annotations

from services.signing.model import CheckpointTimestamp
from services.signing.ports import CheckpointStore, TimestampAuthority


class StampService:
    """Gets a token over the newest checkpoint."""

    def __init__(self, checkpoints: CheckpointStore, authority: TimestampAuthority) -> None:
        self._checkpoints = checkpoints
        self._authority = authority

    async def stamp(self) -> CheckpointTimestamp | None:
        """Stamps the newest checkpoint, if it has no token yet. The token covers the note as the log signed it: cosignatures come and go, and
        whoever holds them can cut them off. Raises TimestampFailed."""
        newest = await self._checkpoints.newest()
        if newest is None:
            return None
        last = await self._checkpoints.timestamp(0)
        if last is not None and last.checkpoint.size == newest.size:
            return None
        token, stated_at = await self._authority.stamp(newest.note.encode())
        stamped = CheckpointTimestamp(newest, token, stated_at)
        await self._checkpoints.stamp(stamped)
        return stamped
