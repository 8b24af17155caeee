"""Envelope encryption: everything that is changed or moved stays closed, and old versions open."""

from __future__ import annotations

import inspect
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import keyring
from services.chassis.keyring import (
    FileKeyring,
    KeyringUnreadable,
    PersonKey,
    PersonKeys,
    SealBroken,
    Sealed,
    WrappedKey,
    create_keyring,
    open_keyring,
    open_sealed,
    rotate,
    seal,
    sealed_from_bytes,
)
from services.chassis.keyring.__main__ import main
from services.chassis.keyring.rotation import RotationSettings
from services.chassis.keyring.token import TokenKeyring
from services.chassis.lifecycle import Lifecycle
from services.chassis.main import run
from services.chassis.server import Server

AAD = b"document|0193"
KEY = "A" * 43 + "="
SECRET = "Nguyễn Thị Hoà".encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "keyring.json")
    return tmp_path / "keyring.json"


@pytest.fixture
def keys(path: Path) -> FileKeyring:
    return FileKeyring(path)


def test_what_was_sealed_opens_in_its_place_only(keys: FileKeyring) -> None:
    sealed = sealed_from_bytes(seal(keys, SECRET, AAD).to_bytes())
    assert open_sealed(keys, sealed, AAD) == SECRET
    with pytest.raises(SealBroken):
        open_sealed(keys, sealed, b"document|0194")


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 9_000_000])
def test_items_of_any_size(keys: FileKeyring, size: int) -> None:
    content = bytes(size)
    sealed = sealed_from_bytes(seal(keys, content, AAD).to_bytes())
    assert open_sealed(keys, sealed, AAD) == content
    assert len(sealed.ciphertext) == size + 16
    for cut in (sealed.ciphertext[:-1], sealed.ciphertext[:15], b""):
        with pytest.raises(SealBroken):
            open_sealed(keys, Sealed(sealed.wrapped, cut), AAD)


def test_no_bit_can_be_changed(keys: FileKeyring) -> None:
    raw = seal(keys, SECRET, AAD).to_bytes()
    for place in range(len(raw)):
        for bit in (1, 128):
            changed = bytearray(raw)
            changed[place] ^= bit
            with pytest.raises(SealBroken):
                open_sealed(keys, sealed_from_bytes(bytes(changed)), AAD)


def test_nothing_can_be_cut_off_or_added(keys: FileKeyring) -> None:
    raw = seal(keys, SECRET, AAD).to_bytes()
    for changed in [raw[:length] for length in range(len(raw))] + [raw + b"\x00"]:
        with pytest.raises(SealBroken):
            open_sealed(keys, sealed_from_bytes(changed), AAD)


def test_parts_of_two_items_do_not_fit(keys: FileKeyring) -> None:
    one, other = seal(keys, b"one", AAD), seal(keys, b"two", AAD)
    with pytest.raises(SealBroken):
        open_sealed(keys, Sealed(one.wrapped, other.ciphertext), AAD)


def test_every_item_has_a_key_of_its_own(keys: FileKeyring) -> None:
    sealed = [seal(keys, b"same", AAD) for _ in range(50)]
    assert len({one.ciphertext for one in sealed}) == 50
    assert len({keys.unwrap(one.wrapped, AAD) for one in sealed}) == 50
    assert {len(keys.unwrap(one.wrapped, AAD)) for one in sealed} == {32}


def test_another_keyring_opens_nothing(keys: FileKeyring, tmp_path: Path) -> None:
    create_keyring(tmp_path / "other.json")
    with pytest.raises(SealBroken):
        open_sealed(FileKeyring(tmp_path / "other.json"), seal(keys, SECRET, AAD), AAD)


def test_an_item_costs_88_bytes_and_its_header(keys: FileKeyring) -> None:
    # Wrapping nonce, wrapped key, two tags; six bytes of version and length.
    assert len(seal(keys, b"", AAD).to_bytes()) == 12 + 32 + 16 + 16 + 6


def test_rotation_seals_with_the_new_version_and_opens_the_old(keys: FileKeyring, path: Path) -> None:
    old = seal(keys, SECRET, AAD)
    blind = keys.blind("CITIZEN_ID", "001185012345")
    assert rotate(path) == 2
    newer = FileKeyring(path)
    new = seal(newer, SECRET, AAD)
    assert (old.wrapped.version, new.wrapped.version) == (1, 2)
    assert open_sealed(newer, old, AAD) == open_sealed(newer, new, AAD) == SECRET
    assert newer.blind("CITIZEN_ID", "001185012345") == blind
    # Who was there before the new version finds it when it is met, and goes on wrapping with its own.
    assert open_sealed(keys, new, AAD) == SECRET
    assert keys.wrap(bytes(32), AAD).version == 1
    with pytest.raises(SealBroken):
        newer.unwrap(WrappedKey(1, new.wrapped.data), AAD)


