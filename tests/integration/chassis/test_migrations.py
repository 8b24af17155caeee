"""Migrations on a real database: one at a time, whole or not at all, and no more rights than are used."""

from __future__ import annotations

import importlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from deploy.local.postgres import PostgresServer, RoleDatabase
from services.chassis import migrations
from services.chassis.settings import DatabaseSettings
from tests.fixtures.database import SERVICES, DatabaseFor
from tests.integration.chassis.conftest import MIGRATIONS, as_user
from tests.integration.chassis.schema import METADATA

ROLES = sorted(path.parent.parent.name for path in SERVICES.glob("*/migrations/env.py"))
SECOND = """
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.execute("CREATE TABLE extra (id int)")
    op.execute("{statement}")
"""


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[RoleDatabase]:
    """A database that no migration has seen."""
    name = "empty"
    yield postgres.create_role_database(name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def tables(urls: RoleDatabase) -> set[object]:
    with as_user(urls.owner_url) as owner:
        return {row[0] for row in owner.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def differences(settings: DatabaseSettings, metadata: MetaData) -> list[object]:
    engine = create_engine(settings.owner_url or "")
    try:
        with engine.connect() as connection:
            return list(compare_metadata(MigrationContext.configure(connection), metadata))
    finally:
        engine.dispose()


def test_every_role_is_found() -> None:
    assert {"consent", "identity", "referrals", "signing"} <= set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_migrations_make_its_schema(database_for: DatabaseFor, role: str) -> None:
    assert differences(database_for(role), importlib.import_module(f"services.{role}.schema").METADATA) == []


def test_the_chassis_tables_are_made_as_declared(settings: DatabaseSettings) -> None:
    assert differences(settings, METADATA) == []


@pytest.mark.parametrize("role", ROLES)
def test_the_app_user_owns_nothing_and_makes_nothing(database_for: DatabaseFor, role: str) -> None:
    settings = database_for(role)
    with as_user(settings.url) as app:
        assert app.execute(
            "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user"
        ).fetchall() == [(0,)]
        for statement in ("CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)", "CREATE SCHEMA mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())


@pytest.mark.parametrize(
    "statement", ["UPDATE note SET text = ''", "DELETE FROM note", "TRUNCATE note", "DROP TABLE note"]
)
def test_an_append_only_table_stays_as_it_is(settings: DatabaseSettings, statement: str) -> None:
    with as_user(settings.url) as app:
        app.execute("INSERT INTO note (text) VALUES ('kept')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement.encode())
        assert app.execute("SELECT text FROM note").fetchall() == [("kept",)]


def test_a_role_cannot_reach_anothers_database(database_for: DatabaseFor) -> None:
    consent, signing = database_for("consent"), database_for("signing")
    stranger = consent.url.rpartition("/")[0] + "/" + signing.url.rpartition("/")[2]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        as_user(stranger)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        as_user(consent.url.rpartition("/")[0] + "/postgres")


def test_constraints_have_the_names_of_the_convention(settings: DatabaseSettings) -> None:
    with as_user(settings.owner_url) as owner:
        found = {row[0] for row in owner.execute("SELECT conname FROM pg_constraint WHERE contype IN ('p', 'c', 'u')")}
    assert {"pk_note", "ck_counter_not_negative", "pk_outbox", "pk_outbox_aggregate", "pk_request"} <= found


def test_a_second_run_changes_nothing(empty: RoleDatabase) -> None:
    migrations.upgrade(MIGRATIONS, empty.owner_url)
    before = tables(empty)
    migrations.upgrade(MIGRATIONS, empty.owner_url)
    assert tables(empty) == before >= {"note", "outbox"}


def test_a_second_migrator_waits_for_the_first(empty: RoleDatabase) -> None:
    with as_user(empty.owner_url) as first:
        first.execute("SELECT pg_advisory_lock(%s)", (migrations._LOCK,))
        second = threading.Thread(target=migrations.upgrade, args=(MIGRATIONS, empty.owner_url))
        second.start()
        second.join(0.7)
        assert second.is_alive()
        assert tables(empty) == set()
        first.execute("SELECT pg_advisory_unlock(%s)", (migrations._LOCK,))
        second.join(20)
        assert not second.is_alive()
    assert "note" in tables(empty)


def with_second(folder: Path, statement: str) -> Path:
    copy = folder / "100% migrations"
    shutil.copytree(MIGRATIONS, copy)
    (copy / "versions" / "0002_extra.py").write_text(SECOND.format(statement=statement), "utf-8")
    return copy


def test_a_revision_that_fails_leaves_nothing_and_those_before_it_stay(empty: RoleDatabase, tmp_path: Path) -> None:
    with pytest.raises(ProgrammingError):
        migrations.upgrade(with_second(tmp_path, "SELECT * FROM missing"), empty.owner_url)
    assert "note" in tables(empty)
    assert "extra" not in tables(empty)
    with as_user(empty.owner_url) as owner:
        assert owner.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        # The lock is gone with the failed run.
        assert owner.execute("SELECT pg_try_advisory_lock(%s)", (migrations._LOCK,)).fetchall() == [(True,)]


def test_a_migration_does_not_queue_behind_a_long_reader(
    empty: RoleDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real limit is four seconds; the same code with less.
    monkeypatch.setattr(migrations, "_LOCK_MS", 100)
    migrations.upgrade(MIGRATIONS, empty.owner_url)
    more = with_second(tmp_path, "ALTER TABLE note ADD COLUMN colour text")
    with as_user(empty.owner_url) as reader, reader.transaction():
        reader.execute("SELECT * FROM note")
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade(more, empty.owner_url)
    migrations.upgrade(more, empty.owner_url)
    assert "extra" in tables(empty)


def test_rights_go_to_another_user_when_told(empty: RoleDatabase, postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE reader")
        try:
            migrations.upgrade(MIGRATIONS, empty.owner_url, app_role="reader")
            with as_user(empty.owner_url) as owner:
                rights = owner.execute(
                    "SELECT grantee, privilege_type FROM information_schema.role_table_grants"
                    " WHERE table_name = 'note' AND grantee <> 'empty_owner' ORDER BY 2"
                ).fetchall()
            assert rights == [("reader", "INSERT"), ("reader", "SELECT")]
        finally:
            connection.execute('DROP DATABASE "empty" WITH (FORCE)')
            connection.execute("DROP ROLE reader")
