"""Readers may take a facility for what it was a second ago; writers never."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring
from services.identity.config import Settings
from services.identity.model import Area, Era
from services.identity.ports import Store
from services.identity.postgres import PostgresStore
from services.identity.postgres.registers import STATE_LIFE
from services.identity.registers import CareLevel, Organization, OrganizationState

CODE = "27003"


async def read(store: Store) -> OrganizationState | None:
    return await store.read(lambda transaction: transaction.organization_state(CODE))


async def test_a_suspension_by_another_process_is_seen_within_a_second(settings: Settings, keyring_file: Path) -> None:
    active = Organization(
        CODE,
        "Trạm y tế",
        CareLevel.INITIAL,
        Area("24", Era.PROVINCES_34),
        None,
        OrganizationState.ACTIVE,
        datetime.now(UTC),
    )
    suspended = replace(active, state=OrganizationState.SUSPENDED, version=2)
    async with Database(settings.database) as one, Database(settings.database) as other:
        mine, theirs = (PostgresStore(at, FileKeyring(keyring_file), system_clock) for at in (one, other))
        assert await read(mine) is None
        await mine.write(lambda transaction: transaction.add_organization(active))
        assert await read(mine) is OrganizationState.ACTIVE
        assert await read(theirs) is OrganizationState.ACTIVE
        assert await theirs.write(lambda transaction: transaction.put_organization(suspended))
        # Who wrote it sees it at once, and so does every writer.
        assert await read(theirs) is OrganizationState.SUSPENDED
        assert await mine.write(lambda transaction: transaction.organization_state(CODE)) is OrganizationState.SUSPENDED
        await asyncio.sleep(STATE_LIFE)
        assert await read(mine) is OrganizationState.SUSPENDED
