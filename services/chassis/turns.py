"""Long work on the event loop, in turns with other calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 50
"""Items that are worked on before other calls get their turn: of items that take 0.1 ms each, some 5 ms."""


async def in_turns(items: Iterable[T], at_once: int = AT_ONCE) -> AsyncIterator[T]:
    """The items, in order; after every `at_once` of them other calls get their turn. Short lists never wait."""
    for at, item in enumerate(items):
        if at and at % at_once == 0:
            await asyncio.sleep(0)
        yield item