def test_a_blind_key_is_searched_before_it_is_written_and_the_old_one_goes_last(path: Path) -> None:
    old = FileKeyring(path)
    blind = old.blind("CITIZEN_ID", "001185012345")
    for command in ("turn-blind", "forget-blind"):
        assert main([command, str(path)]) == 1
    rotate(path)
    assert main(["add-blind", str(path)]) == 0
    both = FileKeyring(path)
    assert both.blind_versions == (1, 3)
    assert both.blind("CITIZEN_ID", "001185012345") == both.blind("CITIZEN_ID", "001185012345", 1) == blind
    new = both.blind("CITIZEN_ID", "001185012345", 3)
    assert new != blind
    assert main(["add-blind", str(path)]) == 1
    assert main(["turn-blind", str(path)]) == 0
    assert FileKeyring(path).blind_versions == (3, 1)
    assert main(["forget-blind", str(path)]) == 0
    left = FileKeyring(path)
    assert (left.blind_versions, left.blind("CITIZEN_ID", "001185012345")) == ((3,), new)
    # Its root key stays: something may be wrapped by it.
    assert left.versions == {1, 2}
    assert "blind" not in json.loads(path.read_text())["keys"]["1"]
    assert main(["forget-root", str(path), "1"]) == 0
    assert set(json.loads(path.read_text())["keys"]) == {"2", "3"}


@pytest.mark.parametrize(
    "arguments", [["forget-root"], ["show", "1"], ["nonsense"], []], ids=["no version", "a version", "command", "none"]
)
def test_a_command_that_is_wrong_changes_nothing(path: Path, arguments: list[str]) -> None:
    before = path.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main([*arguments[:1], str(path), *arguments[1:]])
    assert stopped.value.code == 2
    assert path.read_bytes() == before


def test_the_command_shows_no_key(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = json.loads(path.read_text())
    assert main(["add-root", str(path)]) == 0
    assert main(["create", str(path)]) == 1
    assert main(["show", str(path.parent / "none.json")]) == 1
    said = capsys.readouterr()
    assert "root versions: 1, 2 (wraps)" in said.out
    assert not [key for entry in raw["keys"].values() for key in entry.values() if key in said.out + said.err]


def test_a_rotation_under_way_is_not_run_over(path: Path) -> None:
    path.with_suffix(".part").touch()
    with pytest.raises(FileExistsError):
        rotate(path)
    assert json.loads(path.read_text())["current"] == 1


@given(st.text(), st.text(), st.text(), st.text())
def test_blind_values_differ_by_kind_and_value(
    keyring_file: Path, one: str, other: str, kind: str, other_kind: str
) -> None:
    keys = FileKeyring(keyring_file)
    first, second = keys.blind(kind, one), keys.blind(other_kind, other)
    assert len(first) == 16
    assert (first == second) == ((kind, one) == (other_kind, other))


def test_blinding_is_keyed(tmp_path: Path, keys: FileKeyring) -> None:
    create_keyring(tmp_path / "other.json")
    assert FileKeyring(tmp_path / "other.json").blind("A", "1") != keys.blind("A", "1")


def test_the_file_is_closed_to_others_and_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_keyring(path)
    assert path.read_bytes() == before
    rotate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({"current": 2, "keys": {"1": {"kek": KEY, "blind": KEY}}}),
        json.dumps({"current": 1, "keys": {"1": {"kek": "QUJD", "blind": KEY}}}),
        '{"current": 1, "keys": {"1": {"kek": "secret!"}}}',
        '{"current": 1, "keys": {}}',
        '{"current": 1, "keys": {"1": 5}}',
    ],
)
def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(KeyringUnreadable) as refused:
        FileKeyring(path)
    assert str(refused.value) == f"{path} is not a keyring"
    assert refused.value.__cause__ is None


def test_a_keyring_that_is_of_no_use_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def compose(settings: RotationSettings, _: Lifecycle) -> Server:
        open_keyring(settings.keyring)
        raise AssertionError("it started")

    monkeypatch.setenv("LIENTHONG_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("LIENTHONG_KEYRING", str(tmp_path / "none.json"))
    assert run("consent", RotationSettings, compose, tmp_path, ["serve"]) == 2
    assert "LIENTHONG_KEYRING" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyringUnreadable, match="missing"):
        FileKeyring(tmp_path / "missing.json")


def test_nobody_can_pass_a_nonce() -> None:
    public = [one for name, one in inspect.getmembers(keyring) if not name.startswith("_") and callable(one)]
    functions = [one for one in public if inspect.isfunction(one)]
    functions += [
        one
        for kind in (FileKeyring, Sealed, TokenKeyring, PersonKey, PersonKeys)
        for _, one in inspect.getmembers(kind, inspect.isfunction)
    ]
    names = {name for one in functions for name in inspect.signature(one).parameters}
    assert not names & {"nonce", "iv", "random"}


def test_secrets_are_not_in_any_repr(keys: FileKeyring) -> None:
    assert "kek" not in repr(keys).lower()
