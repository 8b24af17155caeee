"""A thousand random histories of links: taking back restores, the tables are the fold of the events, redirects have no circle."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fakes.identity_link_histories import History
from tests.fakes.identity_memory import MemoryStore

HISTORIES = 1000
BLOCKS = 4


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_histories(block: int) -> None:
    done: Counter[str] = Counter()
    for seed in range(block, HISTORIES, BLOCKS):
        history = History(MemoryStore(), seed)
        await history.begin()
        for _ in range(25):
            await history.step()
        await history.check()
        done.update(history.done)
    # The histories reach what they are there for, also what is refused.
    wanted = {"link", "machine", "unlink", "refuse", "withdraw", "move"}
    refusals = {"link: LINK_REFUSED", "link: ALREADY_LINKED", "link: SECOND_STEWARD_REQUIRED", "link: FIELD_INVALID"}
    machines = {"machine: LINK_REFUSED", "machine: IDENTIFICATION_CONFLICT", "machine: ALREADY_LINKED"}
    ends = {"unlink: PERSON_LINK_STATE", "refuse: ALREADY_LINKED", "withdraw: PERSON_LINK_STATE"}
    assert wanted | refusals | machines | ends <= done.keys()
