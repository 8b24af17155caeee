"""The consent role as a process: `serve`, `migrate`, `check-config`, and `audit-ledger`, which checks every ledger."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    breach_service_pb2,
    breach_service_pb2_grpc,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
    emergency_access_service_pb2,
    emergency_access_service_pb2_grpc,
    guardianship_service_pb2,
    guardianship_service_pb2_grpc,
    notice_service_pb2,
    notice_service_pb2_grpc,
    subject_request_service_pb2,
    subject_request_service_pb2_grpc,
    treatment_relation_service_pb2,
    treatment_relation_service_pb2_grpc,
)
from opentelemetry import metrics

from services.chassis.clock import Clock, system_clock
from services.chassis.database import Database
from services.chassis.feed import Follower, apply_redirects
from services.chassis.feed.redirects import NAME as PERSONS
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.keyring.rotation import rotation_command
from services.chassis.lifecycle import Lifecycle
from services.chassis.main import run
from services.chassis.peers import PeerSettings, channel
from services.chassis.server import Server
from services.chassis.telemetry import Telemetry
from services.consent import audit_ledger, jobs
from services.consent.access import ACCESS
from services.consent.ciba import CibaApp
from services.consent.client_assertion import ClientAssertion
from services.consent.config import Settings
from services.consent.legal_clocks import legal_clocks
from services.consent.notice_app import HttpsNoticeApp
from services.consent.peers import GrpcEraser, GrpcLog, GrpcPersonFacts, GrpcPersonFeed, GrpcRegistryFeed
from services.consent.postgres import PostgresStore
from services.consent.postgres.registry import apply_registry
from services.consent.registry import NAME as REGISTRY
from services.consent.registry import SILENCE
from services.consent.rpc import breaches as breaches_rpc
from services.consent.rpc import consents as consents_rpc
from services.consent.rpc import decisions as decisions_rpc
from services.consent.rpc import emergency as emergency_rpc
from services.consent.rpc import guardians as guardians_rpc
from services.consent.rpc import ledger as ledger_rpc
from services.consent.rpc import notices as notices_rpc
from services.consent.rpc import relations as relations_rpc
from services.consent.rpc import subjects as subjects_rpc
from services.consent.service.agreements import Agreements
from services.consent.service.breaches import BreachService
from services.consent.service.codes import Codes
from services.consent.service.consents import ConsentService
from services.consent.service.decisions import DecisionService
from services.consent.service.emergency import EmergencyService
from services.consent.service.guardians import GuardianshipService
from services.consent.service.ledger import AnchoringService, LedgerService
from services.consent.service.notices import NoticeService
from services.consent.service.papers import PaperService
from services.consent.service.subjects import SubjectRequestService
from services.consent.sms import HttpsSms
from services.consent.subjects import Eraser
from services.consent.telemetry import EmergencyInstruments, SubjectInstruments


async def compose(settings: Settings, life: Lifecycle, clock: Clock = system_clock) -> Server:
    """Puts the role together; a test passes a clock of its own."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "consent"))
    database = await life.enter(Database(settings.database))
    identity = await life.enter(channel(PeerSettings("identity", settings.identity_address), settings.server))
    signing = await life.enter(channel(PeerSettings("signing", settings.signing_address), settings.server))
    records = await life.enter(channel(PeerSettings("records", settings.records_address), settings.server))
    app = await life.enter(CibaApp(settings.ciba, clock))
    keyring = open_keyring(settings.keyring)
    store, facts = PostgresStore(database, keyring, clock), GrpcPersonFacts(identity)
    guardianships = GuardianshipService(store, facts, clock)
    codes = Codes(store, facts, HttpsSms(settings.sms), keyring.blind, clock)
    agreements = Agreements(store, guardianships, clock)
    consents = ConsentService(store, app, codes, agreements, clock, uuid7)
    decisions = DecisionService(store, clock, uuid7)
    instruments = EmergencyInstruments(metrics.get_meter("lienthong"))
    emergencies = EmergencyService(store, settings.emergency, instruments, clock)
    notices = NoticeService(store, await life.enter(_notice_app(settings, clock)), settings.notices, clock)
    server = Server(settings.server, api="consent", access=ACCESS, telemetry=telemetry, clock=clock)
    server.add(
        consent_service_pb2_grpc.add_ConsentServiceServicer_to_server,
        consents_rpc.ConsentServicer(consents, agreements, PaperService(store, agreements, clock), clock),
        consent_service_pb2.DESCRIPTOR.services_by_name["ConsentService"],
    )
    server.add(
        decision_service_pb2_grpc.add_DecisionServiceServicer_to_server,
        decisions_rpc.DecisionServicer(decisions),
        decision_service_pb2.DESCRIPTOR.services_by_name["DecisionService"],
    )
    server.add(
        decision_service_pb2_grpc.add_ExplanationServiceServicer_to_server,
        decisions_rpc.ExplanationServicer(decisions),
        decision_service_pb2.DESCRIPTOR.services_by_name["ExplanationService"],
    )
    server.add(
        access_ledger_service_pb2_grpc.add_AccessLedgerServiceServicer_to_server,
        ledger_rpc.AccessLedgerServicer(LedgerService(store, clock)),
        access_ledger_service_pb2.DESCRIPTOR.services_by_name["AccessLedgerService"],
    )
    server.add(
        emergency_access_service_pb2_grpc.add_EmergencyAccessServiceServicer_to_server,
        emergency_rpc.EmergencyAccessServicer(emergencies, clock),
        emergency_access_service_pb2.DESCRIPTOR.services_by_name["EmergencyAccessService"],
    )
    server.add(
        guardianship_service_pb2_grpc.add_GuardianshipServiceServicer_to_server,
        guardians_rpc.GuardianshipServicer(guardianships, clock),
        guardianship_service_pb2.DESCRIPTOR.services_by_name["GuardianshipService"],
    )
    server.add(
        notice_service_pb2_grpc.add_NoticeServiceServicer_to_server,
        notices_rpc.NoticeServicer(notices),
        notice_service_pb2.DESCRIPTOR.services_by_name["NoticeService"],
    )
    server.add(
        treatment_relation_service_pb2_grpc.add_TreatmentRelationServiceServicer_to_server,
        relations_rpc.TreatmentRelationServicer(store),
        treatment_relation_service_pb2.DESCRIPTOR.services_by_name["TreatmentRelationService"],
    )
    _rights(server, store, GrpcEraser(records), clock)
    server.job("deliver_notices", partial(jobs.deliver_notices, notices))
    server.job("watch_emergencies", partial(jobs.watch_emergencies, emergencies, notices, instruments))
    server.job("collect_answers", partial(jobs.collect_answers, consents))
    anchoring = AnchoringService(store, GrpcLog(signing), clock, uuid7)
    server.job("anchor_ledgers", partial(jobs.anchor_ledgers, anchoring, settings.anchors))
    feed = GrpcPersonFeed(identity)
    server.job("persons", Follower(database, PERSONS, feed.open, apply_redirects, settings.feed, clock).run)
    registries = GrpcRegistryFeed(identity)
    patience = replace(settings.feed, silence_seconds=SILENCE.total_seconds())
    server.job("registry", Follower(database, REGISTRY, registries.open, apply_registry, patience, clock).run)
    server.health(database.ping)
    return server


