"""What several tests of the consent role share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from services.chassis.clock import FrozenClock
from services.chassis.settings import TelemetrySettings
from services.consent.__main__ import compose
from services.consent.ciba import CibaSettings
from services.consent.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.fixtures.person_facts import People
from tests.fixtures.registry import registered
from tests.integration.consent.ward import Ward, opened_ward


@pytest.fixture
async def ward(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    frozen_clock: FrozenClock,
    people: People,
) -> AsyncIterator[Ward]:
    """A consent role whose clock the test moves, and the app beside it."""
    database = registered(database_for("consent"))
    async with opened_ward(
        start_role, identities, database, keyring_file, tmp_path, frozen_clock, identity=people.address
    ) as ward:
        yield ward


@pytest.fixture
async def consent(
    start_role: StartRole,
    identities: Identities,
    database_for: DatabaseFor,
    keyring_file: Path,
    tmp_path: Path,
    people: People,
) -> AsyncIterator[Running]:
    """A running consent role. Its ID app is a port nobody listens on: these tests grant directly."""
    key = tmp_path / "client.jwk"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "utf-8")
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")
    settings = Settings(
        server=identities.server_settings("consent"),
        database=registered(database_for("consent")),
        telemetry=TelemetrySettings(log_level="error"),
        ciba=CibaSettings("https://127.0.0.1:1", jwks, identities.pki.authority, "lienthong", key),
        keyring=keyring_file,
        identity_address=people.address,
        signing_address="127.0.0.1:1",
        records_address="127.0.0.1:1",
    )
    async with start_role("consent", compose, settings) as running:
        yield running
