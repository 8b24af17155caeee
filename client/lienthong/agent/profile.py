"""What the agent of one facility needs to know: where the gateway is, who the facility is and which files or tokens hold its keys."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

ENVIRONMENT = "LIENTHONG_PROFILE"
"""Environment variable that names the profile file when `--profile` is not given."""

_PADDINGS = ("", "pkcs1v15", "pss")


class ProfileInvalid(Exception):
    """The profile cannot be used; the text names every wrong entry."""


@dataclass(frozen=True)
class KeySource:
    """Where one signing key is: a PKCS#12 file (`keystore`), or a PKCS#11 token (`module`, a path, and `token`, its label).

    In a token the key is found by `key`, its label, or `key_id`, its id in hex digits; its certificate in the token under the same id or
    label, or in the file `certificate` (PEM; further ones are its chain). The passphrase or PIN is the first line of `secret_file`; without
    one it comes from the environment or is asked for. `padding` of RSA keys is `pkcs1v15` (the default) or `pss`.
    """

    role: str
    keystore: Path | None = None
    module: Path | None = None
    token: str = ""
    key: str = ""
    key_id: str = ""
    certificate: Path | None = None
    secret_file: Path | None = None
    padding: str = ""


@dataclass(frozen=True)
class Profile:
    """A facility's profile. Paths are absolute once loaded; relative ones are taken from the profile's folder.

    `gateway` is `host:port` of the gRPC listener for facilities; `token_endpoint` an https URL that issues access tokens for the client
    certificate (RFC 8705); `policy` the trust file that receipts are checked against; `spool` the folder for bookkeeping, receipts and the
    queue, which holds at most `queue_megabytes` (default 2048).

    The facility's key is in `signing_keystore`, a PKCS#12 file whose passphrase is the first line of `signing_passphrase_file`, or in a
    PKCS#11 token: `signing_module`, `signing_token` and the entries beside them as `KeySource` says, the PIN in `signing_pin_file`. The same
    entries with `practitioner_` name the key of the practitioner who works here. `timestamp_url` is an RFC 3161 authority, whose answers
    are checked against the certificates in `timestamp_authority` (PEM).
    """

    facility: str
    gateway: str
    authority: Path
    client_certificate: Path
    client_key: Path
    token_endpoint: str
    policy: Path
    spool: Path
    server_name: str = ""
    signing_keystore: Path | None = None
    signing_passphrase_file: Path | None = None
    signing_module: Path | None = None
    signing_token: str = ""
    signing_key: str = ""
    signing_key_id: str = ""
    signing_certificate: Path | None = None
    signing_pin_file: Path | None = None
    signing_padding: str = ""
    practitioner_keystore: Path | None = None
    practitioner_passphrase_file: Path | None = None
    practitioner_module: Path | None = None
    practitioner_token: str = ""
    practitioner_key: str = ""
    practitioner_key_id: str = ""
    practitioner_certificate: Path | None = None
    practitioner_pin_file: Path | None = None
    practitioner_padding: str = ""
    timestamp_url: str = ""
    timestamp_authority: Path | None = None
    queue_megabytes: str = ""

    def key_source(self, role: str = "facility") -> KeySource:
        """Where the key of `facility` or `practitioner` is. Raises ProfileInvalid when the profile names none."""
        prefix = "signing" if role == "facility" else "practitioner"
        entry: dict[str, Any] = {
            name: getattr(self, f"{prefix}_{name}")
            for name in ("keystore", "module", "token", "key", "key_id", "certificate", "padding")
        }
        kind = "passphrase_file" if entry["keystore"] else "pin_file"
        source = KeySource(role=role, secret_file=getattr(self, f"{prefix}_{kind}"), **entry)
        if source.keystore is None and source.module is None:
            raise ProfileInvalid(f"the profile names no key of the {role}: {prefix}_keystore or {prefix}_module")
        return source


def load_profile(path: Path) -> Profile:
    """Reads a profile (JSON object). Raises ProfileInvalid naming every missing, unknown or ill-typed entry."""
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProfileInvalid(f"{path}: {type(error).__name__}") from error
    if not isinstance(raw, dict):
        raise ProfileInvalid(f"{path}: not a JSON object")
    known = {field.name: field for field in fields(Profile)}
    wrong = [f"{name}: unknown" for name in sorted(raw.keys() - known.keys())]
    wrong += [f"{name}: missing" for name in known if name not in raw and known[name].default is MISSING]
    wrong += [f"{name}: not a text" for name in known if name in raw and not isinstance(raw[name], str)]
    wrong += [] if wrong else _contradictions(raw)
    if wrong:
        raise ProfileInvalid(f"{path}: " + "; ".join(wrong))
    folder = path.resolve().parent
    values = {name: folder / text if "Path" in str(known[name].type) else text for name, text in raw.items() if text}
    return Profile(**values)


def save_profile(profile: Profile, path: Path) -> None:
    """Writes a profile, mode 0600."""
    entries = {field.name: getattr(profile, field.name) for field in fields(Profile)}
    text = json.dumps({name: str(value) for name, value in entries.items() if value not in (None, "")}, indent=2)
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")


def _contradictions(raw: dict[str, str]) -> list[str]:
    """What is wrong between well-typed entries."""
    wrong = [] if "signing_keystore" in raw or "signing_module" in raw else ["signing_keystore: missing"]
    for prefix in ("signing", "practitioner"):
        if raw.get(f"{prefix}_keystore") and raw.get(f"{prefix}_module"):
            wrong.append(f"{prefix}_module: the key is in a keystore already")
        if raw.get(f"{prefix}_module") and not raw.get(f"{prefix}_token"):
            wrong.append(f"{prefix}_token: missing")
        if raw.get(f"{prefix}_padding", "") not in _PADDINGS:
            wrong.append(f"{prefix}_padding: not pkcs1v15 or pss")
    if raw.get("timestamp_url") and not raw.get("timestamp_authority"):
        wrong.append("timestamp_authority: missing")
    if raw.get("queue_megabytes", "1").strip("0123456789") or raw.get("queue_megabytes", "1") in ("", "0"):
        wrong.append("queue_megabytes: not a positive number")
    return wrong
