"""What the operations of the identity role need from outside: a store, a clock, new ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from services.identity.candidates import Candidates
from services.identity.check_ins import CheckInTransaction
from services.identity.desk import DeskTransaction
from services.identity.links import ChangeKind, FeedPage, FeedPlace, NewReviewTask, PersonChange
from services.identity.matching.blocks import BlockKey
from services.identity.model import (
    Filing,
    FilingKey,
    Holder,
    IdentifierKey,
    Person,
    PersonEvent,
    PersonIdentifier,
    Provisional,
    Statement,
    WaitingCount,
)
from services.identity.population import PopulationTransaction
from services.identity.registers import (
    Organization,
    OrganizationFilter,
    OrganizationState,
    Practitioner,
    RegistryEvent,
)

T = TypeVar("T")
NewId = Callable[[], UUID]
"""Mints UUIDv7."""


class IdentifierTaken(Exception):  # a signal to look again, not an error of the caller
    """A concurrent transaction has committed one of the keys first. The transaction is void; look the holders up
    again.
    """


class LinksMoved(IdentifierTaken):
    """While a link waited for its entries, others linked them. The transaction is void; look who answers again. `entries` are those it waited for:
    whoever starts over with them held is not passed by the same ones again.
    """

    def __init__(self, entries: Collection[UUID] = ()) -> None:
        super().__init__("others linked the entries meanwhile")
        self.entries = frozenset(entries)


class Transaction(DeskTransaction, PopulationTransaction, CheckInTransaction, Protocol):
    """One transaction: what it reads is committed, what it writes is visible to nobody before the end and to all
    after it.
    """

    async def holders(self, keys: Collection[IdentifierKey]) -> Sequence[Holder]:
        """Persons that hold, or held, any of the keys; two statements at most, whatever the number of keys."""

    async def candidates(self, keys: Collection[BlockKey]) -> Candidates:
        """Entries under any of the keys, each with those it was found by: one statement. Protected, provisional and erased ones are not among
        them, and neither is one for which such a one answers.
        """

    async def population(self) -> int:
        """How many entries can be found by demographics, roughly when they are many."""

    async def person(self, id: UUID) -> Person | None:
        """A person with all identifiers."""

    async def add_persons(self, persons: Sequence[Person], events: Sequence[PersonEvent]) -> None:
        """Adds persons, their identifiers and the first lines of their history. Raises IdentifierTaken."""

    async def add_identifiers(
        self, identifiers: Mapping[UUID, Sequence[PersonIdentifier]], events: Sequence[PersonEvent]
    ) -> None:
        """Adds identifiers to persons that exist, and counts their version up. Raises IdentifierTaken."""

    async def take_alias(self, facility: str, alias: str, id: UUID, now: datetime, until: datetime) -> bool:
        """Takes an alias for a person until a time; False when another person of the facility is called so at `now`."""

    async def used_aliases(self, facility: str, now: datetime) -> frozenset[str]:
        """Aliases by which patients of a facility are called at `now`."""

    async def come(self, id: UUID, came: Provisional, events: Sequence[PersonEvent]) -> None:
        """Keeps how a provisional person came whose entry documents made before."""

    async def note_notice(self, id: UUID, at: datetime, events: Sequence[PersonEvent]) -> bool:
        """Keeps when the authority was told of a person; False when it was told before, and nothing is written."""

    async def waiting(
        self,
        facility: str | None,
        arrived_until: datetime | None,
        notice_due_until: datetime | None,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Person]:
        """Provisional persons that are not identified, by (arrival, id) from `after` on: of one facility or of all,
        with `notice_due_until` those of whom an authority was to be told by then and was not. Without demographics.
        """

    async def waiting_counts(self, now: datetime) -> Sequence[WaitingCount]:
        """How many provisional persons wait at each facility, by facility; those without any are left out."""

    async def children(self, mothers: Collection[UUID], order: int) -> Sequence[Person]:
        """Newborns of any of these entries with this order of birth, without demographics."""

    async def change_person(self, changed: Person, kind: ChangeKind, events: Sequence[PersonEvent]) -> bool:
        """Writes the standing and the demographics of an entry anew, counts its version up and tells followers;
        identifiers are not touched. False when the entry is not at `changed.version` any more, and nothing is written.
        """

    async def statements(self, id: UUID) -> Sequence[Statement]:
        """What was said of a person, oldest first; nothing while only one thing was said."""

    async def add_statements(self, id: UUID, statements: Sequence[Statement]) -> None:
        """Keeps what was said of a person."""

    async def end_identifiers(self, id: UUID, keys: Collection[IdentifierKey], at: datetime | None) -> None:
        """Ends numbers of a person at a time, so that they are found still and another person may have them; with None
        they are the person's again. Raises IdentifierTaken when another person has one meanwhile.
        """

    async def known_at(self, ids: Collection[UUID], facility: str) -> bool:
        """True when the facility registered one of the entries, or filed a document under one."""

    async def lock(self, id: UUID) -> None:
        """Holds a lock of that name until the transaction ends."""

    async def history(self, id: UUID) -> Sequence[PersonEvent]:
        """The history of a person, oldest first."""

    async def filings(self, keys: Collection[FilingKey]) -> Mapping[FilingKey, Filing]:
        """Those of the source records that were filed before."""

    async def add_filings(self, filings: Mapping[FilingKey, Filing], at: datetime) -> None:
        """Keeps how source records were filed. Raises IdentifierTaken when one of them was filed at the same time."""

    async def currents(self, ids: Collection[UUID]) -> Mapping[UUID, UUID]:
        """The entry that answers for each; itself where there is no link."""

    async def members(self, roots: Collection[UUID]) -> Mapping[UUID, Sequence[UUID]]:
        """The entries that each root answers for, itself first, the others by id."""

    async def add_changes(self, changes: Sequence[PersonChange]) -> None:
        """Puts lines into the feed; followers see them once this transaction is committed."""

    async def add_review_tasks(self, tasks: Mapping[UUID, NewReviewTask], at: datetime) -> Mapping[UUID, UUID]:
        """Raises tasks by their new ids. Where one is open for the same entry and reason it is joined. Returns the id that each became."""

    async def organization(self, code: str) -> Organization | None:
        """A facility."""

    async def organization_state(self, code: str) -> OrganizationState | None:
        """Whether a facility may take part; None when it is not registered."""

    async def known_organizations(self, codes: Collection[str]) -> frozenset[str]:
        """Those of the codes that are registered."""

    async def organizations_of(self, codes: Collection[str]) -> Mapping[str, Organization]:
        """Facilities by code."""

    async def hierarchy(self) -> Mapping[str, str | None]:
        """The parent of every facility; nobody else changes one until the transaction ends."""

    async def organizations(self, wanted: OrganizationFilter, after: str, limit: int) -> Sequence[Organization]:
        """Facilities with a code after `after`, by code."""

    async def add_organization(self, organization: Organization) -> Organization:
        """Adds a facility; where the code is taken, the facility that has it is returned and nothing is written."""

    async def put_organization(self, changed: Organization) -> bool:
        """Writes a facility that is at the version before; False, and nothing is written, when it is not."""

    async def put_organizations(self, changed: Sequence[Organization]) -> None:
        """Adds or writes facilities, whatever their version."""

    async def practitioner(self, id: UUID) -> Practitioner | None:
        """A practitioner."""

    async def practitioners(self, code: str, after: UUID | None, limit: int) -> Sequence[Practitioner]:
        """Practitioners of a facility with an id after `after`, oldest first."""

    async def add_practitioner(self, practitioner: Practitioner) -> Practitioner:
        """Adds a practitioner; where the licence is taken, the practitioner who has it is returned and nothing is
        written.
        """

    async def put_practitioner(self, changed: Practitioner) -> bool:
        """Writes a practitioner who is at the version before; False, and nothing is written, when it is not so."""

    async def add_registry_events(self, events: Sequence[RegistryEvent]) -> None:
        """Adds lines to the histories of the registers."""

    async def once(self, scope: str, request_id: str, digest: bytes, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer of `work`, or the one kept from the first call with this scope and request id; the answer MUST
        NOT hold personal data. Raises RequestIdReused when the digest differs from the first.
        """


class Store(Protocol):
    """The identity database."""

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `work`, which only reads."""

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `work` in one transaction; it may run several times and MUST have no other effect."""


class Feed(Protocol):
    """The lines of the feed, as followers read them."""

    async def page(self, place: FeedPlace, early: Mapping[UUID, int], limit: int) -> FeedPage:
        """What to tell after a place, without the lines told early before. Each line says who answers for its entry at the moment of
        reading, so that the last line told is never older than any that was told. Raises CursorInvalid for a place of another database.
        """

    async def end(self) -> FeedPlace:
        """The place after everything that is complete."""

    async def prune(
        self, before: datetime, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[datetime, UUID] | None:
        """Looks at a page of lines from before a time and removes those that nobody needs any more, not even who reads from the beginning:
        that an entry was made or changed, and what a later line of the same entry makes old. Returns where the page ended, None at the end.
        """
