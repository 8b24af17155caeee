"""Composition root of the identity role: `python -m services.identity serve|migrate|check-config`."""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from lienthong.identity.v1 import (
    check_in_service_pb2,
    check_in_service_pb2_grpc,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_fact_service_pb2,
    person_fact_service_pb2_grpc,
    person_link_service_pb2,
    person_link_service_pb2_grpc,
    person_service_pb2,
    person_service_pb2_grpc,
    population_service_pb2,
    population_service_pb2_grpc,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
    registry_feed_service_pb2,
    registry_feed_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from opentelemetry import metrics

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.identifiers import uuid7
from services.chassis.keyring import open_keyring
from services.chassis.keyring.rotation import rotation_command
from services.chassis.lifecycle import Lifecycle
from services.chassis.main import run
from services.chassis.outbox import Relay
from services.chassis.peers import PeerSettings, channel
from services.chassis.server import Server
from services.chassis.telemetry import Telemetry
from services.identity import rpc
from services.identity.access import ACCESS
from services.identity.app_assertion import open_assertions
from services.identity.check_ins import TOPIC as CHECK_INS
from services.identity.config import Settings
from services.identity.jobs import CheckInRelay, WaitingWatch
from services.identity.peers import GrpcAccessLedger, GrpcCheckIns, GrpcDecisions, GrpcWaitingItems
from services.identity.postgres import PostgresFeed, PostgresRegistryPages, PostgresStore
from services.identity.propose import propose_command
from services.identity.reindex import reindex_command
from services.identity.service import (
    CheckInService,
    FeedService,
    FilingService,
    Gate,
    HistoryService,
    IdentificationService,
    InFlight,
    LinkService,
    Matcher,
    MatchingService,
    MatchRate,
    NewbornService,
    OrganizationImport,
    OrganizationService,
    PersonService,
    PopulationService,
    PractitionerService,
    ProvisionalService,
    ReviewService,
    UpdateService,
)
from services.identity.telemetry import Instruments

MIGRATIONS = Path(__file__).parent / "migrations"


async def compose(settings: Settings, life: Lifecycle) -> Server:
    """Puts the role together; nothing is opened elsewhere."""
    telemetry = await life.enter(Telemetry(settings.telemetry, "identity"))
    instruments = Instruments(metrics.get_meter("lienthong"))
    database = await life.enter(Database(settings.database))
    store = PostgresStore(database, open_keyring(settings.keyring), system_clock)

    matcher, in_flight = Matcher(system_clock), InFlight(settings.queries_in_flight)
    matching = MatchingService(store, matcher, in_flight, MatchRate(system_clock, settings.matches_a_minute))
    persons = PersonService(store, system_clock, uuid7, matcher, in_flight)
    provisional = ProvisionalService(store, system_clock, uuid7)
    newborns = NewbornService(store, system_clock, uuid7)
    updates = UpdateService(store, system_clock, uuid7)
    links = LinkService(store, system_clock, uuid7)
    identification = IdentificationService(store, system_clock, uuid7, links)
    filing = FilingService(store, system_clock, uuid7, links, matcher)
    organizations = OrganizationService(store, system_clock, uuid7)
    lists = OrganizationImport(store, system_clock, uuid7)
    practitioners = PractitionerService(store, system_clock, uuid7)

    consent = await life.enter(channel(PeerSettings("consent", settings.consent_address), settings.server))
    referrals = await life.enter(channel(PeerSettings("referrals", settings.referrals_address), settings.server))
    assertions = (
        open_assertions(settings.app_issuer, settings.app_audience, settings.app_jwks, system_clock)
        if settings.app_jwks
        else None
    )
    waiting = GrpcWaitingItems(consent, referrals)
    gate, telling = Gate(GrpcDecisions(consent)), GrpcCheckIns(consent)
    check_in = CheckInService(store, system_clock, persons, updates, waiting, assertions, telling, gate)
    histories = HistoryService(store, system_clock, GrpcAccessLedger(consent))
    reviews = ReviewService(store, system_clock, links)

    server = Server(settings.server, api="identity", access=ACCESS, telemetry=telemetry, clock=system_clock)
    feed = FeedService(
        PostgresFeed(database),
        system_clock,
        server.stopping,
        settings.feed.heartbeat_seconds,
        settings.feed.poll_seconds,
        timedelta(days=settings.feed.kept_days),
    )
    store.on_told(feed.wake)
    registries = rpc.RegistryStreams(
        PostgresRegistryPages(database),
        server.stopping,
        settings.feed.heartbeat_seconds,
        settings.feed.poll_seconds,
    )
    server.add(
        person_service_pb2_grpc.add_PersonServiceServicer_to_server,
        rpc.PersonServicer(
            persons, provisional, newborns, updates, identification, feed, matching, reviews, gate, instruments
        ),
        person_service_pb2.DESCRIPTOR.services_by_name["PersonService"],
    )
    server.add(
        person_link_service_pb2_grpc.add_PersonLinkServiceServicer_to_server,
        rpc.PersonLinkServicer(links, histories, reviews, gate, system_clock, instruments),
        person_link_service_pb2.DESCRIPTOR.services_by_name["PersonLinkService"],
    )
    server.add(
        source_record_service_pb2_grpc.add_SourceRecordServiceServicer_to_server,
        rpc.SourceRecordServicer(filing, instruments),
        source_record_service_pb2.DESCRIPTOR.services_by_name["SourceRecordService"],
    )
    server.add(
        organization_service_pb2_grpc.add_OrganizationServiceServicer_to_server,
        rpc.OrganizationServicer(organizations, lists),
        organization_service_pb2.DESCRIPTOR.services_by_name["OrganizationService"],
    )
    server.add(
        practitioner_service_pb2_grpc.add_PractitionerServiceServicer_to_server,
        rpc.PractitionerServicer(practitioners),
        practitioner_service_pb2.DESCRIPTOR.services_by_name["PractitionerService"],
    )
    server.add(
        check_in_service_pb2_grpc.add_CheckInServiceServicer_to_server,
        rpc.CheckInServicer(check_in, instruments),
        check_in_service_pb2.DESCRIPTOR.services_by_name["CheckInService"],
    )
    server.add(
        population_service_pb2_grpc.add_PopulationServiceServicer_to_server,
        rpc.PopulationServicer(PopulationService(store, system_clock, uuid7)),
        population_service_pb2.DESCRIPTOR.services_by_name["PopulationService"],
    )
    server.add(
        registry_feed_service_pb2_grpc.add_RegistryFeedServiceServicer_to_server,
        rpc.RegistryFeedServicer(registries),
        registry_feed_service_pb2.DESCRIPTOR.services_by_name["RegistryFeedService"],
    )
    server.add(
        person_fact_service_pb2_grpc.add_PersonFactServiceServicer_to_server,
        rpc.PersonFactServicer(persons),
        person_fact_service_pb2.DESCRIPTOR.services_by_name["PersonFactService"],
    )
    server.job("waiting", WaitingWatch(store, system_clock, instruments).run)
    server.job("relay_check_ins", Relay(database, CHECK_INS, CheckInRelay(store, telling).deliver).run)
    server.job("feed", feed.poll)
    server.job("registry_feed", registries.poll)
    server.job("prune_feed", partial(feed.keep_short, settings.feed.prune_seconds))
    server.health(database.ping)
    return server


if __name__ == "__main__":
    commands = {"rotate-keys": rotation_command("identity"), "reindex": reindex_command, "propose": propose_command}
    raise SystemExit(run("identity", Settings, compose, MIGRATIONS, sys.argv[1:], commands))
