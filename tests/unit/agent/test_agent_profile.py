"""The agent's profile and the secrets of its keys."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from lienthong.agent.profile import Profile, ProfileInvalid, load_profile, save_profile
from lienthong.agent.signing import KeystoreInvalid, TokenPinWrong
from lienthong.agent.signing.opening import open_signer

from deploy.local.pki import Pki

ENTRIES = {
    "facility": "01001",
    "gateway": "127.0.0.1:1",
    "authority": "ca.pem",
    "client_certificate": "/elsewhere/client.pem",
    "client_key": "client.key",
    "token_endpoint": "https://tokens.test",
    "policy": "policy",
    "spool": "spool",
    "signing_keystore": "key.p12",
    "signing_passphrase_file": "passphrase",
}


def written(folder: Path, **more: object) -> Path:
    entries = {name: value for name, value in (ENTRIES | more).items() if value is not None}
    (folder / "profile.json").write_text(json.dumps(entries), "utf-8")
    return folder / "profile.json"


def test_paths_are_taken_from_the_profiles_folder(tmp_path: Path) -> None:
    profile = load_profile(written(tmp_path))
    assert (profile.spool, profile.client_certificate) == (tmp_path / "spool", Path("/elsewhere/client.pem"))
    assert (profile.server_name, profile.signing_module) == ("", None)
    source = profile.key_source()
    assert (source.keystore, source.secret_file) == (tmp_path / "key.p12", tmp_path / "passphrase")


def test_a_profile_survives_saving(tmp_path: Path) -> None:
    more = {"timestamp_url": "http://tsa.test", "timestamp_authority": "tsa.pem"}
    more |= {"practitioner_module": "p11.so", "practitioner_token": "doctor"}
    profile = load_profile(written(tmp_path, **more, practitioner_key_id="0a", practitioner_pin_file="pin"))
    save_profile(profile, tmp_path / "saved.json")
    assert load_profile(tmp_path / "saved.json") == profile
    assert (tmp_path / "saved.json").stat().st_mode & 0o777 == 0o600
    source = profile.key_source("practitioner")
    assert (source.module, source.token, source.key_id) == (tmp_path / "p11.so", "doctor", "0a")
    assert source.secret_file == tmp_path / "pin"


def test_every_wrong_entry_is_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, gateway=None, spool=7, colour="red")
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(path)
    assert all(part in str(caught.value) for part in ("gateway: missing", "spool: not a text", "colour: unknown"))


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ({"signing_keystore": None}, "signing_keystore: missing"),
        ({"signing_module": "p11.so", "signing_token": "x"}, "in a keystore already"),
        ({"signing_keystore": None, "signing_module": "p11.so"}, "signing_token: missing"),
        ({"signing_padding": "oaep"}, "signing_padding"),
        ({"timestamp_url": "http://tsa.test"}, "timestamp_authority: missing"),
        ({"queue_megabytes": "many"}, "queue_megabytes"),
        ({"queue_megabytes": "0"}, "queue_megabytes"),
    ],
)
def test_contradictions(entries: dict[str, object], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match=wrong):
        load_profile(written(tmp_path, **entries))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\udc80"])
def test_what_is_no_profile(text: str, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProfileInvalid):
        load_profile(tmp_path / "profile.json")
    with pytest.raises(ProfileInvalid, match="FileNotFoundError"):
        load_profile(tmp_path / "none.json")


def test_no_key_for_a_practitioner(tmp_path: Path) -> None:
    with pytest.raises(ProfileInvalid, match="practitioner_keystore or practitioner_module"):
        load_profile(written(tmp_path)).key_source("practitioner")


def test_every_entry_is_described() -> None:
    described = f"{Profile.__doc__}"
    skipped = ("signing_", "practitioner_", "server_name", "client_", "authority", "facility")
    assert all(f"`{one.name}`" in described for one in fields(Profile) if not one.name.startswith(skipped))


def test_the_passphrase_comes_from_file_environment_or_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pki(tmp_path).signer("01001", algorithm="p256")
    secret = pair.passphrase_file.read_text("utf-8")
    by_file = load_profile(written(tmp_path, signing_keystore=str(pair.keystore), signing_passphrase_file="first"))
    (tmp_path / "first").write_text(f"{secret}\nsecond line\n", "utf-8")
    assert open_signer(by_file.key_source()).certificate == pair.certificate_der
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return secret

    bare = load_profile(written(tmp_path, signing_keystore=str(pair.keystore), signing_passphrase_file=None))
    assert open_signer(bare.key_source(), ask=ask).certificate == pair.certificate_der
    assert asked == [f"Passphrase of {pair.keystore.name}"]
    with pytest.raises(TokenPinWrong, match="LIENTHONG_SIGNING_PIN"):
        open_signer(bare.key_source())
    monkeypatch.setenv("LIENTHONG_SIGNING_PIN", secret)
    assert open_signer(bare.key_source()).certificate == pair.certificate_der
    monkeypatch.setenv("LIENTHONG_SIGNING_PIN", "wrong")
    with pytest.raises(KeystoreInvalid) as caught:
        open_signer(bare.key_source())
    assert "wrong" not in str(caught.value).replace("is wrong", "")
    (tmp_path / "first").unlink()
    with pytest.raises(KeystoreInvalid, match="first: FileNotFoundError"):
        open_signer(by_file.key_source())
