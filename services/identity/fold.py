"""The fold of link events: links, who answers for whom, refusals, moved source records. Pure.

Events are the truth; the tables are this fold, kept up to date. The edges in force form a forest: an entry has one edge at most, and it was
made from a root to the root of another tree. So redirects have no cycle, and taking an edge away leaves the forest from before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.identity.links import IdentificationEvidence, LinkEvent, LinkEventKind, LinkState, PersonLink

EVIDENCE = "evidence"
SECOND_ACTOR = "second_actor"
WITHDRAWN = "withdrawn"
SOURCE_RECORD = "source_record"
"""Keys of `LinkEvent.detail`: codes and ids only."""

Pair = tuple[UUID, UUID]


@dataclass
class Folded:
    """What the tables hold. `refusals` name the event that refused; `moved` is where source records were moved to."""

    links: dict[UUID, PersonLink] = field(default_factory=dict)
    refusals: dict[Pair, UUID] = field(default_factory=dict)
    moved: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def edges(self) -> dict[UUID, UUID]:
        """The edges in force, loser to survivor."""
        return {link.person: link.target for link in self.links.values() if link.state is LinkState.ACTIVE}

    @property
    def redirects(self) -> dict[UUID, UUID]:
        """The root of every entry that is not its own."""
        return redirects(self.edges)


class BrokenHistory(ValueError):
    """Events that no operation writes: they would make a cycle, a second edge, or end a link that is not there."""


def pair(one: UUID, other: UUID) -> Pair:
    """Two entries in the order in which refusals are kept."""
    return (one, other) if one < other else (other, one)


def redirects(edges: Mapping[UUID, UUID]) -> dict[UUID, UUID]:
    """The root of every entry with an edge; each is one step. Raises BrokenHistory when the edges run in a circle."""
    roots: dict[UUID, UUID] = {}
    for start in edges:
        passed = [start]
        while passed[-1] not in roots and passed[-1] in edges:
            passed.append(edges[passed[-1]])
            if len(passed) > len(edges) + 1:
                raise BrokenHistory("redirects run in a circle")
        root = roots.get(passed[-1], passed[-1])
        roots |= {one: root for one in passed if one != root}
    return roots


def fold(events: Iterable[LinkEvent]) -> Folded:
    """The state after these events, given in any order. Raises BrokenHistory."""
    state = Folded()
    for event in sorted(events, key=lambda one: (one.at, one.id)):
        apply(state, event)
    return state


def apply(state: Folded, event: LinkEvent) -> None:
    """Carries one event into the state."""
    match event.kind:
        case LinkEventKind.PROPOSED | LinkEventKind.LINKED:
            _link(state, event)
        case LinkEventKind.UNLINKED | LinkEventKind.DECLINED:
            _end(state, event)
        case LinkEventKind.REFUSED:
            state.refusals.setdefault(pair(event.person, event.target), event.id)
        case LinkEventKind.REFUSAL_WITHDRAWN:
            state.refusals.pop(pair(event.person, event.target), None)
        case LinkEventKind.SOURCE_MOVED:
            state.moved[UUID((event.detail or {})[SOURCE_RECORD])] = event.target


def after(known: PersonLink | None, event: LinkEvent) -> PersonLink:
    """The link after an event of its own. Raises BrokenHistory."""
    if event.link is None:
        raise BrokenHistory("an event of a link without a link")
    if event.kind in {LinkEventKind.UNLINKED, LinkEventKind.DECLINED}:
        before = LinkState.ACTIVE if event.kind is LinkEventKind.UNLINKED else LinkState.PROPOSED
        if known is None or known.state is not before:
            raise BrokenHistory("a link ended that was not there")
        return replace(known, state=LinkState(event.kind.value), version=known.version + 1)
    if known is not None:
        if known.state is not LinkState.PROPOSED or event.kind is not LinkEventKind.LINKED:
            raise BrokenHistory("a link was made twice")
        return replace(known, state=LinkState.ACTIVE, second_actor=event.actor, version=known.version + 1)
    detail = event.detail or {}
    return PersonLink(
        id=event.link,
        person=event.person,
        target=event.target,
        state=LinkState.ACTIVE if event.kind is LinkEventKind.LINKED else LinkState.PROPOSED,
        method=event.method,
        actor=event.actor,
        reason=event.reason,
        created_at=event.at,
        evidence=IdentificationEvidence(detail[EVIDENCE]) if EVIDENCE in detail else None,
        second_actor=detail.get(SECOND_ACTOR, ""),
        score=event.score,
        model_version=event.model_version,
    )


def _link(state: Folded, event: LinkEvent) -> None:
    link = after(state.links.get(event.link) if event.link else None, event)
    if link.state is LinkState.ACTIVE:
        edges, roots = state.edges, state.redirects
        if link.person in edges or link.target in edges or roots.get(link.target, link.target) == link.person:
            raise BrokenHistory("a link that does not run from one root to another")
        for one in withdrawn(event):
            state.refusals.pop(one, None)
    state.links[link.id] = link


def _end(state: Folded, event: LinkEvent) -> None:
    link = after(state.links.get(event.link) if event.link else None, event)
    state.links[link.id] = link
    state.refusals.setdefault(pair(link.person, link.target), event.id)


def withdrawn(event: LinkEvent) -> tuple[Pair, ...]:
    """The refusals that a link took back."""
    text = (event.detail or {}).get(WITHDRAWN, "")
    return tuple(
        (UUID(one), UUID(other)) for one, _, other in (part.partition(":") for part in text.split(",") if part)
    )


def withdrawn_detail(pairs: Iterable[Pair]) -> str:
    """The refusals that a link takes back, as an event keeps them."""
    return ",".join(f"{one}:{other}" for one, other in sorted(pairs))
