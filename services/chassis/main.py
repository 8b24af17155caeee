"""The command line of a role: `serve`, `migrate`, `check-config`."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeVar

import uvloop

from services.chassis.lifecycle import Lifecycle
from services.chassis.migrations import upgrade
from services.chassis.server import AccessIncomplete, Server
from services.chassis.settings import DatabaseSettings, SettingsError, load, names
from services.chassis.status import write_problems

EXIT_USAGE = 2
OWNER_URL = "LIENTHONG_DATABASE_OWNER_URL"


class RoleSettings(Protocol):
    """Settings of any role; every role has a database."""

    @property
    def database(self) -> DatabaseSettings:
        """Where it is."""


S = TypeVar("S", bound=RoleSettings)


def run(
    role: str,
    settings_type: type[S],
    compose: Callable[[S, Lifecycle], Awaitable[Server]],
    migrations: Path,
    arguments: Sequence[str],
    more: Mapping[str, Callable[[], int]] = MappingProxyType({}),
) -> int:
    """Runs one command and returns the exit code; 2 when settings or command are wrong, with every problem on stderr. `more` are the role's own
    commands, each with settings of its own.
    """
    command = arguments[0] if len(arguments) == 1 else ""
    if command in more:
        return more[command]()
    if command not in ("serve", "migrate", "check-config"):
        usage = "|".join(("serve", "migrate", "check-config", *more))
        write_problems([f"usage: python -m services.{role} {usage}", *names(settings_type)])
        return EXIT_USAGE
    if command == "migrate":
        # A migration gets the owner's secret and nothing else; no other setting concerns it.
        owner_url = os.environ.get(OWNER_URL, "")
        if not owner_url:
            write_problems([f"{OWNER_URL}: missing"])
            return EXIT_USAGE
        upgrade(migrations, owner_url)
        return 0
    try:
        settings = load(settings_type, os.environ)
    except SettingsError as error:
        write_problems(error.problems)
        return EXIT_USAGE
    if command == "check-config":
        return 0
    try:
        uvloop.run(_serve(settings, compose))
    except AccessIncomplete as error:
        write_problems([str(error)])
        return EXIT_USAGE
    except SettingsError as error:
        # A setting may be of its type and still name a file that is of no use.
        write_problems(error.problems)
        return EXIT_USAGE
    return 0


async def _serve(settings: S, compose: Callable[[S, Lifecycle], Awaitable[Server]]) -> None:
    async with Lifecycle() as life:
        server = await compose(settings, life)
        await server.start()
        # Contracts, models and lists stay for good: a full collection that walks them stops every call for a quarter second.
        gc.collect()
        gc.freeze()
        await life.until_signal()
        await server.stop()
