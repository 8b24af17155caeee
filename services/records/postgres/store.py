"""The store as one object."""

from __future__ import annotations

from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.keyring import Keyring, PersonKeys
from services.records.postgres.documents import DocumentTables
from services.records.postgres.erasure import ErasureTables
from services.records.postgres.intake import IntakeTables
from services.records.postgres.progress import ProgressTables
from services.records.postgres.renewals import RenewalTables
from services.records.postgres.vault import Vault


class PostgresStore(IntakeTables, ProgressTables, DocumentTables, RenewalTables, ErasureTables):
    """The records database."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keys = PersonKeys(keyring, "records", clock)
        self._vault = Vault()

    async def open_event(self, id: UUID, payload: bytes) -> bytes:
        """The payload of an outbox message, which lies there sealed."""
        return self._vault.open(await self._keys.own(self._database), payload, "outbox.payload", id)
