"""Settings of the signing role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings
from services.signing.policy import SHIPPED


@dataclass(frozen=True)
class Settings:
    """`log_key` is the Ed25519 private key of the checkpoints (PEM, PKCS#8); `log_origin` names the log, one a year.

    `signing_policy` is a TOML file as in `policies/`; `scheme_operators` a PEM file of the certificates that may sign
    trusted lists (ETSI TS 119 612), none without it.
    """

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    log_key: Path
    log_origin: str
    checkpoint_interval: timedelta = timedelta(seconds=1)
    signing_policy: Path = SHIPPED
    scheme_operators: Path | None = None
