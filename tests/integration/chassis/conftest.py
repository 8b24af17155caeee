"""A role of these tests' own, on the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from services.chassis.database import Database
from services.chassis.settings import DatabaseSettings
from tests.fixtures.database import DatabaseFor

MIGRATIONS = Path(__file__).parent / "migrations"


@pytest.fixture
def settings(database_for: DatabaseFor) -> DatabaseSettings:
    return database_for("chassis", MIGRATIONS)


@pytest.fixture
async def database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    async with Database(settings) as opened:
        yield opened


def as_user(url: str | None) -> psycopg.Connection[tuple[object, ...]]:
    """A plain connection with a SQLAlchemy URL."""
    return psycopg.connect((url or "").replace("+psycopg", ""), autocommit=True)
