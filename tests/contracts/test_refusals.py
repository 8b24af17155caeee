"""Every RPC x workload x principal kind: who may come in, held against a table that was written down apart from the code.

The real interceptor chain judges each combination on a real server over mTLS; a call that is let in ends in something else than a refusal of the
door (an empty request is refused for its missing fields).
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.descriptor import ServiceDescriptor
from lienthong.client.errors import from_rpc_error

from services.chassis.clock import system_clock
from services.chassis.principal import PrincipalKind
from services.chassis.server import Server
from services.chassis.settings import TelemetrySettings
from services.chassis.telemetry import Telemetry
from services.chassis.workload import AccessTable
from tests.fixtures.identities import Identities

MATRIX = Path(__file__).with_name("access.csv")
ROLES = ("identity", "records", "consent", "referrals", "signing")
WORKLOADS = (*ROLES, "gateway", "probe", "facility/01001")
DOOR = frozenset({"WORKLOAD_NOT_ALLOWED", "TOKEN_MISSING", "PRINCIPAL_NOT_ALLOWED"})


def written_down() -> dict[str, set[tuple[str, str]]]:
    """The expected table: method -> (workload, principal kind)."""
    with MATRIX.open(encoding="utf-8") as file:
        table: dict[str, set[tuple[str, str]]] = {}
        for row in csv.DictReader(file):
            pairs = table.setdefault(row["method"], set())
            pairs |= {(row["workload"], kind) for kind in row["principals"].split()}
        return table


def services_of(role: str) -> Iterator[ServiceDescriptor]:
    """Every service of a role's contract package."""
    folder = Path(__file__).resolve().parents[2] / "client" / "lienthong" / role / "v1"
    for path in sorted(folder.glob("*_service_pb2.py")):
        module = importlib.import_module(f"lienthong.{role}.v1.{path.stem}")
        yield from module.DESCRIPTOR.services_by_name.values()


class _Answers(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Behind the door: whatever is let in gets an empty answer."""

    def __init__(self, service: ServiceDescriptor) -> None:
        self._methods = {f"/{service.full_name}/{method.name}": method for method in service.methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = self._methods.get(handler_call_details.method)
        if method is None:
            return None

        async def unary(request: Any, context: Any) -> empty_pb2.Empty:
            return empty_pb2.Empty()

        async def stream(request: Any, context: Any) -> None:
            return None

        encode = empty_pb2.Empty.SerializeToString
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, empty_pb2.Empty.FromString, encode)
        return grpc.unary_unary_rpc_method_handler(unary, empty_pb2.Empty.FromString, encode)


@pytest.mark.parametrize("role", ROLES)
async def test_every_rpc_lets_in_exactly_whom_the_written_table_names(role: str, identities: Identities) -> None:
    access: AccessTable = importlib.import_module(f"services.{role}.access").ACCESS
    expected = written_down()
    async with Telemetry(TelemetrySettings(log_level="error"), role) as telemetry:
        server = Server(
            identities.server_settings(role), api=role, access=access, telemetry=telemetry, clock=system_clock
        )
        methods = []
        for service in services_of(role):
            handler = _Answers(service)
            server.add(lambda _, target, handler=handler: target.add_generic_rpc_handlers((handler,)), None, service)
            methods += [(f"{service.full_name}/{method.name}", method.client_streaming) for method in service.methods]
        address = await server.start()
        try:
            wrong = []
            for workload in WORKLOADS:
                async with identities.channel(address, role, workload) as channel:
                    for method, streams in methods:
                        for kind in PrincipalKind:
                            came_in = await _came_in(channel, method, streams, kind, identities)
                            should = (workload.split("/")[0], kind.value) in expected.get(method, set())
                            if came_in != should:
                                wrong.append(
                                    f"{method} {workload} {kind.value}: came in {came_in}, table says {should}"
                                )
            assert wrong == []
        finally:
            await server.stop()


async def _came_in(
    channel: grpc.aio.Channel, method: str, streams: bool, kind: PrincipalKind, identities: Identities
) -> bool:
    token = None if kind is PrincipalKind.WORKLOAD else identities.token(kind)
    bound = kind in (PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER)
    metadata = identities.metadata(token, "01001" if bound else None)
    encode, decode = empty_pb2.Empty.SerializeToString, empty_pb2.Empty.FromString
    try:
        if streams:
            call = channel.stream_stream(f"/{method}", request_serializer=encode, response_deserializer=decode)
            stream = call(iter(()), timeout=5, metadata=metadata)
            async for _ in stream:
                pass
        else:
            unary = channel.unary_unary(f"/{method}", request_serializer=encode, response_deserializer=decode)
            await unary(empty_pb2.Empty(), timeout=5, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        reason = from_rpc_error(error).reason
        # A role other than a forwarder cannot pass a bound token on: its binding fails at the door as well.
        return reason not in DOOR | {"TOKEN_NOT_BOUND"}
    return True


def test_the_written_table_names_every_rpc() -> None:
    methods = {
        f"{service.full_name}/{method.name}"
        for role in ROLES
        for service in services_of(role)
        for method in service.methods
    }
    assert set(written_down()) == methods
