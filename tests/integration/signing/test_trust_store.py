"""The trust list on PostgreSQL: what a new revocation list may change, which answers are kept, who is told of expiry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from opentelemetry import metrics
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.local.pki import Pki, SigningPair
from services.chassis.clock import FrozenClock
from services.chassis.database import Database
from services.chassis.settings import DatabaseSettings, ServerSettings, SettingsError, TelemetrySettings
from services.signing import certificates
from services.signing.__main__ import scheme_operators, signature_policy
from services.signing.config import Settings
from services.signing.errors import RevocationListRefused
from services.signing.jobs import warn_of_expiry
from services.signing.model import (
    AnsweredRevocation,
    AuthorityKind,
    Evidence,
    EvidenceKind,
    RevocationSource,
    RevocationStatus,
    SignerState,
    WantedAuthority,
    WantedSigner,
)
from services.signing.postgres import PostgresEvidenceStore, PostgresTrustStore
from services.signing.service.evidence import LARGEST_ANSWER, EvidenceService
from services.signing.service.expiry import ExpiryService
from services.signing.service.trust import TrustService
from services.signing.telemetry import TrustInstruments
from tests.fixtures.database import DatabaseFor
from tests.integration.signing.trust_world import DAY, HOUR, NOW, certificate_of

FACILITY = "01001"


@pytest.fixture
async def database(database_for: DatabaseFor) -> AsyncIterator[Database]:
    async with Database(database_for("signing")) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> PostgresTrustStore:
    return PostgresTrustStore(database)


@pytest.fixture
async def service(store: PostgresTrustStore, pki: Pki) -> TrustService:
    made = TrustService(store, lambda: NOW)
    await made.add_authority(WantedAuthority(AuthorityKind.ROOT, pki.signing_root.der))
    await made.add_authority(WantedAuthority(AuthorityKind.INTERMEDIATE, pki.signing_authority.der))
    return made


def crl(
    pki: Pki,
    number: int,
    *entries: tuple[int, x509.ReasonFlags | None, datetime | None],
    extension: tuple[x509.ExtensionType, bool] | None = None,
) -> bytes:
    """A list with (serial, reason, invalidity date) lines."""
    issuer = pki.signing_authority
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(NOW - HOUR)
        .next_update(NOW + 7 * DAY)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if extension:
        builder = builder.add_extension(extension[0], critical=extension[1])
    for serial, reason, invalid in entries:
        line = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR)
        if reason:
            line = line.add_extension(x509.CRLReason(reason), critical=False)
        if invalid:
            line = line.add_extension(x509.InvalidityDate(invalid), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


async def test_a_revocation_outlives_its_list_and_a_hold_does_not(
    service: TrustService, store: PostgresTrustStore, pki: Pki
) -> None:
    hold, superseded = x509.ReasonFlags.certificate_hold, x509.ReasonFlags.superseded
    await service.import_revocations(crl(pki, 1, (1, superseded, NOW - DAY), (2, hold, None), (3, None, None)))
    issuer = certificates.fingerprint(pki.signing_authority.certificate)

    async def serials() -> dict[str, str]:
        return {key[1]: one.reason for key, one in (await store.snapshot()).revocations.items() if key[0] == issuer}

    assert await serials() == {"1": "superseded", "2": "certificateHold", "3": "unspecified"}
    assert (await store.snapshot()).revocations[issuer, "1"].invalid_since == NOW - DAY
    await service.import_revocations(crl(pki, 2, (3, x509.ReasonFlags.key_compromise, None)))
    assert await serials() == {"1": "superseded", "3": "keyCompromise"}


async def test_revoked_certificates_are_read_again_only_when_a_list_has_changed(
    service: TrustService, store: PostgresTrustStore, pki: Pki
) -> None:
    await service.import_revocations(crl(pki, 1, (1, None, None)))
    first = await store.snapshot()
    pair = pki.signer(FACILITY, label="read-again", algorithm="p256")
    await service.register_signer(WantedSigner(FACILITY, pair.certificate_der))
    second = await store.snapshot(first)
    assert second.version > first.version
    assert len(second.signers) == 1
    assert second.revocations is first.revocations
    await service.import_revocations(crl(pki, 2, (1, None, None), (2, None, None)))
    third = await store.snapshot(second)
    assert len(third.revocations) == 2


async def test_lists_that_are_refused(service: TrustService, store: PostgresTrustStore, pki: Pki) -> None:
    good = crl(pki, 5)
    await service.import_revocations(good)
    version = await store.version()
    forged = pki.look_alike().revocation_list(6, [])
    delta = crl(pki, 7, extension=(x509.DeltaCRLIndicator(5), True))
    partial = crl(
        pki,
        8,
        extension=(
            x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
            True,
        ),
    )
    for bad in (good, crl(pki, 4), forged, delta, partial, b"", good + b"\x00", good[:-1]):
        with pytest.raises(RevocationListRefused):
            await service.import_revocations(bad)
    assert await store.version() == version
    assert not await service.refresh_revocations(good)
    assert await service.refresh_revocations(crl(pki, 6))


async def test_answers_only_move_forward(store: PostgresTrustStore) -> None:
    def answer(
        at: timedelta, revoked: datetime | None = None, reason: str = "", content: bytes = b"x"
    ) -> AnsweredRevocation:
        evidence = Evidence.of(EvidenceKind.OCSP_RESPONSE, content)
        status = RevocationStatus(
            NOW + at, NOW + at + HOUR, revoked, source=RevocationSource.OCSP, sha256=evidence.sha256, reason=reason
        )
        return AnsweredRevocation("ab" * 32, "7", status, evidence)

    async def held() -> tuple[timedelta, str]:
        (status,) = (await store.snapshot()).answers.values()
        return status.this_update - NOW, status.reason

    assert await store.keep_answers([answer(timedelta())]) == 1
    assert await store.keep_answers([answer(timedelta()), answer(-HOUR, content=b"older")]) == 0
    assert await store.keep_answers([answer(HOUR, NOW, "certificateHold")]) == 1
    assert await store.keep_answers([answer(2 * HOUR)]) == 1
    assert await store.keep_answers([answer(3 * HOUR, NOW, "keyCompromise")]) == 1
    # Good after revoked is a responder's mistake, or somebody's.
    assert await store.keep_answers([answer(4 * HOUR)]) == 0
    assert await held() == (3 * HOUR, "keyCompromise")


async def test_states_only_get_worse(service: TrustService, store: PostgresTrustStore, pki: Pki) -> None:
    pair = pki.signer(FACILITY, label="states", algorithm="p256")
    registered = await service.register_signer(WantedSigner(FACILITY, pair.certificate_der))
    name = f"signerCertificates/{registered.fingerprint}"
    suspended = await service.suspend_signer(name)
    assert (suspended.state, suspended.suspended_at) == (SignerState.SUSPENDED, NOW)
    compromised = await service.report_compromise(name, NOW - DAY)
    assert compromised.state is SignerState.COMPROMISED
    again = await service.suspend_signer(name)
    assert (again.state, again.compromised_at) == (SignerState.COMPROMISED, NOW - DAY)
    # What was suspended stays refused, also for signatures from before the compromise.
    assert again.suspended_at == NOW


async def test_evidence_cannot_be_changed(database: Database, store: PostgresTrustStore) -> None:
    one = Evidence.of(EvidenceKind.CERTIFICATE, b"bytes")
    kept = PostgresEvidenceStore(database)
    await kept.add([one, one])
    await kept.add([replace(one, content=b"other bytes under the same name")])
    assert await kept.get([one.sha256]) == [one]
    for statement in ("UPDATE evidence SET content = ''", "DELETE FROM evidence", "TRUNCATE evidence"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await execute(database, statement)


async def execute(database: Database, statement: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text(statement))

    await database.write(work)


async def test_an_answer_with_evidence_is_bounded(database: Database) -> None:
    service = EvidenceService(PostgresEvidenceStore(database))
    pieces = [Evidence.of(EvidenceKind.REVOCATION_LIST, bytes([n]) * (LARGEST_ANSWER // 2)) for n in range(3)]
    small = Evidence.of(EvidenceKind.CERTIFICATE, b"small")
    await service.keep([*pieces, small])
    wanted = [one.sha256 for one in (*pieces, small)]
    assert await service.batch(wanted) == pieces[:2]
    assert await service.batch(wanted[2:]) == [pieces[2], small]


async def test_who_expires_soon_is_told_once_for_each_threshold(
    service: TrustService, store: PostgresTrustStore, pki: Pki
) -> None:
    clock = FrozenClock(NOW)
    expiry = ExpiryService(store, clock)

    async def registered(label: str, days: float) -> SigningPair:
        pair = pki.signer(FACILITY, label=label, algorithm="p256", ends=NOW + timedelta(days=days))
        await service.register_signer(WantedSigner(FACILITY, pair.certificate_der))
        return pair

    soon, later, _ = await registered("soon", 6.5), await registered("later", 20.5), await registered("far", 90)
    found = await expiry.look()
    assert found.counts == {0: 0, 7: 1, 30: 1}
    told = [(one.signer.fingerprint, one.days_left) for one in found.warnings]
    assert told == [(certificates.fingerprint(certificate_of(pair)), days) for pair, days in ((soon, 6), (later, 20))]
    assert not (await expiry.look()).warnings
    clock.advance(timedelta(days=14))
    found = await expiry.look()
    assert found.counts == {0: 0, 7: 1, 30: 0}
    assert [one.days_left for one in found.warnings] == [6]
    clock.advance(timedelta(days=7))
    assert (await expiry.look()).counts == {0: 1, 7: 0, 30: 0}


async def test_the_job_tells_of_expiry(
    service: TrustService, store: PostgresTrustStore, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = pki.signer(FACILITY, label="told", algorithm="p256", ends=NOW + timedelta(days=6.5))
    registered = await service.register_signer(WantedSigner(FACILITY, pair.certificate_der))
    instruments = TrustInstruments(metrics.get_meter("test"))
    job = asyncio.create_task(warn_of_expiry(ExpiryService(store, lambda: NOW), timedelta(milliseconds=1), instruments))
    told: list[dict[str, object]] = []
    for _ in range(1000):
        await asyncio.sleep(0.02)
        told += [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        if told:
            break
    await asyncio.sleep(0.1)
    job.cancel()
    told += [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (event,) = told
    assert (event["event"], event["certificate"], event["facility"], event["days_left"]) == (
        *("signer_certificate_expiring", registered.fingerprint),
        *(FACILITY, 6),
    )


def test_a_policy_with_faults_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('version = "x"\nauthority_revocation = "MAYBE"\n', "utf-8")
    settings = Settings(
        server=ServerSettings(path, path, path, path),
        database=DatabaseSettings("postgresql://nowhere"),
        telemetry=TelemetrySettings(),
        log_key=path,
        log_origin="log.lienthong.vn/2026",
        signing_policy=path,
    )
    with pytest.raises(SettingsError) as caught:
        signature_policy(settings)
    assert len(caught.value.problems) == 6
    assert all(one.startswith("LIENTHONG_SIGNING_POLICY: ") for one in caught.value.problems)
    with pytest.raises(SettingsError, match="LIENTHONG_SCHEME_OPERATORS"):
        scheme_operators(replace(settings, scheme_operators=path))
