"""Searching again for who is in the index."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.identity.links import ReviewReason, ReviewTask
from services.identity.model import Demographics, Identifier
from services.identity.service import Matcher, ProposalService, Wish
from tests.unit.identity.conftest import ADMIN, STEWARD, Operations
from tests.unit.identity.test_filing import CARD
from tests.unit.identity.test_population import LAN, entry, load, number


async def loaded(operations: Operations, *rows: tuple[Identifier, Demographics]) -> list[UUID]:
    await operations.population.create(ADMIN, "registry", "r1", b"1")
    await load(operations, 0, *(entry(at, one, demographics=said) for at, (one, said) in enumerate(rows)))
    return sorted(await operations.store.read(lambda transaction: transaction.entries_after(None, 100)))


async def run(operations: Operations, limit: int = 50) -> list[ReviewTask]:
    while not (await operations.proposals.propose(limit)).done:
        pass
    return list(await operations.store.read(lambda transaction: transaction.review_tasks(None, None, None, 50)))


async def test_two_entries_of_one_person_are_one_task(operations: Operations) -> None:
    older, younger, _ = await loaded(
        operations,
        (number(1), LAN),
        (CARD, replace(LAN, name="TRAN THI MY LAN")),
        (number(3), replace(LAN, name="Lê Thị Cúc", phone="0987654123")),
    )
    (task,) = await run(operations, limit=2)
    assert (task.person, task.reason, task.documents_waiting) == (younger, ReviewReason.RE_RESOLUTION, 0)
    assert [one.person for one in task.candidates] == [older]
    assert task.candidates[0].score > 0
    # Nothing is linked, and the next run begins where this one ended.
    assert await operations.store.read(lambda transaction: transaction.currents([younger])) == {younger: younger}
    assert await run(operations) == [task]


async def test_what_a_steward_refused_and_other_numbers_are_not_proposed(operations: Operations) -> None:
    ids = await loaded(operations, (number(1), LAN), (CARD, LAN), (number(765432), replace(LAN, phone="0903456781")))
    await operations.links.refuse(STEWARD, ids[0], ids[1], "TWINS", False, "r1", b"1")
    assert await run(operations) == []


async def test_who_is_linked_is_not_searched_for(operations: Operations) -> None:
    older, younger = await loaded(operations, (number(1), LAN), (CARD, LAN))
    await operations.links.link_persons(STEWARD, Wish(younger, older, "SAME_PERSON"), "l1", b"1")
    assert await run(operations) == []


async def test_a_new_model_begins_anew(operations: Operations) -> None:
    await loaded(operations, (number(1), LAN), (CARD, LAN))
    (task,) = await run(operations)

    class Newer(Matcher):
        version = "newer"

    again = ProposalService(operations.store, operations.clock, lambda: UUID(int=9_999), Newer(operations.clock))
    step = await again.propose()
    assert (step.entries, step.tasks) == (2, 1)
    (joined,) = await operations.store.read(lambda transaction: transaction.review_tasks(None, None, None, 50))
    assert joined.id == task.id
