"""What the desk of the stewards needs of a transaction: links, their history, filed source records, review tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.identity.links import FiledRecord, LinkEvent, PersonLink, ReviewFigures, ReviewState, ReviewTask
from services.identity.model import Person

Place = tuple[datetime, UUID]
"""Where a page ended, in order of time and id."""
TaskPlace = tuple[int, datetime, UUID]
"""Where a page of tasks ended: documents waiting, raised at, id."""


class DeskTransaction(Protocol):
    """The part of a transaction that stewards work with."""

    async def persons(self, ids: Collection[UUID]) -> Mapping[UUID, Person]:
        """Entries with all identifiers; who was erased is left out."""

    async def stewarded(self, ids: Collection[UUID], until: datetime | None = None) -> frozenset[UUID]:
        """Those of the entries that a steward registered or changed, until a time, that included."""

    async def hold(self, ids: Collection[UUID]) -> None:
        """Holds the entries, in order of id, until the transaction ends: nobody else links or changes them. May raise LinksMoved when other
        entries are held before.
        """

    async def link(self, id: UUID) -> PersonLink | None:
        """A link."""

    async def proposal(self, person: UUID, target: UUID) -> PersonLink | None:
        """The oldest link from one entry to the other that waits for a second steward."""

    async def edges(self, entries: Collection[UUID]) -> Mapping[UUID, UUID]:
        """The edges in force that start at these entries, to where they lead."""

    async def refusals(self, left: Collection[UUID], right: Collection[UUID]) -> Mapping[tuple[UUID, UUID], UUID]:
        """Refusals between an entry of one side and one of the other, smaller id first, with the event of each."""

    async def write_event(
        self,
        event: LinkEvent,
        *,
        link: PersonLink | None = None,
        redirects: Mapping[UUID, UUID] | None = None,
        withdrawn: Collection[tuple[UUID, UUID]] = (),
        refused: tuple[UUID, UUID] | None = None,
    ) -> None:
        """Adds to the history and carries the tables along: the link as it is now, who answers for each entry (one that answers for itself
        loses its redirect), refusals taken back, the refusal that comes, if it is not there.
        """

    async def link_event(self, id: UUID) -> LinkEvent | None:
        """A line of the history."""

    async def link_events(
        self, entries: Collection[UUID], after: Place | None, limit: int, until: datetime | None = None
    ) -> Sequence[LinkEvent]:
        """Lines that name one of the entries, oldest first, until a time, that included."""

    async def events_of_link(self, link: UUID) -> Sequence[LinkEvent]:
        """Lines of one link, oldest first."""

    async def last_event_at(self, entries: Collection[UUID]) -> datetime | None:
        """When the last line was written that names one of the entries."""

    async def filed(self, id: UUID) -> FiledRecord | None:
        """A source record."""

    async def filed_under(self, id: UUID, after: Place | None, limit: int) -> Sequence[FiledRecord]:
        """Source records of an entry, oldest first."""

    async def filed_between(
        self, ids: Collection[UUID], since: datetime, until: datetime, limit: int
    ) -> Sequence[FiledRecord]:
        """Source records that were matched to one of the entries within a time, newest first."""

    async def move_filed(self, id: UUID, target: UUID) -> None:
        """Files a source record under another entry."""

    async def review_task(self, id: UUID, *, hold: bool = False) -> ReviewTask | None:
        """A task; held until the transaction ends where it is going to be changed."""

    async def review_tasks(
        self, state: ReviewState | None, facility: str | None, after: TaskPlace | None, limit: int
    ) -> Sequence[ReviewTask]:
        """Tasks of a state, or all that are not decided, of one facility or of all: most documents first, then the oldest."""

    async def next_task(self, actor: str, now: datetime) -> ReviewTask | None:
        """The first task that is open to a steward, held; those that others hold are passed over."""

    async def held_tasks(self, actor: str, now: datetime) -> Sequence[ReviewTask]:
        """Tasks on which a steward's claim holds, 100 at most."""

    async def put_task(self, task: ReviewTask) -> None:
        """Writes a task that is held."""

    async def review_figures(self, since: datetime) -> ReviewFigures:
        """Figures of the desk."""

    async def drawn(self, id: UUID) -> float:
        """A number from 0 to below 1 that belongs to a task; nobody without the key can foretell it."""
