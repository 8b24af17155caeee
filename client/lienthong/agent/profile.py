"""What the agent of one facility needs to know: where the gateway is, who the facility is and which files hold its keys."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

ENVIRONMENT = "LIENTHONG_PROFILE"
"""Environment variable that names the profile file when `--profile` is not given."""


class ProfileInvalid(Exception):
    """The profile cannot be used; the text names every wrong entry."""


@dataclass(frozen=True)
class Profile:
    """A facility's profile. Paths are absolute once loaded; relative ones are taken from the profile's folder.

    `gateway` is `host:port` of the gRPC listener for facilities; `token_endpoint` an https URL that issues access tokens for the client
    certificate (RFC 8705); `signing_keystore` a PKCS#12 file whose passphrase is the first line of `signing_passphrase_file`; `policy` the
    trust file that receipts are checked against; `spool` the folder for bookkeeping and receipts.
    """

    facility: str
    gateway: str
    authority: Path
    client_certificate: Path
    client_key: Path
    token_endpoint: str
    signing_keystore: Path
    signing_passphrase_file: Path
    policy: Path
    spool: Path
    server_name: str = ""


def load_profile(path: Path) -> Profile:
    """Reads a profile (JSON object). Raises ProfileInvalid naming every missing, unknown or ill-typed entry."""
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ProfileInvalid(f"{path}: {type(error).__name__}") from error
    if not isinstance(raw, dict):
        raise ProfileInvalid(f"{path}: not a JSON object")
    known = {field.name: field for field in fields(Profile)}
    wrong = [f"{name}: unknown" for name in sorted(raw.keys() - known.keys())]
    wrong += [f"{name}: missing" for name in known if name not in raw and name != "server_name"]
    wrong += [f"{name}: not a text" for name in known if name in raw and not isinstance(raw[name], str)]
    if wrong:
        raise ProfileInvalid(f"{path}: " + "; ".join(wrong))
    folder = path.resolve().parent
    values = {name: folder / raw[name] if known[name].type == "Path" else raw[name] for name in raw}
    return Profile(**values)


def save_profile(profile: Profile, path: Path) -> None:
    """Writes a profile, mode 0600."""
    text = json.dumps({field.name: str(getattr(profile, field.name)) for field in fields(Profile)}, indent=2)
    path.touch(mode=0o600)
    path.write_text(text + "\n", "utf-8")
