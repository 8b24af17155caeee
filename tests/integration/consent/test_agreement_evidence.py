"""What is kept of agreements: each with its own evidence, sealed in its place; the first in a role counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring, SealBroken
from services.chassis.settings import DatabaseSettings
from services.consent.model import (
    ALWAYS,
    Agreement,
    AgreementRole,
    Channel,
    Consent,
    ConsentState,
    Kind,
    Purpose,
    Terms,
)
from services.consent.postgres import PostgresStore
from services.consent.service.agreements import evidence_of
from tests.fixtures.database import DatabaseFor

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
GUARDIAN, SELF = AgreementRole.GUARDIAN, AgreementRole.SELF
FIRST, SECOND = "the guardian's signed assertion", "the child's signed assertion"


@pytest.fixture
def settings(database_for: DatabaseFor) -> DatabaseSettings:
    return database_for("consent")


@pytest.fixture
async def store(settings: DatabaseSettings, keyring_file: Path) -> AsyncIterator[PostgresStore]:
    async with Database(settings) as database:
        yield PostgresStore(database, FileKeyring(keyring_file), FrozenClock(NOW))


def awaiting() -> Consent:
    terms = Terms(Purpose.TREATMENT, frozenset({Kind.PRESCRIPTION}), ALWAYS, timedelta(days=30), "01001")
    return Consent(
        uuid7(),
        uuid7(),
        terms,
        evidence_of(GUARDIAN, Channel.NATIONAL_ID_APP, FIRST, "high"),
        NOW,
        required=frozenset(AgreementRole),
        granted_as=GUARDIAN,
        granted_by=uuid7(),
        ends_by=NOW + timedelta(days=100),
    )


def agreement(of: Consent, minutes: int) -> Agreement:
    at = NOW + timedelta(minutes=minutes)
    return Agreement(SELF, of.person, at, evidence_of(SELF, Channel.NATIONAL_ID_APP, SECOND, "low"))


async def test_each_agreement_keeps_its_own_evidence(store: PostgresStore, settings: DatabaseSettings) -> None:
    given = awaiting()
    await store.grant([given], None)
    agreed = await store.agree(given, agreement(given, 1))
    assert agreed == replace(given, agreed=(agreement(given, 1),))
    assert await store.consent(given.id) == agreed
    assert agreed.state(NOW + timedelta(minutes=1)) is ConsentState.ACTIVE
    revoked = await store.revoke(given.id, [given.person], NOW + timedelta(minutes=2), by=given.granted_by)
    assert revoked == replace(
        given,
        agreed=(agreement(given, 1),),
        revoked_at=NOW + timedelta(minutes=2),
        revoked_by=given.granted_by,
    )
    with psycopg.connect((settings.owner_url or "").replace("+psycopg", "")) as connection:
        rows = connection.execute(
            "SELECT c.assertion_sealed, e.evidence_sealed, c::text || e::text FROM consent c JOIN consent_event e ON e.consent_id = c.id"
        ).fetchall()
    for first, second, text in rows:
        for said in (FIRST, SECOND):
            assert said.encode() not in bytes(first) + bytes(second or b"")
            assert said not in text


async def test_the_first_agreement_in_a_role_counts(store: PostgresStore) -> None:
    given = awaiting()
    await store.grant([given], None)
    found = await asyncio.gather(*(store.agree(given, agreement(given, minutes)) for minutes in range(1, 9)))
    kept = await store.consent(given.id)
    assert kept is not None
    assert len(kept.agreed) == 1
    assert set(found) == {kept}


async def test_evidence_moved_to_another_consent_does_not_open(
    store: PostgresStore, settings: DatabaseSettings
) -> None:
    given = awaiting()
    other = replace(awaiting(), person=given.person)
    for one in (given, other):
        await store.grant([one], None)
        await store.agree(one, agreement(one, 1))
    with psycopg.connect((settings.owner_url or "").replace("+psycopg", "")) as connection:
        moved = connection.execute(
            "UPDATE consent_event SET evidence_sealed = (SELECT evidence_sealed FROM consent_event WHERE consent_id = %s)"
            " WHERE consent_id = %s",
            (given.id, other.id),
        )
        assert moved.rowcount == 1
    with pytest.raises(SealBroken):
        await store.consent(other.id)
