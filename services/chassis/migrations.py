"""Migrations: Alembic under an advisory lock, with lock and statement timeouts, one transaction a revision.

A migration expands first and contracts in a later release: the old code meets the new schema while it is rolled out.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.operations import Operations
from sqlalchemy import Connection, MetaData, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Naming convention of every constraint and index."""
_LOCK = 7_206_145_001
"""Key of the advisory lock; one per database is enough, as each role has its own."""
_WAIT_MS = 300_000
"""How long to wait for another migrator of the same database."""
_LOCK_MS = 4_000
"""How long a statement may queue for a table. All later ones queue behind it, so it gives up soon; run it again."""
_STATEMENT_MS = 60_000


def upgrade(location: Path, owner_url: str, *, app_role: str | None = None) -> None:
    """Brings a role's database to the newest revision. Two at once: the second waits, then finds nothing to do.

    `app_role` is the user that migrations grant to; by default `<name>_app` beside the owner `<name>_owner`. A revision
    that fails is rolled back whole, those before it stay; the error is the driver's.
    """
    config = Config()
    # Alembic's configuration interpolates percent signs.
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.attributes["url"] = owner_url
    config.attributes["app_role"] = app_role
    command.upgrade(config, "head")


def configure(metadata: MetaData) -> None:
    """The whole of a role's `env.py`."""
    url: str = context.config.attributes["url"]
    engine = create_engine(url, poolclass=NullPool, connect_args={"application_name": "lienthong-migrate"})
    try:
        with engine.connect() as connection:
            _limit(connection, lock=_WAIT_MS, statement=0)
            # Held by the session, so it spans the revisions' transactions and ends with the connection at the latest.
            connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
            _limit(connection, lock=_LOCK_MS, statement=_STATEMENT_MS)
            context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
            with context.begin_transaction():
                context.run_migrations()
            connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
            connection.commit()
    finally:
        engine.dispose()


def app_role() -> str:
    """The application's user of this database, inside a migration."""
    given: str | None = context.config.attributes.get("app_role")
    owner = make_url(str(context.config.attributes["url"])).username or ""
    return given or f"{owner.removesuffix('_owner')}_app"


def grant(op: Operations, rights: str, *tables: str) -> None:
    """Gives the application row rights, such as "SELECT, INSERT" for append-only tables; it never gets more than it
    uses.
    """
    for table in tables:
        op.execute(f'GRANT {rights} ON "{table}" TO "{app_role()}"')


def _limit(connection: Connection, *, lock: int, statement: int) -> None:
    connection.execute(text(f"SET lock_timeout = {lock}"))
    connection.execute(text(f"SET statement_timeout = {statement}"))
    connection.commit()
