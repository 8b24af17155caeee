"""Root keys in a real PKCS#11 token (SoftHSM 2)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import AttributeSensitive

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import (
    KeyringUnreadable,
    PersonKey,
    PersonKeys,
    SealBroken,
    WrappedKey,
    open_keyring,
    open_sealed,
    seal,
    sealed_from_bytes,
)
from services.chassis.keyring.__main__ import main
from services.chassis.keyring.rotation import rotate_person_keys
from services.chassis.keyring.token import (
    RootKeysUnavailable,
    TokenAddress,
    TokenKeyring,
    add_token_version,
    forget_token_version,
)
from services.chassis.settings import DatabaseSettings
from services.identity.ports import IdentifierTaken
from services.identity.postgres import PostgresStore
from tests.integration.keys.conftest import CLOSING
from tests.integration.keys.test_reindex import add, file, filed, found, number, person, record

AAD = b"service|table|1"


def described(address: TokenAddress, folder: Path) -> Path:
    path = folder / "keyring.json"
    token = {name: str(value) for name, value in dataclasses.asdict(address).items() if name != "blind"}
    path.write_text(json.dumps({"token": token}), "utf-8")
    return path


def test_what_the_token_wraps_it_alone_unwraps(token: TokenAddress, tmp_path: Path) -> None:
    keyring = open_keyring(described(token, tmp_path))
    sealed = sealed_from_bytes(seal(keyring, b"content", AAD).to_bytes())
    assert open_sealed(keyring, sealed, AAD) == b"content"
    wrapped = keyring.wrap(bytes(32), AAD)
    changed = bytes([wrapped.data[0] ^ 1]) + wrapped.data[1:]
    for broken, aad in (
        (wrapped, b"elsewhere"),
        (WrappedKey(wrapped.version, changed), AAD),
        (WrappedKey(wrapped.version, b""), AAD),
        (WrappedKey(99, wrapped.data), AAD),
    ):
        with pytest.raises(SealBroken):
            keyring.unwrap(broken, aad)


def test_keys_do_not_leave_the_token(token: TokenAddress) -> None:
    # The PIN first, so that the process is logged in; a second login is an error of the module.
    TokenKeyring(token)
    session = pkcs11.lib(str(token.module)).get_token(token_label=token.token).open()
    keys: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
    assert {key.key_type for key in keys} == {KeyType.AES, KeyType.GENERIC_SECRET}
    for key in keys:
        assert not key[Attribute.EXTRACTABLE]
        with pytest.raises(AttributeSensitive):
            _ = key[Attribute.VALUE]


def test_blind_indexes_are_steady_and_differ_by_kind(token: TokenAddress) -> None:
    one, other = TokenKeyring(token), TokenKeyring(token)
    blind = one.blind("CITIZEN_ID", "001099012345")
    assert len(blind) == 16
    assert other.blind("CITIZEN_ID", "001099012345") == blind
    assert one.blind("OLD_ID", "001099012345") != blind
    # The frame tells kind and value apart wherever the border lies.
    assert one.blind("A B", "C") != one.blind("A", "B C")


def test_a_new_version_wraps_and_old_ones_open_until_they_are_forgotten(token: TokenAddress) -> None:
    address = dataclasses.replace(token, label="rotating")
    assert add_token_version(address) == 1
    first = TokenKeyring(address)
    wrapped = first.wrap(bytes(32), AAD)
    blind = first.blind("KIND", "value")
    assert add_token_version(address) == 2
    second = TokenKeyring(address)
    assert (second.current_version, sorted(second.versions)) == (2, [1, 2])
    assert second.unwrap(wrapped, AAD) == bytes(32)
    assert second.wrap(bytes(32), AAD).version == 2
    with pytest.raises(ValueError, match="in use"):
        forget_token_version(address, 2)
    forget_token_version(address, 1)
    third = TokenKeyring(address)
    with pytest.raises(SealBroken):
        third.unwrap(wrapped, AAD)
    assert third.blind("KIND", "value") == blind


def test_a_session_that_was_lost_is_opened_anew(token: TokenAddress) -> None:
    keyring = TokenKeyring(token)
    wrapped, blind = keyring.wrap(bytes(32), AAD), keyring.blind("KIND", "value")
    # Logs the process out and ends the session, as a token does that was reset.
    keyring._opened.session.close()  # noqa: SLF001 - what happens in the token
    assert keyring.unwrap(wrapped, AAD) == bytes(32)
    keyring._opened.session.close()  # noqa: SLF001
    assert keyring.blind("KIND", "value") == blind


def test_a_pin_that_no_longer_fits_is_tried_once(token: TokenAddress, tmp_path: Path) -> None:
    pin = tmp_path / "pin"
    pin.write_text(token.pin_file.read_text("utf-8"), "utf-8")
    # A token of its own, with keys that another process made: no other session keeps this one logged in.
    address = dataclasses.replace(token, token=CLOSING, pin_file=pin)
    command = [sys.executable, "-m", "services.chassis.keyring", "add-root", str(described(address, tmp_path))]
    environment = {name: os.environ[name] for name in ("PATH", "SOFTHSM2_CONF")}
    subprocess.run(command, env=environment, check=True, timeout=60)
    keyring = TokenKeyring(address)
    wrapped = keyring.wrap(bytes(32), AAD)
    keyring._opened.session.close()  # noqa: SLF001 - what happens in the token
    pin.write_text("314159", "utf-8")
    with pytest.raises(RootKeysUnavailable):
        keyring.unwrap(wrapped, AAD)
    # Right again, and still not asked for: only a start does that.
    pin.write_text(token.pin_file.read_text("utf-8"), "utf-8")
    with pytest.raises(RootKeysUnavailable):
        keyring.unwrap(wrapped, AAD)
    assert TokenKeyring(address).unwrap(wrapped, AAD) == bytes(32)


def test_a_version_made_since_the_start_is_met(token: TokenAddress) -> None:
    address = dataclasses.replace(token, label="meeting")
    add_token_version(address)
    first = TokenKeyring(address)
    add_token_version(address)
    assert first.unwrap(TokenKeyring(address).wrap(bytes(32), AAD), AAD) == bytes(32)
    assert first.wrap(bytes(32), AAD).version == 1


def test_blind_keys_turn_by_command(token: TokenAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = described(dataclasses.replace(token, label="turning"), tmp_path)
    assert main(["add-root", str(path)]) == 0
    first = open_keyring(path).blind("KIND", "value")
    assert main(["add-blind", str(path)]) == 0
    both = open_keyring(path)
    assert (both.blind_versions, both.blind("KIND", "value")) == ((1, 2), first)
    second = both.blind("KIND", "value", 2)
    assert second != first
    assert main(["add-blind", str(path)]) == 1
    assert main(["turn-blind", str(path)]) == 0
    assert open_keyring(path).blind("KIND", "value") == second
    assert main(["forget-blind", str(path)]) == 0
    left = open_keyring(path)
    assert (left.blind_versions, left.blind("KIND", "value")) == ((2,), second)
    assert main(["forget-root", str(path), "1"]) == 1
    assert main(["add-root", str(path)]) == 0
    assert main(["forget-root", str(path), "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "root versions: 2 (wraps)",
        "blind versions, the first is written: 2",
    ]


@pytest.mark.parametrize("change", ["module", "token", "label", "pin file"])
def test_what_is_missing_is_said(token: TokenAddress, tmp_path: Path, change: str) -> None:
    changes = {
        "module": {"module": tmp_path / "none.so"},
        "token": {"token": "nobody"},
        "label": {"label": "nothing"},
        "pin file": {"pin_file": tmp_path / "none"},
    }
    with pytest.raises(KeyringUnreadable):
        TokenKeyring(dataclasses.replace(token, **changes[change]))  # type: ignore[arg-type] # each is of its field's type


def test_a_wrong_pin_stops_the_start_and_is_not_repeated(token: TokenAddress, tmp_path: Path) -> None:
    """In a process of its own: one that is logged in is not asked again."""
    (tmp_path / "pin").write_text("314159", "utf-8")
    path = described(dataclasses.replace(token, pin_file=tmp_path / "pin"), tmp_path)
    environment = {name: os.environ[name] for name in ("PATH", "SOFTHSM2_CONF")}
    environment |= {
        "LIENTHONG_KEYRING": str(path),
        "LIENTHONG_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
    }
    done = subprocess.run(
        [sys.executable, "-m", "services.consent", "rotate-keys"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "PinIncorrect" in done.stderr
    assert "314159" not in done.stdout + done.stderr


async def test_keys_of_persons_under_a_token_and_their_rotation(
    token: TokenAddress, database: Database, tmp_path: Path
) -> None:
    path = described(dataclasses.replace(token, label="persons"), tmp_path)
    assert main(["add-root", str(path)]) == 0
    keys = PersonKeys(open_keyring(path), "consent", system_clock)
    persons = [uuid7() for _ in range(40)]

    async def make(some: Sequence[UUID]) -> dict[UUID, PersonKey]:
        return await database.write(lambda connection: keys.find_or_make(connection, some))

    # Several batches at once share one session of the token.
    batches = await asyncio.gather(*(make(persons[start : start + 20]) for start in (0, 5, 10, 20)))
    sealed = {person: seal(batch[person], b"content", AAD) for batch in batches for person in batch}
    assert sealed.keys() == set(persons)
    assert main(["add-root", str(path)]) == 0
    assert await rotate_person_keys(database, open_keyring(path), "consent", lambda _: None, batch=7) == len(persons)
    assert main(["forget-root", str(path), "1"]) == 0
    for reading in (keys, PersonKeys(open_keyring(path), "consent", system_clock)):
        found = await database.read(lambda connection: reading.find(connection, persons))  # noqa: B023 - awaited here
        assert all(open_sealed(found[person], one, AAD) == b"content" for person, one in sealed.items())


def test_a_description_that_lacks_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    for content in ('{"token": {}}', '{"token": []}', "[]", "{", '{"token": {"module": 1}}'):
        path.write_text(content, "utf-8")
        with pytest.raises(KeyringUnreadable):
            open_keyring(path)


async def test_identity_finds_by_blind_keys_of_a_token(
    token: TokenAddress, database_for: Callable[[str], DatabaseSettings], tmp_path: Path
) -> None:
    path = described(dataclasses.replace(token, label="identity"), tmp_path)
    assert main(["add-root", str(path)]) == 0
    assert main(["add-blind", str(path)]) == 0
    numbers = [number(at) for at in range(20)]
    persons = [person(key) for key in numbers]
    async with Database(database_for("identity")) as database:
        store = PostgresStore(database, open_keyring(path), system_clock)
        await add(store, *persons)
        await file(store, [record(0)], persons[0].id)
        assert main(["turn-blind", str(path)]) == 0
        turned = PostgresStore(database, open_keyring(path), system_clock)
        assert await found(turned, numbers) == {key: one.id for key, one in zip(numbers, persons, strict=True)}
        assert await filed(turned, [record(0), record(1)]) == 1
        with pytest.raises(IdentifierTaken):
            await add(turned, person(numbers[0]))
