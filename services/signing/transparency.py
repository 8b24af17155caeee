"""Puts the transparency log together: key, store, witnesses, time-stamps, and the jobs that keep them going."""

from __future__ import annotations

import ssl
from functools import partial

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lienthong.client.tlog.checkpoint import Checkpoint, sign_checkpoint
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import NO_QUORUM, PolicyInvalid, TrustPolicy, load_policy
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc
from opentelemetry import metrics

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.lifecycle import Lifecycle
from services.chassis.server import Server
from services.chassis.settings import SettingsError
from services.signing import jobs, rpc
from services.signing.config import Settings, StampSettings
from services.signing.peers import HttpTimestampAuthority, HttpWitness
from services.signing.ports import CheckpointSigner
from services.signing.postgres import PostgresCheckpointStore, PostgresLogStore
from services.signing.service.log import LogService
from services.signing.service.stamps import StampService
from services.signing.service.witnesses import WitnessService
from services.signing.telemetry import LogInstruments


async def add_log(server: Server, settings: Settings, database: Database, life: Lifecycle, clock: Clock) -> None:
    """Adds the log's services and jobs. Raises SettingsError."""
    signer, policy, roots = _signer(settings), _policy(settings), _roots(settings.stamp)
    store, checkpoints = PostgresLogStore(database), PostgresCheckpointStore(database)
    instruments = LogInstruments(metrics.get_meter("lienthong"))
    asked = policy is not None and policy.quorum != NO_QUORUM
    log = LogService(
        store,
        checkpoints,
        _sign(signer),
        clock,
        settings.witness.patience if asked else None,
        instruments.unwitnessed_proofs.add,
    )
    server.add(
        log_service_pb2_grpc.add_LogServiceServicer_to_server,
        rpc.LogServicer(log),
        log_service_pb2.DESCRIPTOR.services_by_name["LogService"],
    )
    server.add(
        log_service_pb2_grpc.add_LogAppendServiceServicer_to_server,
        rpc.LogAppendServicer(log),
        log_service_pb2.DESCRIPTOR.services_by_name["LogAppendService"],
    )
    publish = partial(jobs.publish_checkpoints, log, settings.checkpoint_interval)
    if policy is not None and policy.witness_urls:
        seconds = settings.witness.timeout.total_seconds()
        http = await life.enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)))
        tls = ssl.create_default_context(cafile=settings.witness.authority) if settings.witness.authority else None
        witnesses = {name: HttpWitness(http, url, tls) for name, url in policy.witness_urls.items()}
        service = WitnessService(store, checkpoints, policy, witnesses, clock)
        cosigning = jobs.WitnessJob(
            service, settings.checkpoint_interval, settings.witness.patience, clock, instruments
        )
        publish = partial(publish, published=cosigning.wake)
        server.job("witness_checkpoints", cosigning.run)
    server.job("publish_checkpoints", publish)
    if settings.stamp.url:
        seconds = settings.stamp.timeout.total_seconds()
        http = await life.enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)))
        stamps = StampService(checkpoints, HttpTimestampAuthority(http, settings.stamp.url, roots))
        server.job(
            "stamp_checkpoints", partial(jobs.stamp_checkpoints, stamps, settings.stamp.interval, clock, instruments)
        )


def _signer(settings: Settings) -> NoteSigner:
    try:
        key = load_pem_private_key(settings.log_key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(["LIENTHONG_LOG_KEY: not a file with a key in PEM"]) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(["LIENTHONG_LOG_KEY: not an Ed25519 key"])
    return NoteSigner(settings.log_origin, key)


def _sign(signer: NoteSigner) -> CheckpointSigner:
    def sign(size: int, root: bytes) -> str:
        return sign_checkpoint(Checkpoint(signer.name, size, root), signer)

    return sign


def _policy(settings: Settings) -> TrustPolicy | None:
    """The trust file; it must name this log and give every witness an address, or the quorum could never come."""
    if settings.witness.policy is None:
        return None
    try:
        policy = load_policy(settings.witness.policy.read_text("utf-8"))
    except (OSError, ValueError, PolicyInvalid) as error:
        raise SettingsError(["LIENTHONG_WITNESS_POLICY: not a trust file"]) from error
    if _signer(settings).verifier_key not in policy.logs:
        raise SettingsError(["LIENTHONG_WITNESS_POLICY: this log's key is not in it"])
    if policy.witnesses.keys() != policy.witness_urls.keys():
        raise SettingsError(["LIENTHONG_WITNESS_POLICY: a witness has no address"])
    return policy


def _roots(stamp: StampSettings) -> list[x509.Certificate]:
    path = stamp.roots
    if path is None and stamp.url:
        raise SettingsError(["LIENTHONG_STAMP_ROOTS: missing, no token could be verified"])
    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(["LIENTHONG_STAMP_ROOTS: not a file of PEM certificates"]) from error
