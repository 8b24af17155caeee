"""Settings of the consent role, complete at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.feed import FollowSettings
from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings
from services.consent.anchors import AnchorSettings
from services.consent.ciba import CibaSettings
from services.consent.codes import SmsSettings
from services.consent.emergency_store import EmergencySettings
from services.consent.notices import NoticeSettings


@dataclass(frozen=True)
class Settings:
    """`keyring` wraps the keys of the app's assertions; `ciba` is the national ID app,
    `identity_address`, `signing_address` and `records_address` are these roles as `host:port`."""

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    ciba: CibaSettings
    keyring: Path
    identity_address: str
    signing_address: str
    records_address: str
    anchors: AnchorSettings = field(default_factory=AnchorSettings)
    feed: FollowSettings = field(default_factory=FollowSettings)
    notices: NoticeSettings = field(default_factory=NoticeSettings)
    sms: SmsSettings = field(default_factory=SmsSettings)
    emergency: EmergencySettings = field(default_factory=EmergencySettings)
