"""The consent role as a process: `serve`, `migrate`, `check-config`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_service_pb2,
    decision_service_pb2_grpc,
)

from services.chassis.clock import system_clock
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
from services.consent import jobs
from services.consent.access import ACCESS
from services.consent.ciba import CibaApp
from services.consent.config import Settings
from services.consent.peers import GrpcPersonFeed
from services.consent.postgres import PostgresStore
from services.consent.rpc import consents as consents_rpc
from services.consent.rpc import decisions as decisions_rpc
from services.consent.rpc import ledger as ledger_rpc
from services.consent.service.consents import ConsentService
from services.consent.service.decisions import DecisionService


async def compose(settings: Settings, life: Lifecycle) -> Server:
    """Puts the role together."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "consent"))
    database = await life.enter(Database(settings.database))
    identity = await life.enter(channel(PeerSettings("identity", settings.identity_address), settings.server))
    app = await life.enter(CibaApp(settings.ciba, system_clock))
    store = PostgresStore(database, open_keyring(settings.keyring), system_clock)
    consents = ConsentService(store, app, system_clock, uuid7)
    decisions = DecisionService(store, system_clock, uuid7)
    server = Server(settings.server, api="consent", access=ACCESS, telemetry=telemetry, clock=system_clock)
    server.add(
        consent_service_pb2_grpc.add_ConsentServiceServicer_to_server,
        consents_rpc.ConsentServicer(consents, system_clock),
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
        ledger_rpc.AccessLedgerServicer(decisions),
        access_ledger_service_pb2.DESCRIPTOR.services_by_name["AccessLedgerService"],
    )
    server.job("collect_answers", partial(jobs.collect_answers, consents))
    feed = GrpcPersonFeed(identity)
    server.job("persons", Follower(database, PERSONS, feed.open, apply_redirects, settings.feed, system_clock).run)
    server.health(database.ping)
    return server


if __name__ == "__main__":
    commands = {"rotate-keys": rotation_command("consent")}
    raise SystemExit(run("consent", Settings, compose, Path(__file__).with_name("migrations"), sys.argv[1:], commands))