def _rights(server: Server, store: PostgresStore, eraser: Eraser, clock: Clock) -> None:
    """Rights of data subjects and the register of breaches, with what watches their clocks."""
    instruments, clocks = SubjectInstruments(metrics.get_meter("lienthong")), legal_clocks()
    requests = SubjectRequestService(store, eraser, clocks, instruments, clock)
    breaches = BreachService(store, clocks, instruments, clock)
    server.add(
        subject_request_service_pb2_grpc.add_SubjectRequestServiceServicer_to_server,
        subjects_rpc.SubjectRequestServicer(requests, clock),
        subject_request_service_pb2.DESCRIPTOR.services_by_name["SubjectRequestService"],
    )
    server.add(
        breach_service_pb2_grpc.add_BreachServiceServicer_to_server,
        breaches_rpc.BreachServicer(breaches, clock),
        breach_service_pb2.DESCRIPTOR.services_by_name["BreachService"],
    )
    server.job("watch_clocks", partial(jobs.watch_clocks, requests, breaches))


def _notice_app(settings: Settings, clock: Clock) -> HttpsNoticeApp:
    """The notice API of the same provider, as the same client."""
    ciba = settings.ciba
    assertion = ClientAssertion(ciba.client_id, ciba.client_key, clock)
    return HttpsNoticeApp(settings.notices.endpoint or f"{ciba.issuer}/notices", ciba.authority, assertion)


if __name__ == "__main__":
    commands = {"rotate-keys": rotation_command("consent"), "audit-ledger": audit_ledger.main}
    raise SystemExit(run("consent", Settings, compose, Path(__file__).with_name("migrations"), sys.argv[1:], commands))
