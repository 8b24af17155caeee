"""Settings of the consent role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings
from services.consent.ciba import CibaSettings


@dataclass(frozen=True)
class Settings:
    """`keyring` wraps the keys of the app's assertions; `ciba` is the national ID app."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    ciba: CibaSettings
    keyring: Path
