"""The command `propose`: searches again for entries that are in the index, in small transactions, up to a number of entries a run.

To be run every night; the next run goes on where this one came to, and after a new model or new lists of areas it begins anew.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems
from services.identity.postgres import PostgresStore
from services.identity.service import Matcher, ProposalService

_REPORT_EVERY = 10_000


@dataclass(frozen=True)
class ProposeSettings:
    """`propose_entries` is how many entries a run looks at, at most."""

    database: DatabaseSettings
    keyring: Path
    propose_entries: int = 500_000


def propose_command() -> int:
    """`python -m services.identity propose`."""
    try:
        settings = load(ProposeSettings, os.environ)
        keyring = open_keyring(settings.keyring)
    except SettingsError as error:
        write_problems(error.problems)
        return 2

    async def work() -> None:
        async with Database(settings.database) as database:
            store = PostgresStore(database, keyring, system_clock)
            service = ProposalService(store, system_clock, uuid7, Matcher(system_clock))
            await _run(service, settings.propose_entries)

    uvloop.run(work())
    return 0


async def _run(service: ProposalService, most: int) -> None:
    entries = tasks = told = 0
    while entries < most:
        step = await service.propose()
        entries, tasks = entries + step.entries, tasks + step.tasks
        if step.done or entries - told >= _REPORT_EVERY:
            told = entries
            sys.stdout.write(f"{entries} entries searched again, {tasks} tasks for stewards\n")
            sys.stdout.flush()
        if step.done:
            return
