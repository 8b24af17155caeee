"""Everything opened goes on one exit stack and is closed in reverse."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Lifecycle:
    """The life of a process, from composition to the signal that ends it."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Lifecycle:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def enter(self, opened: AbstractAsyncContextManager[T]) -> T:
        """Enters a context that is left at the end."""
        return await self._stack.enter_async_context(opened)

    def callback(self, close: Callable[..., Any], *arguments: Any) -> None:
        """Calls this at the end."""
        self._stack.callback(close, *arguments)

    async def until_signal(self) -> None:
        """Returns at SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        await told.wait()
