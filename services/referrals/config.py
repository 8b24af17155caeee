"""Settings of the referrals role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class Settings:
    """`consent_address` is `host:port` of the consent role; `keyring` wraps the keys of the papers' clinical text."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    consent_address: str
    keyring: Path
