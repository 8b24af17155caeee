"""Settings of the signing role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings
from services.signing.policy import SHIPPED


@dataclass(frozen=True)
class WitnessSettings:
    """`policy` is a trust file (C2SP tlog-policy) with this log, the witnesses with their URLs, and the quorum that receipts need; none asks for
    no witness. `authority` is the CA bundle for their TLS, none means the system's. `patience`: how long receipts wait for the quorum."""

    policy: Path | None = None
    authority: Path | None = None
    timeout: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(hours=4)


@dataclass(frozen=True)
class StampSettings:
    """Time-stamps over checkpoints (RFC 3161 over HTTP); no `url`, no time-stamps. `roots`: PEM file of the certificates that may stand above
    the authority."""

    url: str = ""
    roots: Path | None = None
    interval: timedelta = timedelta(minutes=10)
    timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class RevocationSettings:
    """Fetching from the addresses registered with authorities: every `interval` their lists, and an OCSP answer for every signer whose
    answer is older than `answer_age`. `timeout` is for one request."""

    interval: timedelta = timedelta(minutes=10)
    answer_age: timedelta = timedelta(hours=6)
    timeout: timedelta = timedelta(seconds=5)


@dataclass(frozen=True)
class Settings:
    """`log_key` is the Ed25519 private key of the checkpoints (PEM, PKCS#8); `log_origin` names the log, one a year.

    `signing_policy` is a TOML file as in `policies/`; `scheme_operators` a PEM file of the certificates that may sign
    trusted lists (ETSI TS 119 612), none without it. Every `expiry_interval` the signers that expire soon are told.
    """

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    log_key: Path
    log_origin: str
    witness: WitnessSettings = WitnessSettings()
    stamp: StampSettings = StampSettings()
    revocation: RevocationSettings = RevocationSettings()
    expiry_interval: timedelta = timedelta(hours=1)
    checkpoint_interval: timedelta = timedelta(seconds=1)
    signing_policy: Path = SHIPPED
    scheme_operators: Path | None = None
