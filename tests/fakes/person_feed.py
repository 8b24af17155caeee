"""The feed of the person index as a script: what was said stays, cursors are numbers, and it can fall silent or be away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.errors import PeerRefused, PeerUnavailable
from services.chassis.feed import Batch, Redirect

_BEAT = 0.02


class ScriptedFeed:
    """`open` is what a follower gets. `opened` has the cursors it was opened with."""

    def __init__(self) -> None:
        self.said: list[tuple[Redirect, ...]] = []
        self.opened: list[str] = []
        self.silent = False
        self.away = False
        self.known_from = 0

    def say(self, *redirects: Redirect) -> None:
        """One answer of the feed."""
        self.said.append(redirects)

    def linked(self, person: UUID, current: UUID, *, held: bool = False) -> None:
        """An entry answers with another."""
        self.say(Redirect(person, current, held, datetime.now(UTC), kept=True))

    def stands(self, person: UUID, *, held: bool = False) -> None:
        """An entry answers for itself, after a link or an identification."""
        self.linked(person, person, held=held)

    async def open(self, cursor: str) -> AsyncGenerator[Batch[Redirect], None]:
        """Answers after a cursor, with heartbeats between them."""
        self.opened.append(cursor)
        place = int(cursor or "0")
        if place and place < self.known_from:
            raise PeerRefused("identity", "CURSOR_INVALID")
        while True:
            if self.away:
                raise PeerUnavailable("identity")
            if self.silent:
                await asyncio.sleep(_BEAT)
                continue
            if place < len(self.said):
                items = self.said[place]
                place += 1
                yield Batch(items, str(place), complete=place == len(self.said), oldest=min(one.at for one in items))
            else:
                yield Batch((), str(place), complete=True)
                await asyncio.sleep(_BEAT)
