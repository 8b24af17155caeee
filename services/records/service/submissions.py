"""What became of a facility's submissions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.records.errors import SubmissionNotFound
from services.records.model import SubmissionRecord, SubmissionState
from services.records.ports import IntakeStore


class SubmissionService:
    """Reads submissions. A facility sees its own and learns nothing of others'."""

    def __init__(self, store: IntakeStore) -> None:
        self._store = store

    async def get(self, facility: str, id: UUID) -> SubmissionRecord:
        """One submission. Raises SubmissionNotFound."""
        found = await self._store.submission(facility, id)
        if found is None:
            raise SubmissionNotFound("no such submission")
        return found

    async def list(
        self, facility: str, before: UUID | None, state: SubmissionState | None, document_id: str, limit: int
    ) -> Sequence[SubmissionRecord]:
        """A page, newest first."""
        return await self._store.submissions(facility, before, state, document_id, limit)
