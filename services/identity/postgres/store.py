"""`Store` and `Transaction` on PostgreSQL, put together from one part per noun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.idempotency import once
from services.chassis.keyring import Keyring, PersonKeys
from services.identity.links import ChangeKind, PersonChange
from services.identity.model import PersonEvent
from services.identity.ports import Transaction
from services.identity.postgres.check_ins import CheckInTables
from services.identity.postgres.population import PopulationTables
from services.identity.postgres.registers import OrganizationStates, RegisterTables
from services.identity.postgres.reviews import ReviewTables
from services.identity.postgres.updates import UpdateTables
from services.identity.postgres.vault import Vault
from services.identity.schema import request

T = TypeVar("T")


class PostgresTransaction(ReviewTables, UpdateTables, RegisterTables, PopulationTables, CheckInTables):
    """One connection, inside a transaction or reading."""

    def __init__(
        self,
        connection: AsyncConnection,
        vault: Vault,
        keys: PersonKeys,
        states: OrganizationStates | None = None,
        *,
        reading: bool = False,
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._keys = keys
        self._states = states or OrganizationStates()
        self._reading = reading
        self._held = set()
        self.told = False

    async def add_changes(self, changes: Sequence[PersonChange]) -> None:
        """Puts lines into the feed."""
        self.told = self.told or bool(changes)
        await super().add_changes(changes)

    async def tell(self, kind: ChangeKind, events: Sequence[PersonEvent]) -> None:
        """Puts one line per event into the feed."""
        self.told = self.told or bool(events)
        await super().tell(kind, events)

    async def once(self, scope: str, request_id: str, digest: bytes, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """The first answer of this scope and request id."""
        first, *others = await self._vault.ask(lambda: self._vault.blind_digests(digest))
        return await once(
            self._connection,
            table=request,
            scope=scope,
            request_id=request_id,
            digest=first,
            work=work,
            also=others,
        )


class PostgresStore:
    """The identity database."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._vault = Vault(keyring)
        self._keys = PersonKeys(keyring, "identity", clock)
        self._states = OrganizationStates()
        self._told: Callable[[], None] = lambda: None

    def on_told(self, wake: Callable[[], None]) -> None:
        """Calls this after every commit that put lines into the feed."""
        self._told = wake

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `work`, which only reads."""
        return await self._database.read(
            lambda connection: work(
                PostgresTransaction(connection, self._vault, self._keys, self._states, reading=True)
            )
        )

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `work` in one transaction, again after a serialization failure."""
        told = False

        async def noting(connection: AsyncConnection) -> T:
            nonlocal told
            transaction = PostgresTransaction(connection, self._vault, self._keys, self._states)
            result = await work(transaction)
            told = transaction.told
            return result

        result = await self._database.write(noting)
        if told:
            self._told()
        return result
