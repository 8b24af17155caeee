"""The decision point learns who treats whom from referrals and appointments, whatever is away in the meantime."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import services.referrals
from deploy.local.ports import Ports
from services.chassis.database import Database
from services.consent.__main__ import compose as compose_consent
from services.consent.config import Settings as ConsentSettings
from services.referrals.__main__ import compose
from services.referrals.config import Settings
from services.referrals.relations import EPISODE, VIETNAM
from tests.fixtures.identities import Running, StartRole
from tests.integration.referrals.conftest import (
    SOURCE,
    TARGET,
    Referrals,
    follow_up_slip,
    person,
    referral_slip,
    rows,
    today,
)

KEPT = "SELECT 'persons/' || person_id, resource, type, organization, starts_at, ends_at FROM treatment_relation ORDER BY resource"


async def until(database: Database, count: int) -> list[tuple[object, ...]]:
    """That many facts."""
    async with asyncio.timeout(15):
        while len(found := await rows(database, KEPT)) < count:
            await asyncio.sleep(0.05)
    return found


def midnight(days: int) -> datetime:
    return datetime.combine(today() + timedelta(days=days), time(), VIETNAM)


async def test_papers_show_treatment_as_soon_as_they_come(
    start_role: StartRole, settings: Settings, decision_point: Running, kept: Database
) -> None:
    async with (
        Database(settings.database) as database,
        start_role("referrals", compose, replace(settings, consent_address=decision_point.address)) as running,
    ):
        referrals = Referrals(running, database)
        sent, seen = person(), person()
        assert await referrals.imports(referral_slip(sent), follow_up_slip(seen, today() + timedelta(days=3))) == 2
        slip, paper = await until(kept, 2)
        assert (slip[0], slip[2:]) == (seen, ("APPOINTMENT", SOURCE, midnight(3), midnight(4)))
        assert (paper[0], paper[2:4]) == (sent, ("REFERRAL", TARGET))
        ((name, through),) = await referrals.rows("SELECT 'referrals/' || id, valid_through FROM referral")
        assert paper[1] == name
        assert paper[5] == datetime.combine(through + timedelta(days=1), time(), VIETNAM)  # type: ignore[arg-type, operator] # a day
        # An episode that began in time goes on after the paper ran out.
        await referrals.arrive(str(name))
        async with asyncio.timeout(15):
            while (now := (await rows(kept, KEPT))[1])[5] == paper[5]:
                await asyncio.sleep(0.05)
        ((arrived,),) = await referrals.rows("SELECT arrived_at FROM referral")
        assert now[5] == arrived + EPISODE  # type: ignore[operator] # a time
        assert now[:5] == paper[:5]


async def test_what_is_over_shows_nothing(
    start_role: StartRole, settings: Settings, decision_point: Running, kept: Database
) -> None:
    async with (
        Database(settings.database) as database,
        start_role("referrals", compose, replace(settings, consent_address=decision_point.address)) as running,
    ):
        old = today() - timedelta(days=60)
        await Referrals(running, database).imports(
            referral_slip(person(), old), follow_up_slip(person(), old), follow_up_slip(marker := person())
        )
        assert [row[0] for row in await until(kept, 1)] == [marker]


async def test_it_is_told_once_the_decision_point_is_back(
    start_role: StartRole, settings: Settings, decision_settings: ConsentSettings, kept: Database
) -> None:
    ports = Ports()
    address = ports.reserve()
    patient = person()
    async with (
        Database(settings.database) as database,
        start_role("referrals", compose, replace(settings, consent_address=address)) as running,
    ):
        await Referrals(running, database).imports(referral_slip(patient))
        async with asyncio.timeout(15):
            # It was tried, and is kept.
            while not await rows(database, "SELECT 1 FROM outbox_aggregate WHERE last_reason = 'PEER_UNAVAILABLE'"):
                await asyncio.sleep(0.05)
        there = replace(decision_settings, server=replace(decision_settings.server, listen=address))
        async with start_role("consent", compose_consent, there):
            assert [row[0] for row in await until(kept, 1)] == [patient]
    ports.release()


async def test_what_was_there_before_is_told_by_the_migration(
    start_role: StartRole, settings: Settings, decision_point: Running, kept: Database
) -> None:
    path = Path(services.referrals.__file__).with_name("migrations") / "versions" / "0004_outbox.py"
    spec = importlib.util.spec_from_file_location("migration", path)
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    sent, seen = person(), person()
    async with Database(settings.database) as database:
        async with start_role("referrals", compose, settings) as running:
            await Referrals(running, database).imports(referral_slip(sent), follow_up_slip(seen))

        async def as_before(connection: AsyncConnection) -> None:
            await connection.execute(text("DELETE FROM outbox"))
            await connection.execute(text("DELETE FROM outbox_aggregate"))
            await connection.execute(text(migration._QUEUE))

        await database.write(as_before)
    async with start_role("referrals", compose, replace(settings, consent_address=decision_point.address)):
        assert {row[0] for row in await until(kept, 2)} == {sent, seen}
