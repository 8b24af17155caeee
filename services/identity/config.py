"""Settings of the identity role, read from `LIENTHONG_*` and complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class Settings:
    """`keyring` is the file that holds the key-encryption and blind-index keys."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    keyring: Path
