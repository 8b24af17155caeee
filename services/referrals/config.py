"""Settings of the referrals role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.feed import FollowSettings
from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class Settings:
    """`consent_address` and `identity_address` are `host:port` of these roles; `keyring` wraps the keys of the papers' clinical text."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    consent_address: str
    keyring: Path
    identity_address: str
    feed: FollowSettings = field(default_factory=FollowSettings)
