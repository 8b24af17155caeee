"""The configuration of a witness: one TOML file; relative paths are taken from its folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lienthong.client.tlog.note import ED25519, NoteMalformed, VerifierKey

_TEXTS = ("name", "key", "database", "listen")
_OPTIONAL = ("certificate", "private_key")


class ConfigInvalid(Exception):
    """The configuration cannot be used; the text names every wrong entry."""


@dataclass(frozen=True)
class WitnessConfig:
    """`name` of the witness's key (a URL without scheme), `key` its Ed25519 private key (PEM, PKCS#8), `database` its SQLite file, `listen`
    host:port, `logs` the keys of the logs that it watches, by origin; `certificate` and `private_key` (PEM) for TLS, both or neither.
    """

    name: str
    key: Path
    database: Path
    host: str
    port: int
    logs: Mapping[str, tuple[VerifierKey, ...]]
    certificate: Path | None = None
    private_key: Path | None = None


def load_config(path: Path) -> WitnessConfig:
    """Reads a configuration; raises ConfigInvalid."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{path}: {type(error).__name__}") from error
    wrong = [f"{name}: unknown" for name in sorted(raw.keys() - {*_TEXTS, *_OPTIONAL, "logs"})]
    wrong += [f"{name}: missing or not a text" for name in _TEXTS if not isinstance(raw.get(name), str)]
    wrong += [f"{name}: not a text" for name in _OPTIONAL if not isinstance(raw.get(name, ""), str)]
    if ("certificate" in raw) != ("private_key" in raw):
        wrong.append("certificate, private_key: one without the other")
    host, _, port = str(raw.get("listen", "")).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        wrong.append("listen: not host:port")
    logs = _logs(raw.get("logs"), wrong)
    if wrong:
        raise ConfigInvalid(f"{path}: " + "; ".join(wrong))
    folder = path.resolve().parent
    files = {name: folder / raw[name] for name in ("key", "database", *_OPTIONAL) if name in raw}
    return WitnessConfig(name=raw["name"], host=host, port=int(port), logs=logs, **files)


def _logs(value: Any, wrong: list[str]) -> Mapping[str, tuple[VerifierKey, ...]]:
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    if not isinstance(value, list) or not value:
        wrong.append("logs: not a list of verifier keys")
        return logs
    for number, text in enumerate(value):
        try:
            key = VerifierKey.parse(str(text))
        except NoteMalformed as error:
            wrong.append(f"logs[{number}]: {error}")
            continue
        if key.type != ED25519:
            wrong.append(f"logs[{number}]: not the key of a log")
        logs[key.name] = (*logs.get(key.name, ()), key)
    return logs
