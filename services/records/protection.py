"""`python -m services.records protection` lists the documents whose protection ends soon, `reseal` lets the protection of
older ones end now, so that the running role puts them under a new archive time-stamp. Both need the database and no key.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.database import Database
from services.chassis.errors import DatabaseUnavailable
from services.chassis.settings import DatabaseSettings, SettingsError, load
from services.chassis.status import write_problems
from services.records.postgres.renewals import RenewalTables
from services.records.postgres.vault import Vault
from services.records.proof import Ending

_PAGE = 1_000
_FAILED, _USAGE = 1, 2


@dataclass(frozen=True)
class ProtectionSettings:
    """Lists what ends within so many days."""

    database: DatabaseSettings
    within_days: int = 90


@dataclass(frozen=True)
class ResealSettings:
    """Documents that were last renewed before a time (RFC 3339), or never, are renewed."""

    database: DatabaseSettings
    renewed_before: str


class _Tables(RenewalTables):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._vault = Vault()


def report(environ: Mapping[str, str] = os.environ) -> int:
    """Prints one line a document, soonest first: end of protection, facility, document; then how many. 0, or 1 when the
    database is not there, 2 when the settings are wrong.
    """
    try:
        settings = load(ProtectionSettings, environ)
    except SettingsError as error:
        write_problems(error.problems)
        return _USAGE
    return _run(_report(settings))


async def _report(settings: ProtectionSettings) -> None:
    before = datetime.now(UTC) + timedelta(days=settings.within_days)
    count, last = 0, None
    async with Database(settings.database) as database:
        tables = _Tables(database)
        while page := await tables.ending(before, last, _PAGE):
            for one in page:
                sys.stdout.write(_line(one))
            count, last = count + len(page), page[-1]
    sys.stdout.write(f"{count} documents end within {settings.within_days} days\n")


def _line(one: Ending) -> str:
    return f"{one.protected_until.isoformat(timespec='seconds')} {one.facility} documents/{one.document}\n"


def reseal(environ: Mapping[str, str] = os.environ) -> int:
    """Prints how many documents will be renewed. 0, 1 or 2 as above."""
    try:
        settings = load(ResealSettings, environ)
        renewed_before = datetime.fromisoformat(settings.renewed_before)
    except SettingsError as error:
        write_problems(error.problems)
        return _USAGE
    except ValueError:
        write_problems(["LIENTHONG_RENEWED_BEFORE: not a time such as 2026-11-23T00:00:00+00:00"])
        return _USAGE
    if renewed_before.tzinfo is None:
        write_problems(["LIENTHONG_RENEWED_BEFORE: without a time zone"])
        return _USAGE
    return _run(_reseal(settings, renewed_before))


async def _reseal(settings: ResealSettings, renewed_before: datetime) -> None:
    now, count = datetime.now(UTC), 0
    async with Database(settings.database) as database:
        tables = _Tables(database)
        while found := await tables.end_protection(renewed_before, now, _PAGE):
            count += found
    sys.stdout.write(f"{count} documents will be renewed\n")


def _run(work: Coroutine[None, None, None]) -> int:
    try:
        asyncio.run(work)
    except DatabaseUnavailable:
        write_problems(["the database is not there"])
        return _FAILED
    return 0
