"""Migrations: Alembic under an advisory lock, with lock and statement timeouts, one transaction a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.operations import Operations
from sqlalchemy import MetaData, create_engine, text
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


def upgrade(location: Path, owner_url: str) -> None:
    """Brings a role's database to the newest revision. Two at once: the second waits, then finds nothing to do."""
    config = Config()
    config.set_main_option("script_location", str(location))
    config.attributes["url"] = owner_url
    command.upgrade(config, "head")


def configure(metadata: MetaData) -> None:
    """The whole of a role's `env.py`."""
    url: str = context.config.attributes["url"]
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"options": "-c lock_timeout=4000 -c statement_timeout=60000"}
    )
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
        connection.execute(text("SET lock_timeout = 4000"))
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
        connection.commit()
    engine.dispose()


def app_role() -> str:
    """The application's user of this database: `<name>_app` beside the owner `<name>_owner`."""
    owner = make_url(str(context.config.attributes["url"])).username or ""
    return f"{owner.removesuffix('_owner')}_app"


def grant(op: Operations, rights: str, *tables: str) -> None:
    """Gives the application row rights, such as "SELECT, INSERT" for append-only tables; it never gets more than it uses."""
    for table in tables:
        op.execute(f'GRANT {rights} ON "{table}" TO "{app_role()}"')
