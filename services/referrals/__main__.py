"""The referrals role as a process: `serve`, `migrate`, `check-config`."""

from __future__ import annotations

import sys
from pathlib import Path

from lienthong.referrals.v1 import (
    appointment_service_pb2,
    appointment_service_pb2_grpc,
    referral_service_pb2,
    referral_service_pb2_grpc,
    slip_import_service_pb2,
    slip_import_service_pb2_grpc,
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
from services.chassis.outbox import Relay
from services.chassis.peers import PeerSettings, channel
from services.chassis.server import Server
from services.chassis.telemetry import Telemetry
from services.referrals import rpc
from services.referrals.access import ACCESS
from services.referrals.config import Settings
from services.referrals.holidays import load_holidays
from services.referrals.jobs import RelationRelay
from services.referrals.peers import GrpcConsents, GrpcDecisionPoint, GrpcPersonFeed
from services.referrals.postgres import PostgresStore
from services.referrals.relations import TOPIC
from services.referrals.service import ReferralService


async def compose(settings: Settings, life: Lifecycle) -> Server:
    """Puts the role together."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "referrals"))
    database = await life.enter(Database(settings.database))
    consent = await life.enter(channel(PeerSettings("consent", settings.consent_address), settings.server))
    identity = await life.enter(channel(PeerSettings("identity", settings.identity_address), settings.server))
    store = PostgresStore(database, open_keyring(settings.keyring), system_clock)
    service = ReferralService(store, GrpcConsents(consent), system_clock)
    server = Server(settings.server, api="referrals", access=ACCESS, telemetry=telemetry, clock=system_clock)
    server.add(
        referral_service_pb2_grpc.add_ReferralServiceServicer_to_server,
        rpc.ReferralServicer(service),
        referral_service_pb2.DESCRIPTOR.services_by_name["ReferralService"],
    )
    server.add(
        appointment_service_pb2_grpc.add_AppointmentServiceServicer_to_server,
        rpc.AppointmentServicer(service),
        appointment_service_pb2.DESCRIPTOR.services_by_name["AppointmentService"],
    )
    server.add(
        slip_import_service_pb2_grpc.add_SlipImportServiceServicer_to_server,
        rpc.SlipImportServicer(service, system_clock, load_holidays(), uuid7),
        slip_import_service_pb2.DESCRIPTOR.services_by_name["SlipImportService"],
    )
    feed = GrpcPersonFeed(identity)
    server.job("persons", Follower(database, PERSONS, feed.open, apply_redirects, settings.feed, system_clock).run)
    relations = RelationRelay(store, GrpcDecisionPoint(consent), telemetry)
    relay = Relay(database, TOPIC, relations.deliver)
    store.on_told(relay.wake)
    server.job("relay_treatment_relations", relay.run)
    server.health(database.ping)
    return server


if __name__ == "__main__":
    commands = {"rotate-keys": rotation_command("referrals")}
    raise SystemExit(
        run("referrals", Settings, compose, Path(__file__).with_name("migrations"), sys.argv[1:], commands)
    )
