"""A role's database with person keys, and root keys in a file and in a token."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.chassis.database import Database
from services.chassis.keyring import FileKeyring, create_keyring
from services.chassis.keyring.token import TokenAddress, add_token_version
from services.chassis.settings import DatabaseSettings
from tests.fixtures.debian import softhsm2_util, softhsm_module

PIN = "271828"
CLOSING = "closing"


@pytest.fixture
def settings(database_for: Callable[[str], DatabaseSettings]) -> DatabaseSettings:
    """A fresh database of the consent role, the simplest that has person keys."""
    return database_for("consent")


@pytest.fixture
async def database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    async with Database(settings) as opened:
        yield opened


@pytest.fixture
def keyring_path(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


@pytest.fixture
def keyring(keyring_path: Path) -> FileKeyring:
    return FileKeyring(keyring_path)


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenAddress]:
    """A token of SoftHSM with one root key, and an empty one, CLOSING, that a test may close. The module reads its configuration and finds its
    tokens once a process.
    """
    folder = tmp_path_factory.mktemp("softhsm")
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", "utf-8"
    )
    (folder / "pin").write_text(PIN + "\n", "utf-8")
    module = softhsm_module()
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for label in ("root", CLOSING):
        command = [softhsm2_util(), "--module", str(module), "--init-token", "--free", "--label", label]
        subprocess.run([*command, "--so-pin", PIN, "--pin", PIN], check=True, capture_output=True, timeout=30)
    address = TokenAddress(module, "root", "lienthong", folder / "pin")
    add_token_version(address)
    yield address
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before
