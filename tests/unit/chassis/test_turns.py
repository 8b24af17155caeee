"""Long work in turns."""

from __future__ import annotations

import asyncio

from services.chassis.turns import in_turns


async def test_other_calls_get_their_turn_in_the_middle() -> None:
    seen: list[object] = []

    async def other() -> None:
        seen.append("other")

    waiting = asyncio.create_task(other())
    seen += [one async for one in in_turns(range(5), at_once=2)]
    await waiting
    assert sorted(one for one in seen if isinstance(one, int)) == [0, 1, 2, 3, 4]
    assert seen[0] == "other"


async def test_a_short_list_does_not_wait() -> None:
    other = asyncio.create_task(asyncio.sleep(0))
    assert [one async for one in in_turns("abc")] == ["a", "b", "c"]
    assert not other.done()
    await other
