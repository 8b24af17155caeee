"""Settings come from the environment, are complete at start, and every problem is reported at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

S = TypeVar("S")
PREFIX = "LIENTHONG"


class SettingsError(Exception):
    """Some settings are missing or ill-typed; `problems` names each. Values are never repeated: they may be secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class ServerSettings:
    """`listen` is host:port, port 0 for any; `ready_file` gets the bound address. `token_issuers` maps issuer to keys and kinds (JSON)."""

    certificate: Path
    private_key: Path
    authority: Path
    token_issuers: Path
    listen: str = "127.0.0.1:0"
    token_audience: str = "lienthong"  # noqa: S105 - a name
    ready_file: Path | None = None
    drain_seconds: float = 0.5
    grace_seconds: float = 5.0
    max_message_bytes: int = 20 * 1024 * 1024
    max_concurrent_calls: int = 512


@dataclass(frozen=True)
class DatabaseSettings:
    """`url` is the app user's (`postgresql+psycopg://...`), with row rights only; `owner_url` the owner's, for migrations."""

    url: str
    owner_url: str | None = None
    pool_size: int = 8
    pool_timeout_seconds: float = 3.0
    statement_timeout_ms: int = 10_000


@dataclass(frozen=True)
class TelemetrySettings:
    """`otlp_endpoint` is host:port of a collector (gRPC, plaintext, same node); none keeps spans inside."""

    otlp_endpoint: str | None = None
    sample_ratio: float = 1.0
    log_level: str = "info"


def names(settings: type[Any], prefix: str = PREFIX) -> list[str]:
    """Every environment variable of a settings class."""
    found = []
    hints = typing.get_type_hints(settings)
    for field in fields(settings):
        name = f"{prefix}_{field.name.upper()}"
        found += names(hints[field.name], name) if is_dataclass(hints[field.name]) else [name]
    return found


def load(settings: type[S], environ: Mapping[str, str]) -> S:
    """Reads a settings class; nested ones are flattened with their field's name as prefix. Raises SettingsError."""
    problems: list[str] = []
    value = _load(settings, environ, PREFIX, problems)
    if problems:
        raise SettingsError(problems)
    return typing.cast("S", value)


def _load(settings: type[Any], environ: Mapping[str, str], prefix: str, problems: list[str]) -> Any:
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(settings)
    for field in fields(settings):
        name = f"{prefix}_{field.name.upper()}"
        hint = hints[field.name]
        if is_dataclass(hint):
            values[field.name] = _load(typing.cast("type[Any]", hint), environ, name, problems)
        elif environ.get(name, "") != "":
            try:
                values[field.name] = _parse(hint, environ[name])
            except ValueError:
                problems.append(f"{name}: ill-typed")
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(f"{name}: missing")
    return None if problems else settings(**values)


def _parse(hint: Any, text: str) -> Any:
    options = [part for part in typing.get_args(hint) if part is not types.NoneType]
    if isinstance(hint, types.UnionType) and len(options) == 1:
        hint = options[0]
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("not a boolean")
        return text.lower() == "true"
    if hint is timedelta:
        return timedelta(seconds=float(text))
    if hint == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint in (str, int, float, Path):
        return hint(text)
    raise TypeError(f"settings of type {hint} are not supported")
