"""The fixture that registers: it writes what it says, and may be called again."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.consent.registry import NAME, heard_at
from services.consent.schema import METADATA, registered_licence, registered_organization
from tests.fixtures.database import DatabaseFor
from tests.fixtures.registry import Facility, registered
from tests.fixtures.tokens import LICENCE


async def test_what_is_registered_is_there(database_for: DatabaseFor) -> None:
    heard = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    settings = registered(database_for("consent"))
    registered(settings, facilities=[Facility("79001", state="SUSPENDED")], heard=heard)
    cursor = METADATA.tables["feed_cursor"]
    async with Database(settings) as database:

        async def states(connection: AsyncConnection) -> tuple[dict[str, str], list[str], datetime]:
            facilities = {
                row.organization: row.state for row in await connection.execute(select(registered_organization))
            }
            licences = [row.licence for row in await connection.execute(select(registered_licence))]
            fresh = (await connection.execute(select(cursor.c.fresh_until).where(cursor.c.name == NAME))).scalar_one()
            return facilities, licences, fresh

        facilities, licences, fresh = await database.read(states)
    assert facilities == {"01001": "ACTIVE", "79001": "SUSPENDED"}
    assert licences == [LICENCE]
    assert heard_at(fresh) == heard
