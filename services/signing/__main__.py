"""The signing role as a process: `serve`, `migrate`, `check-config`, and `fsck`, which checks the whole log."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from cryptography import x509
from lienthong.signing.v1 import (
    trust_service_pb2,
    trust_service_pb2_grpc,
    validation_service_pb2,
    validation_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)
from opentelemetry import metrics

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.lifecycle import Lifecycle
from services.chassis.main import run
from services.chassis.server import Server
from services.chassis.settings import SettingsError
from services.chassis.telemetry import Telemetry
from services.signing import convert, fsck, jobs, rpc
from services.signing.access import ACCESS
from services.signing.config import Settings
from services.signing.peers.fetcher import HttpFetcher
from services.signing.policy import PolicyError, SignaturePolicy, load_policy
from services.signing.postgres import PostgresEvidenceStore, PostgresTrustStore
from services.signing.service.evidence import EvidenceService
from services.signing.service.expiry import ExpiryService
from services.signing.service.trust import TrustService
from services.signing.service.trust_list import TrustListService
from services.signing.service.verification import VerificationService
from services.signing.service.verification.sources import RevocationService
from services.signing.telemetry import TrustInstruments
from services.signing.transparency import add_log


async def compose(settings: Settings, life: Lifecycle) -> Server:
    """Puts the role together."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "signing"))
    database = await life.enter(Database(settings.database))
    policy, operators = signature_policy(settings), scheme_operators(settings)
    trust_store = PostgresTrustStore(database)
    trust = TrustService(trust_store, system_clock)
    trust_lists = TrustListService(trust_store, operators, policy, system_clock)
    evidence = EvidenceService(PostgresEvidenceStore(database))
    fetcher = await life.enter(HttpFetcher(settings.revocation.timeout.total_seconds()))
    instruments = TrustInstruments(metrics.get_meter("lienthong"))
    revocation = RevocationService(trust_store, trust, fetcher, policy, system_clock, instruments.refused)
    verification = VerificationService(trust_store, evidence, revocation, policy, system_clock)
    server = Server(settings.server, api="signing", access=ACCESS, telemetry=telemetry, clock=system_clock)
    server.add(
        verification_service_pb2_grpc.add_VerificationServiceServicer_to_server,
        rpc.VerificationServicer(verification, evidence),
        verification_service_pb2.DESCRIPTOR.services_by_name["VerificationService"],
    )
    server.add(
        validation_service_pb2_grpc.add_ValidationServiceServicer_to_server,
        rpc.ValidationServicer(verification, system_clock),
        validation_service_pb2.DESCRIPTOR.services_by_name["ValidationService"],
    )
    server.add(
        trust_service_pb2_grpc.add_TrustServiceServicer_to_server,
        rpc.TrustServicer(trust, trust_lists, policy, system_clock),
        trust_service_pb2.DESCRIPTOR.services_by_name["TrustService"],
    )
    fetching = settings.revocation
    server.job(
        "refresh_revocation",
        partial(jobs.refresh_revocation, revocation, fetching.interval, fetching.answer_age, instruments),
    )
    expiry = ExpiryService(trust_store, system_clock)
    server.job("warn_of_expiry", partial(jobs.warn_of_expiry, expiry, settings.expiry_interval, instruments))
    await add_log(server, settings, database, life, system_clock)
    server.health(database.ping)
    return server


def signature_policy(settings: Settings) -> SignaturePolicy:
    """The policy; raises SettingsError with every fault of the file."""
    try:
        return load_policy(settings.signing_policy, convert.DOCUMENT_KINDS)
    except PolicyError as error:
        raise SettingsError([f"LIENTHONG_SIGNING_POLICY: {fault}" for fault in error.faults]) from error


def scheme_operators(settings: Settings) -> list[x509.Certificate]:
    """Who may sign trusted lists; raises SettingsError."""
    if settings.scheme_operators is None:
        return []
    try:
        return x509.load_pem_x509_certificates(settings.scheme_operators.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(["LIENTHONG_SCHEME_OPERATORS: not a file of PEM certificates"]) from error


if __name__ == "__main__":
    migrations = Path(__file__).with_name("migrations")
    raise SystemExit(run("signing", Settings, compose, migrations, sys.argv[1:], {"fsck": fsck.main}))
