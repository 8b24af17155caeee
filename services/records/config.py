"""Settings of the records role, read from `LIENTHONG_*` and complete at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.feed import FollowSettings
from services.chassis.settings import DatabaseSettings, ServerSettings, TelemetrySettings


@dataclass(frozen=True)
class IntakeSettings:
    """How much may be in flight, per facility and in all, and how batches are formed."""

    facility_documents: int = 1_000
    facility_bytes: int = 48 * 1024 * 1024
    total_documents: int = 4_000
    total_bytes: int = 128 * 1024 * 1024
    batch_documents: int = 100
    batch_bytes: int = 10 * 1024 * 1024
    batch_seconds: float = 0.005
    batches: int = 3


@dataclass(frozen=True)
class InsurerSettings:
    """The insurer's reception portal; no `url`, no delivery. `password_file` holds the password alone, `ca` a CA bundle."""

    url: str = ""
    username: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class EvidenceSettings:
    """How often due verdicts are looked for when none was due the last time."""

    rejudging_seconds: float = 30.0


@dataclass(frozen=True)
class ArchiveSettings:
    """Archive time-stamps (RFC 3161 over HTTP); no `url`, none. `roots`: PEM file of the certificates that may stand above
    the authority. A protection is renewed `margin_days` before its end; `seconds` pass between two looks.
    """

    url: str = ""
    roots: Path | None = None
    margin_days: float = 90.0
    seconds: float = 3600.0
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class Settings:
    """`keyring` holds the key-encryption keys; `promise_key` is the Ed25519 key of receipt promises (PKCS#8 PEM). `seal_key`
    (RSA or P-256, PKCS#8 PEM) and `seal_certificate` (PEM, with those above it) seal evidence packages.
    """

    server: ServerSettings
    database: DatabaseSettings
    telemetry: TelemetrySettings
    keyring: Path
    promise_key: Path
    seal_key: Path
    seal_certificate: Path
    signing_address: str
    identity_address: str
    consent_address: str
    referrals_address: str
    evidence: EvidenceSettings
    archive: ArchiveSettings
    intake: IntakeSettings
    insurer: InsurerSettings
    feed: FollowSettings = field(default_factory=FollowSettings)
