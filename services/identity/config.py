"""Settings of the identity role, read from `LIENTHONG_*` and complete at start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class FeedSettings:
    """`heartbeat_seconds` pass at most between two answers of a stream. `poll_seconds`: how soon commits of other processes are noticed, own
    ones are at once. Lines that are out of date are kept for `kept_days`, at least 30; `prune_seconds` pass between two looks for them.
    """

    heartbeat_seconds: float = 1.0
    poll_seconds: float = 0.1
    kept_days: float = 30.0
    prune_seconds: float = 3600.0


@dataclass(frozen=True)
class Settings:
    """`keyring` is the file that holds the key-encryption and blind-index keys; `consent_address` and `referrals_address` are `host:port` of roles
    that are asked who read what, and at a kiosk what waits for a person. `app_issuer` is the provider of the national ID app, `app_jwks` a file with
    its public keys; without them its assertions are refused. A process works on `queries_in_flight` resolve queries at once, and lets a facility
    make `matches_a_minute` queries of MatchPersons.
    """

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    keyring: Path
    consent_address: str
    referrals_address: str
    feed: FeedSettings = FeedSettings()
    app_issuer: str = ""
    app_audience: str = "lienthong-check-in"
    app_jwks: Path | None = None
    queries_in_flight: int = 200
    matches_a_minute: int = 120
