"""Composition root of the records role: `python -m services.records serve|migrate|check-config`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.promise import KEY_NAME
from lienthong.records.v1 import (
    document_service_pb2,
    document_service_pb2_grpc,
    erasure_service_pb2,
    erasure_service_pb2_grpc,
    evidence_service_pb2,
    evidence_service_pb2_grpc,
    export_service_pb2,
    export_service_pb2_grpc,
    intake_service_pb2,
    intake_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2
from opentelemetry import metrics

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.feed import Batch, Follower, Redirect, apply_redirects
from services.chassis.feed.redirects import NAME as PERSONS
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.keyring.rotation import rotation_command
from services.chassis.lifecycle import Lifecycle
from services.chassis.main import run
from services.chassis.outbox import Relay
from services.chassis.peers import PeerSettings, channel
from services.chassis.server import Server
from services.chassis.settings import SettingsError
from services.chassis.telemetry import Telemetry
from services.records import jobs, protection, rpc
from services.records.access import ACCESS
from services.records.config import Settings
from services.records.convert.export import ExportFiles
from services.records.convert.intake import encode_answer
from services.records.convert.package import AsicPackage
from services.records.delivery.insurer import open_portal
from services.records.delivery.timestamp import open_authority
from services.records.formats.document import DocumentFormat
from services.records.formats.xml130 import Xml130Format
from services.records.model import Topic
from services.records.peers import GrpcConsent, GrpcIdentity, GrpcPersonFeed, GrpcSigning, GrpcSlips
from services.records.ports import Consent, Identity, Signing, Slips
from services.records.postgres import PostgresStore
from services.records.retention import retention
from services.records.sealing import PemSigner, seal_with
from services.records.service import DocumentService, IntakeService, SubmissionService
from services.records.service.admission import Admission, Share
from services.records.service.answers import Answers
from services.records.service.erasure import ErasureService
from services.records.service.export import ExportService
from services.records.service.gather import Limits
from services.records.service.packages import PackageService
from services.records.service.receipts import Receipts
from services.records.service.renewals import Renewals
from services.records.service.verdicts import Rejudging, VerdictService
from services.records.telemetry import ATTRIBUTE_OUTCOME, Instruments

MIGRATIONS = Path(__file__).parent / "migrations"
_LOG_BATCH = 500


@dataclass(frozen=True)
class Peers:
    """The other roles."""

    signing: Signing
    identity: Identity
    consent: Consent
    slips: Slips
    persons: Callable[[str], AsyncGenerator[Batch[Redirect], None]] | None = None
    """Opens the feed of the person index after a cursor."""


async def compose(settings: Settings, life: Lifecycle) -> Server:
    """Puts the role together with its peers over gRPC."""

    async def to(role: str, address: str) -> grpc.aio.Channel:
        return await life.enter(channel(PeerSettings(role, address), settings.server))

    identity = await to("identity", settings.identity_address)
    peers = Peers(
        signing=GrpcSigning(await to("signing", settings.signing_address)),
        identity=GrpcIdentity(identity),
        consent=GrpcConsent(await to("consent", settings.consent_address)),
        slips=GrpcSlips(await to("referrals", settings.referrals_address)),
        persons=GrpcPersonFeed(identity).open,
    )
    return await assemble(settings, life, peers)


async def assemble(settings: Settings, life: Lifecycle, peers: Peers) -> Server:
    """Puts the role together around given peers; nothing else is opened elsewhere."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "records"))
    instruments = Instruments(metrics.get_meter("lienthong"))
    database = await life.enter(Database(settings.database))
    store = PostgresStore(database, open_keyring(settings.keyring), system_clock)

    formats: dict[str, DocumentFormat] = {one.name: one for one in (Xml130Format(),)}
    bounds = settings.intake
    intake = IntakeService(
        store=store,
        signing=peers.signing,
        identity=peers.identity,
        formats=formats,
        answers=Answers(
            Receipts(_promise_signer(settings)),
            encode_answer,
            system_clock,
            uuid7,
            to_insurer=bool(settings.insurer.url),
        ),
        clock=system_clock,
        new_id=uuid7,
        span=telemetry.span,
        admission=Admission(
            Share(bounds.facility_documents, bounds.facility_bytes), Share(bounds.total_documents, bounds.total_bytes)
        ),
        limits=Limits(bounds.batch_documents, bounds.batch_bytes, bounds.batch_seconds, bounds.batches),
        observe=lambda outcome: instruments.documents.add(1, {ATTRIBUTE_OUTCOME: outcome}),
    )
    documents = DocumentService(
        store, peers.consent, telemetry.span, access_context_pb2.LEGAL_BASIS_LAW_19_1_DD, system_clock
    )
    seal = seal_with(PemSigner(settings.seal_key, settings.seal_certificate), system_clock)
    form = AsicPackage(seal)
    packages = PackageService(documents, store, peers.signing, form)

    server = Server(settings.server, api="records", access=ACCESS, telemetry=telemetry, clock=system_clock)
    server.add(
        intake_service_pb2_grpc.add_IntakeServiceServicer_to_server,
        # Half of a facility's share, so that one stream leaves room for another.
        rpc.IntakeServicer(intake, SubmissionService(store), system_clock, bounds.facility_documents // 2),
        intake_service_pb2.DESCRIPTOR.services_by_name["IntakeService"],
    )
    server.add(
        document_service_pb2_grpc.add_DocumentServiceServicer_to_server,
        rpc.DocumentServicer(documents, instruments),
        document_service_pb2.DESCRIPTOR.services_by_name["DocumentService"],
    )
    server.add(
        evidence_service_pb2_grpc.add_EvidenceServiceServicer_to_server,
        rpc.EvidenceServicer(packages, VerdictService(store), instruments),
        evidence_service_pb2.DESCRIPTOR.services_by_name["EvidenceService"],
    )

    server.add(
        erasure_service_pb2_grpc.add_ErasureServiceServicer_to_server,
        rpc.ErasureServicer(ErasureService(store, retention(), system_clock), retention()),
        erasure_service_pb2.DESCRIPTOR.services_by_name["ErasureService"],
    )

    server.add(
        export_service_pb2_grpc.add_ExportServiceServicer_to_server,
        rpc.ExportServicer(ExportService(store, peers.consent, ExportFiles(seal), system_clock), instruments),
        export_service_pb2.DESCRIPTOR.services_by_name["ExportService"],
    )

    to_log = jobs.LogRelay(store, peers.signing, store.open_event, telemetry.span)
    proofs = jobs.ProofJob(store, peers.signing, system_clock, to_log.placed)
    to_referrals = jobs.SlipRelay(peers.slips, store.open_event, telemetry.span)
    relays = {
        Topic.LOG: Relay(database, Topic.LOG.value, to_log.deliver, batch=_LOG_BATCH),
        Topic.SLIPS: Relay(database, Topic.SLIPS.value, to_referrals.deliver),
    }
    if settings.insurer.url:
        portal = await life.enter(open_portal(settings.insurer, system_clock))
        to_insurer = jobs.InsurerRelay(store, portal, store.open_event, system_clock, telemetry.span)
        relays[Topic.INSURER] = Relay(
            database, Topic.INSURER.value, to_insurer.deliver, batch=jobs.INSURER_BATCH, lease=jobs.INSURER_LEASE
        )
    server.job("intake", intake.run)
    server.job("proofs", proofs.run)
    rejudging = Rejudging(store, peers.signing, formats, system_clock, instruments.judged)
    server.job("rejudging", jobs.RejudgingJob(rejudging, settings.evidence.rejudging_seconds).run)
    if settings.archive.url:
        renewals = Renewals(
            store=store,
            packages=packages,
            form=form,
            signing=peers.signing,
            authority=await life.enter(open_authority(settings.archive)),
            formats=formats,
            clock=system_clock,
            margin=timedelta(days=settings.archive.margin_days),
        )
        server.job("renewals", jobs.RenewalJob(renewals, settings.archive.seconds).run)
    if peers.persons is not None:
        follower = Follower(database, PERSONS, peers.persons, apply_redirects, settings.feed, system_clock)
        server.job("persons", follower.run)
    for topic, relay in relays.items():
        intake.on_stored(relay.wake)
        server.job(f"relay_{topic.value}", relay.run)
    server.health(database.ping)
    return server


def _promise_signer(settings: Settings) -> NoteSigner:
    key = load_pem_private_key(settings.promise_key.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(["LIENTHONG_PROMISE_KEY: not an Ed25519 key"])
    return NoteSigner(KEY_NAME, key)


if __name__ == "__main__":
    commands = {
        "rotate-keys": rotation_command("records"),
        "protection": protection.report,
        "reseal": protection.reseal,
    }
    raise SystemExit(run("records", Settings, compose, MIGRATIONS, sys.argv[1:], commands))
