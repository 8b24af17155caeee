"""A running gateway in front of two small roles that tell what reached them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from lienthong.client.channel import connect
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    source_record_service_pb2,
)
from lienthong.records.v1 import intake_service_pb2, submission_pb2

from deploy.envoy.values import Address, GatewayValues, Issuer, Rate
from deploy.local.gateway import gateway_command, wait_ready
from deploy.local.ports import Ports
from deploy.local.processes import Process
from deploy.local.tokens import TokenIssuer
from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Identities

LARGEST = 1024 * 1024
FACILITY_ISSUER, CITIZEN_ISSUER = "https://id.test/facility", "https://id.test/citizen"
ROLES = ("consent", "identity", "records", "referrals", "signing")


class Organizations:
    """Remembers what came with the last call."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.time_left = 0.0

    async def get(self, request: Any, context: Any) -> organization_service_pb2.GetOrganizationResponse:
        self.seen = dict(context.invocation_metadata())
        self.time_left = context.time_remaining() or 0.0
        if request.name.endswith("slow1"):
            await asyncio.sleep(3)
        if request.name.endswith("00000"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such organization")
        return organization_service_pb2.GetOrganizationResponse(
            organization=organization_pb2.Organization(name=request.name, display_name="Bệnh viện thử")
        )


async def file_source_records(request: Any, context: Any) -> Any:
    """An internal method, which must not be reachable."""
    return source_record_service_pb2.FileSourceRecordsResponse()


async def submit(request: Any, context: Any) -> intake_service_pb2.SubmitDocumentResponse:
    """Takes anything."""
    return intake_service_pb2.SubmitDocumentResponse(submission=submission_pb2.Submission(name="submissions/1"))


async def submit_many(
    requests: AsyncIterator[Any], context: Any
) -> AsyncIterator[intake_service_pb2.SubmitDocumentsResponse]:
    """Answers each message at once."""
    async for request in requests:
        yield intake_service_pb2.SubmitDocumentsResponse(
            results=[intake_service_pb2.SubmissionResult(document_id=one.document_id) for one in request.documents]
        )


def handlers(organizations: Organizations) -> tuple[grpc.GenericRpcHandler, ...]:
    """The methods of the small roles."""
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    table: dict[str, tuple[str, Any, Any, Any]] = {
        "lienthong.identity.v1.OrganizationService": (
            "GetOrganization",
            unary,
            organizations.get,
            organization_service_pb2.GetOrganizationRequest,
        ),
        "lienthong.identity.v1.SourceRecordService": (
            "FileSourceRecords",
            unary,
            file_source_records,
            source_record_service_pb2.FileSourceRecordsRequest,
        ),
    }
    found = [
        grpc.method_handlers_generic_handler(
            service, {name: kind(work, request.FromString, lambda answer: answer.SerializeToString())}
        )
        for service, (name, kind, work, request) in table.items()
    ]
    intake: dict[str, Any] = {
        "SubmitDocument": unary(
            submit,
            intake_service_pb2.SubmitDocumentRequest.FromString,
            intake_service_pb2.SubmitDocumentResponse.SerializeToString,
        ),
        "SubmitDocuments": stream(
            submit_many,
            intake_service_pb2.SubmitDocumentsRequest.FromString,
            intake_service_pb2.SubmitDocumentsResponse.SerializeToString,
        ),
    }
    return (*found, grpc.method_handlers_generic_handler("lienthong.records.v1.IntakeService", intake))


@dataclass
class Bench:
    """The gateway and what stands behind it."""

    values: GatewayValues
    identities: Identities
    organizations: Organizations
    facility_issuer: TokenIssuer
    citizen_issuer: TokenIssuer
    process: Process
    log: Path
    ports: Ports

    def facility_token(self, code: str = "01001", **changes: Any) -> str:
        pem = self.identities.workload(f"facility/{code}").certificate.read_bytes()
        return self.facility_issuer.mint(PrincipalKind.FACILITY, code, certificate=pem, facility=code, **changes)

    def citizen_token(self, **changes: Any) -> str:
        return self.citizen_issuer.mint(PrincipalKind.CITIZEN, "citizen", person="persons/1", **changes)

    def facility(self, token: str | None, code: str = "01001", workload: str = "") -> grpc.aio.Channel:
        pair = self.identities.workload(workload or f"facility/{code}")
        return connect(
            str(self.values.facility_listener),
            authority=self.identities.pki.authority,
            certificate=pair.certificate,
            private_key=pair.private_key,
            token=token,
        )

    def public(self, token: str | None) -> grpc.aio.Channel:
        return connect(str(self.values.public_listener), authority=self.identities.pki.authority, token=token)

    def restart(self) -> None:
        self.process = Process(self.process.command)
        wait_ready(self.process, self.values, 20, frozenset({"identity", "records"}))


@contextmanager
def gateway(identities: Identities, folder: Path, addresses: dict[str, str], **changes: Any) -> Iterator[Bench]:
    """Starts Envoy in front of these roles; a role without address is one that is down."""
    ports = Ports()
    pair = identities.workload("gateway")
    issuers = []
    minters = [TokenIssuer(FACILITY_ISSUER), TokenIssuer(CITIZEN_ISSUER)]
    for number, minter in enumerate(minters):
        jwks = folder / f"jwks-{number}.json"
        jwks.write_text(json.dumps(minter.jwks), "utf-8")
        issuers.append(Issuer(minter.issuer, str(jwks)))
    values = GatewayValues(
        facility_listener=Address.parse(ports.reserve()),
        public_listener=Address.parse(ports.reserve()),
        admin=Address.parse(ports.reserve()),
        edge_certificate=str(pair.certificate),
        edge_key=str(pair.private_key),
        workload_certificate=str(pair.certificate),
        workload_key=str(pair.private_key),
        facility_authority=str(identities.pki.authority),
        workload_authority=str(identities.pki.authority),
        descriptors="",
        facility_issuers=(issuers[0],),
        public_issuers=(issuers[1], Issuer("https://id.test/operator", issuers[1].jwks)),
        roles={role: Address.parse(addresses.get(role) or ports.reserve()) for role in ROLES},
        dns=False,
        collector=None,
        access_log=str(folder / "access.log"),
        largest_message=LARGEST,
        facility_rate=Rate(1000, 1000),
    )
    values = replace(values, **changes)
    process = Process(gateway_command(values, folder, folder / "envoy.log"))
    bench = Bench(values, identities, Organizations(), minters[0], minters[1], process, folder / "access.log", ports)
    try:
        wait_ready(process, values, 20, frozenset(addresses))
        yield bench
    finally:
        bench.process.stop()
        ports.release()


async def start_role(identities: Identities, role: str, organizations: Organizations) -> tuple[grpc.aio.Server, str]:
    """A server with a role's certificate and every test servicer on it."""
    pair = identities.workload(role)
    server = grpc.aio.server(options=(("grpc.max_receive_message_length", 64 * LARGEST),))
    server.add_generic_rpc_handlers(handlers(organizations))
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    credentials = grpc.ssl_server_credentials(
        [(pair.private_key.read_bytes(), pair.certificate.read_bytes())],
        root_certificates=identities.pki.authority.read_bytes(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, f"127.0.0.1:{port}"
