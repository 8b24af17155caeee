"""Settings of the signing role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class Settings:
    """`log_key` is the Ed25519 private key of the checkpoints (PEM, PKCS#8); `log_origin` names the log, one a year."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    log_key: Path
    log_origin: str
    checkpoint_interval: timedelta = timedelta(seconds=1)
