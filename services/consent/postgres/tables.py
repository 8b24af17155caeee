"""What every part of the store has: the database, the persons' keys, and which entries stand for whom."""

from __future__ import annotations

from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.feed import Entries, entries_of
from services.chassis.keyring import Keyring, PersonKeys


class Tables:
    """The ground of the store."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._keys = PersonKeys(keyring, "consent", clock)

    async def entries(self, person: UUID) -> Entries:
        """The entries that stand for a person."""
        return (await self._database.read(lambda connection: entries_of(connection, [person])))[person]
