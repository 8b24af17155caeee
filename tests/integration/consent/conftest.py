"""What several tests of the consent role share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.clock import FrozenClock
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, StartRole
from tests.fixtures.registry import registered
from tests.integration.consent.ward import Ward, opened_ward


@pytest.fixture
async def ward(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
) -> AsyncIterator[Ward]:
    """A consent role whose clock the test moves, and the app beside it."""
    database = registered(database_for("consent"))
    async with opened_ward(start_role, identities, database, keyring_file, tmp_path, frozen_clock) as ward:
        yield ward
