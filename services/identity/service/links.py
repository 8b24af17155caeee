"""Saying that two entries are one human being, and taking it back. Everything is an event; an entry is never edited.

Who may what (identity design, data model and semantics): a steward outranks every machine; what was refused, or taken back, no machine links
again; where verified numbers or birth dates differ two stewards have to agree.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal
from services.identity.errors import (
    AlreadyLinked,
    EtagMismatch,
    IdentificationConflict,
    LinkRefused,
    PersonLinkNotFound,
    PersonLinkState,
    SecondStewardRequired,
    SourceRecordNotFound,
)
from services.identity.fold import (
    EVIDENCE,
    SECOND_ACTOR,
    SOURCE_RECORD,
    WITHDRAWN,
    after,
    pair,
    redirects,
    withdrawn_detail,
)
from services.identity.links import (
    ChangeKind,
    FiledRecord,
    IdentificationEvidence,
    LinkEvent,
    LinkEventKind,
    LinkMethod,
    LinkState,
    NewReviewTask,
    PersonChange,
    PersonLink,
    ReviewCandidate,
    ReviewReason,
)
from services.identity.model import LOCAL, Demographics, Identifier, IdentifierType, Person, PersonState, invalid
from services.identity.ports import NewId, Store, Transaction
from services.identity.resolution import ask
from services.identity.service.actors import actor
from services.identity.service.entries import write
from services.identity.service.trees import Tree, contradict, fits, held, moment

MOST_RECORDS = 1000
"""Source records that are looked at when a link is taken back, the newest; what is older was read by many meanwhile."""


@dataclass(frozen=True)
class Wish:
    """What a steward asks to link: `person` will answer with `target`. Etags are those last seen, empty for none."""

    person: UUID
    target: UUID
    reason: str
    person_etag: str = ""
    target_etag: str = ""
    override_refusal: bool = False


class LinkService:
    """Use cases around links."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def link_persons(self, principal: Principal, wish: Wish, request_id: str, digest: bytes) -> PersonLink:
        """A steward links two entries. The link is PROPOSED where another steward has to make the same call."""

        async def first_time(transaction: Transaction) -> bytes:
            link = await self.link(
                transaction,
                person=wish.person,
                target=wish.target,
                method=LinkMethod.STEWARD,
                evidence=None,
                actor=actor(principal),
                reason=wish.reason,
                override_refusal=wish.override_refusal,
                etags=(wish.person_etag, wish.target_etag),
            )
            return str(link.id).encode()

        async def work(transaction: Transaction) -> PersonLink:
            answer = await self._once(transaction, principal, "LinkPersons", request_id, digest, first_time)
            return await existing_link(transaction, UUID(answer.decode()))

        return await write(self._store, work)

    async def link(
        self,
        transaction: Transaction,
        *,
        person: UUID,
        target: UUID,
        method: LinkMethod,
        evidence: IdentificationEvidence | None,
        actor: str,
        reason: str,
        score: float | None = None,
        model_version: str = "",
        override_refusal: bool = False,
        second_actor: str = "",
        etags: tuple[str, str] = ("", ""),
    ) -> PersonLink:
        """The one function that makes links. Named entries that are linked already stand for those that answer for them. `second_actor` is the
        steward who agreed, where two had to. Raises PersonNotFound, AlreadyLinked, EtagMismatch, LinkRefused, IdentificationConflict (a machine
        or a facility where two stewards are needed), SecondStewardRequired; LinksMoved to be run again.
        """
        trees = await held(transaction, [person, target])
        left, right = trees[person], trees[target]
        if left.root == right.root:
            raise AlreadyLinked("both entries answer with the same person")
        if any(given and given != tree.etag for given, tree in zip(etags, (left, right), strict=True)):
            raise EtagMismatch("the person changed since")
        if right.top.state is PersonState.PROVISIONAL and left.top.state is not PersonState.PROVISIONAL:
            raise invalid("target", "the entry that is identified", "TARGET_PROVISIONAL")
        fits(left, right)
        refusals = await transaction.refusals(left.ids, right.ids)
        if refusals and not (override_refusal and method is LinkMethod.STEWARD):
            raise LinkRefused("the entries were found to be different persons")
        if second_actor == actor:
            raise SecondStewardRequired("another steward has to agree")
        known = await transaction.proposal(left.root, right.root) if method is LinkMethod.STEWARD else None
        kind = LinkEventKind.LINKED
        if contradict(left.persons.values(), right.persons.values()):
            if method is not LinkMethod.STEWARD:
                raise IdentificationConflict("verified data of the two contradict each other")
            if known is not None and known.actor == actor and not second_actor:
                raise SecondStewardRequired("another steward has to agree")
            kind = LinkEventKind.LINKED if known is not None or second_actor else LinkEventKind.PROPOSED
        detail = {
            EVIDENCE: evidence.value if evidence else "",
            SECOND_ACTOR: second_actor if known is None else "",
            WITHDRAWN: withdrawn_detail(refusals) if kind is LinkEventKind.LINKED else "",
        }
        event = LinkEvent(
            id=self._new_id(),
            kind=kind,
            person=left.root,
            target=right.root,
            at=await moment(transaction, self._clock, [*left.ids, *right.ids]),
            actor=actor,
            reason=reason,
            method=method,
            link=known.id if known else self._new_id(),
            score=score,
            model_version=model_version,
            detail={name: value for name, value in detail.items() if value} or None,
        )
        link = after(known, event)
        if link.state is LinkState.PROPOSED:
            await transaction.write_event(event, link=link)
            return link
        moved = dict.fromkeys(left.ids, right.root)
        await transaction.write_event(event, link=link, redirects=moved, withdrawn=refusals)
        await self._tell(transaction, ChangeKind.LINKED, moved, {right.root: right}, event, left.root)
        return link

    async def unlink_persons(
        self, principal: Principal, id: UUID, etag: str, reason: str, request_id: str, digest: bytes
    ) -> tuple[PersonLink, Sequence[UUID]]:
        """Takes a link back, or declines a proposal, and returns the review tasks for what was filed while it was in force. Raises
        PersonLinkNotFound, PersonLinkState, EtagMismatch.
        """

        async def first_time(transaction: Transaction) -> bytes:
            tasks = await self._unlink(transaction, id, etag, actor(principal), reason)
            return json.dumps([str(task) for task in tasks]).encode()

        async def work(transaction: Transaction) -> tuple[PersonLink, Sequence[UUID]]:
            answer = await self._once(transaction, principal, "UnlinkPersons", request_id, digest, first_time)
            return await existing_link(transaction, id), [UUID(task) for task in json.loads(answer)]

        return await write(self._store, work)

    async def _unlink(self, transaction: Transaction, id: UUID, etag: str, actor: str, reason: str) -> Sequence[UUID]:
        named = await existing_link(transaction, id)
        trees = await held(transaction, [named.person, named.target])
        # Read again: it may have changed while its entries were waited for.
        link = await existing_link(transaction, id)
        if etag and etag != link.etag:
            raise EtagMismatch("the link changed since")
        if link.state not in {LinkState.ACTIVE, LinkState.PROPOSED}:
            raise PersonLinkState("the link is not in force", metadata={"allowed": "ACTIVE,PROPOSED"})
        everybody = [*trees[link.person].ids, *trees[link.target].ids]
        event = LinkEvent(
            id=self._new_id(),
            kind=LinkEventKind.UNLINKED if link.state is LinkState.ACTIVE else LinkEventKind.DECLINED,
            person=link.person,
            target=link.target,
            at=await moment(transaction, self._clock, everybody),
            actor=actor,
            reason=reason,
            method=LinkMethod.STEWARD,
            link=link.id,
        )
        refused = pair(link.person, link.target)
        if link.state is LinkState.PROPOSED:
            await transaction.write_event(event, link=after(link, event), refused=refused)
            return []
        tree = trees[link.person]
        edges = dict(await transaction.edges(tree.ids))
        del edges[link.person]
        roots = redirects(edges)
        moved = {one: roots.get(one, one) for one in tree.ids}
        parted = {one: root for one, root in moved.items() if root != tree.root}
        await transaction.write_event(event, link=after(link, event), redirects=parted, refused=refused)
        # What the link took away answers for itself again, with all that had been linked to it.
        await self._tell(transaction, ChangeKind.UNLINKED, parted, {link.person: tree}, event, tree.root)
        staying = Tree(
            tree.root,
            {one: tree.persons[one] for one in tree.persons if one not in parted},
            [one for one in tree.ids if one not in parted],
        )
        return await self._review_filed(transaction, link, staying, event)

    async def _review_filed(
        self, transaction: Transaction, link: PersonLink, staying: Tree, ended: LinkEvent
    ) -> Sequence[UUID]:
        """Tasks for source records that were matched to the side that stays while the link was in force, and by no number of that side: they
        may belong to either.
        """
        events = await transaction.events_of_link(link.id)
        began = next(one.at for one in events if one.kind is LinkEventKind.LINKED)
        records = await transaction.filed_between(staying.ids, began, ended.at, MOST_RECORDS)
        doubtful: dict[UUID, list[FiledRecord]] = {}
        for record in records:
            if not _numbers_said(record) & staying.keys:
                doubtful.setdefault(record.person, []).append(record)
        tasks = {
            self._new_id(): NewReviewTask(
                person=entry,
                reason=ReviewReason.AFTER_UNLINK,
                candidates=(ReviewCandidate(link.person, 0.0),),
                facility=found[0].key.facility,
                documents=len(found),
            )
            for entry, found in sorted(doubtful.items())
        }
        became = await transaction.add_review_tasks(tasks, ended.at)
        return sorted(became.values())

    async def refuse(
        self,
        principal: Principal,
        person: UUID,
        other: UUID,
        reason: str,
        withdraw: bool,
        request_id: str,
        digest: bytes,
    ) -> LinkEvent:
        """Remembers that two entries are different persons, or takes that back. Refusing what is refused returns the event that did it.
        Raises PersonNotFound, AlreadyLinked, PersonLinkState when there is nothing to take back.
        """

        async def first_time(transaction: Transaction) -> bytes:
            work = self.withdraw if withdraw else self.refuse_pair
            return str(await work(transaction, person, other, actor(principal), reason)).encode()

        async def work(transaction: Transaction) -> LinkEvent:
            answer = await self._once(transaction, principal, "RefuseLink", request_id, digest, first_time)
            event = await transaction.link_event(UUID(answer.decode()))
            if event is None:
                raise PersonLinkNotFound("no such event")
            return event

        return await write(self._store, work)

    async def refuse_pair(self, transaction: Transaction, person: UUID, other: UUID, actor: str, reason: str) -> UUID:
        """Refuses within a transaction; the id of the event that did it, of this call or of a former one."""
        if person == other:
            raise invalid("other_person", "another entry", "SAME_PERSON")
        trees = await held(transaction, [person, other])
        if trees[person].root == trees[other].root:
            raise AlreadyLinked("the entries answer with the same person: unlink them")
        known = await transaction.refusals([person], [other])
        if known:
            return known[pair(person, other)]
        everybody = [*trees[person].ids, *trees[other].ids]
        event = await self._bare(transaction, LinkEventKind.REFUSED, person, other, everybody, actor, reason)
        await transaction.write_event(event, refused=pair(person, other))
        return event.id

    async def withdraw(self, transaction: Transaction, person: UUID, other: UUID, actor: str, reason: str) -> UUID:
        """Takes a refusal back within a transaction; the id of the event."""
        trees = await held(transaction, [person, other])
        if not await transaction.refusals([person], [other]):
            raise PersonLinkState("nothing was refused", metadata={"allowed": "REFUSED"})
        everybody = [*trees[person].ids, *trees[other].ids]
        event = await self._bare(transaction, LinkEventKind.REFUSAL_WITHDRAWN, person, other, everybody, actor, reason)
        await transaction.write_event(event, withdrawn=[pair(person, other)])
        return event.id

    async def move_source_record(
        self, principal: Principal, id: UUID, target: UUID, reason: str, request_id: str, digest: bytes
    ) -> FiledRecord:
        """Files a source record under another entry; followers move what was filed by it. Raises SourceRecordNotFound, PersonNotFound."""

        async def first_time(transaction: Transaction) -> bytes:
            named = await existing_record(transaction, id)
            trees = await held(transaction, [named.person, target])
            record = await existing_record(transaction, id)
            if record.person == target:
                return b""
            if record.person != named.person:
                raise EtagMismatch("the source record was moved since")
            everybody = [*trees[record.person].ids, *trees[target].ids]
            event = await self._bare(
                transaction,
                LinkEventKind.SOURCE_MOVED,
                record.person,
                target,
                everybody,
                actor(principal),
                reason,
                {SOURCE_RECORD: str(id)},
            )
            await transaction.move_filed(id, target)
            await transaction.write_event(event)
            await self._tell(
                transaction,
                ChangeKind.SOURCE_MOVED,
                {target: trees[target].root},
                {trees[target].root: trees[target]},
                event,
                record.person,
                record.name,
            )
            return b""

        async def work(transaction: Transaction) -> FiledRecord:
            await self._once(transaction, principal, "MoveSourceRecord", request_id, digest, first_time)
            return await existing_record(transaction, id)

        return await write(self._store, work)

    async def _bare(
        self,
        transaction: Transaction,
        kind: LinkEventKind,
        person: UUID,
        target: UUID,
        everybody: Sequence[UUID],
        actor: str,
        reason: str,
        detail: Mapping[str, str] | None = None,
    ) -> LinkEvent:
        """An event that is of no link."""
        at = await moment(transaction, self._clock, everybody)
        return LinkEvent(self._new_id(), kind, person, target, at, actor, reason, LinkMethod.STEWARD, detail=detail)

    async def _tell(
        self,
        transaction: Transaction,
        kind: ChangeKind,
        moved: Mapping[UUID, UUID],
        trees: Mapping[UUID, Tree],
        event: LinkEvent,
        former: UUID,
        source_record: str = "",
    ) -> None:
        """Tells followers of every entry that answers with another root now."""
        await transaction.add_changes(
            [
                PersonChange(
                    id=self._new_id(),
                    person=one,
                    kind=kind,
                    current=root,
                    provisional=_provisional(trees[root].persons.get(root)),
                    at=event.at,
                    source_record=source_record,
                    former=former,
                )
                for one, root in sorted(moved.items())
            ]
        )

    async def _once(
        self,
        transaction: Transaction,
        principal: Principal,
        method: str,
        request_id: str,
        digest: bytes,
        work: Callable[[Transaction], Awaitable[bytes]],
    ) -> bytes:
        return await transaction.once(f"{actor(principal)}/{method}", request_id, digest, lambda: work(transaction))


async def existing_link(transaction: Transaction, id: UUID) -> PersonLink:
    """A link. Raises PersonLinkNotFound."""
    link = await transaction.link(id)
    if link is None:
        raise PersonLinkNotFound("no such link")
    return link


async def existing_record(transaction: Transaction, id: UUID) -> FiledRecord:
    """A source record. Raises SourceRecordNotFound."""
    record = await transaction.filed(id)
    if record is None:
        raise SourceRecordNotFound("no such source record")
    return record


def _provisional(person: Person | None) -> bool:
    """False too for who was erased."""
    return person is not None and person.state is PersonState.PROVISIONAL


def _numbers_said(record: FiledRecord) -> frozenset[object]:
    """The keys of the national numbers that a source record held."""
    said = json.loads(record.key.said)[0]
    numbers = [Identifier(IdentifierType(type), value, assigner) for type, value, assigner in said]
    return frozenset(ask([one for one in numbers if one.type not in LOCAL], Demographics()).keys)
