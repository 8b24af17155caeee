"""The gateway as it runs, in front of small roles: doors, allow-list, tokens, limits, JSON, traces, and what it says
when it refuses.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from lienthong.client.channel import new_traceparent
from lienthong.client.errors import LienthongError, from_rpc_error
from lienthong.identity.v1 import (
    organization_service_pb2,
    organization_service_pb2_grpc,
    source_record_service_pb2,
    source_record_service_pb2_grpc,
)
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2

from deploy.envoy.values import Address, Rate
from deploy.local.otlp import OtlpReceiver, read_spans, tree
from tests.fixtures.identities import Identities
from tests.integration.local.gateway_bench import LARGEST, Bench, Organizations, gateway, start_role

NAME = "organizations/01001"
TRACE = "lienthong-trace-id"
_loop = pytest_asyncio.fixture(loop_scope="module", scope="module")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@_loop
async def bench(identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """Envoy with a collector, in front of identity and records."""
    folder = tmp_path_factory.mktemp("gateway")
    organizations = Organizations()
    started = [await start_role(identities, role, organizations) for role in ("identity", "records")]
    addresses = dict(zip(("identity", "records"), (address for _, address in started), strict=True))
    async with OtlpReceiver("127.0.0.1:0", folder / "spans.jsonl") as receiver:
        collector = Address("127.0.0.1", receiver.port)
        context = gateway(identities, folder, addresses, collector=collector)
        running = await asyncio.to_thread(context.__enter__)
        running.organizations = organizations
        try:
            yield running
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
            for server, _ in started:
                await server.stop(0)


async def get(channel: grpc.aio.Channel, name: str = NAME, timeout: float = 5, metadata: Any = ()) -> Any:
    stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
    request = organization_service_pb2.GetOrganizationRequest(name=name)
    return await stub.GetOrganization(request, timeout=timeout, metadata=metadata)


async def refused(call: Any) -> LienthongError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def raw(channel: Any, path: str) -> Any:
    """A unary call with an empty message."""
    return channel.unary_unary(f"/{path}")(b"", timeout=5)


def document(size: int) -> submission_pb2.DocumentSubmission:
    return submission_pb2.DocumentSubmission(document_id="d", content=b"x" * size)


async def test_facility_is_forwarded_with_its_certificate_and_token(bench: Bench) -> None:
    token = bench.facility_token()
    async with bench.facility(token) as channel:
        forged = [
            ("x-forwarded-client-cert", "Hash=00;URI=spiffe://lienthong.vn/facility/79001"),
            ("x-envoy-retry-on", "5xx"),
        ]
        assert (await get(channel, metadata=forged)).organization.name == NAME
    seen = bench.organizations.seen
    expected = dict(bench.identities.metadata(None, "01001"))["x-forwarded-client-cert"]
    assert seen["x-forwarded-client-cert"] == f"By=spiffe://lienthong.vn/gateway;{expected}"
    assert seen["authorization"] == f"Bearer {token}"
    assert "x-envoy-retry-on" not in seen
    assert 4 < bench.organizations.time_left <= 5


async def test_public_door_forwards_no_certificate(bench: Bench) -> None:
    async with bench.public(bench.citizen_token()) as channel:
        await get(channel, metadata=[("x-forwarded-client-cert", "Hash=00;URI=spiffe://lienthong.vn/gateway")])
    assert "x-forwarded-client-cert" not in bench.organizations.seen


@pytest.mark.parametrize("workload", ["records", "gateway"])
async def test_certificate_of_a_role_opens_no_door(bench: Bench, workload: str) -> None:
    async with bench.facility(bench.facility_token(), workload=workload) as channel:
        error = await refused(get(channel, timeout=1))
    assert error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda _: None, "TOKEN_MISSING"),
        (lambda bench: bench.facility_token(at=datetime.now(UTC) - timedelta(hours=1)), "TOKEN_EXPIRED"),
        (lambda bench: bench.facility_token()[:-8] + "AAAAAAAA", "TOKEN_INVALID"),
        (lambda bench: bench.facility_token(audience="another"), "TOKEN_FOREIGN"),
        (lambda bench: bench.citizen_token(), "TOKEN_FOREIGN"),
        (lambda _: "nonsense", "TOKEN_INVALID"),
    ],
)
async def test_bad_tokens_are_refused_by_name_with_a_trace_id(bench: Bench, token: Any, reason: str) -> None:
    async with bench.facility(token(bench)) as channel:
        error = await refused(get(channel))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert len(error.trace_id) == 32


async def test_public_door_takes_both_of_its_issuers_and_no_facility(bench: Bench) -> None:
    for token, reason in ((bench.facility_token(), "TOKEN_FOREIGN"), (None, "TOKEN_MISSING")):
        async with bench.public(token) as channel:
            error = await refused(get(channel))
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


async def test_internal_methods_health_and_reflection_are_not_there(bench: Bench) -> None:
    async with bench.facility(bench.facility_token()) as channel:
        stub = source_record_service_pb2_grpc.SourceRecordServiceStub(channel)
        internal = await refused(
            stub.FileSourceRecords(source_record_service_pb2.FileSourceRecordsRequest(), timeout=5)
        )
        others = [
            await refused(raw(channel, path))
            for path in ("grpc.health.v1.Health/Check", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        ]
    for error in (internal, *others):
        assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")
        assert error.trace_id


async def test_large_unary_document_is_refused_with_the_limit(bench: Bench) -> None:
    async with bench.facility(bench.facility_token()) as channel:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        await stub.SubmitDocument(
            intake_service_pb2.SubmitDocumentRequest(document=document(LARGEST - 100)), timeout=10
        )
        request = intake_service_pb2.SubmitDocumentRequest(document=document(8 * LARGEST))
        error = await refused(stub.SubmitDocument(request, timeout=10))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE")
    assert str(LARGEST) in error.message
    assert [violation.field for violation in error.violations] == ["document.content"]


async def test_stream_is_neither_limited_nor_buffered(bench: Bench) -> None:
    async with bench.facility(bench.facility_token()) as channel:
        stub: Any = intake_service_pb2_grpc.IntakeServiceStub(channel)
        call = stub.SubmitDocuments(timeout=30)
        for _ in range(4):
            await call.write(intake_service_pb2.SubmitDocumentsRequest(documents=[document(LARGEST // 2)]))
            answer = await call.read()
            assert [result.document_id for result in answer.results] == ["d"]
        await call.done_writing()
        assert not await call.read()
        assert await call.code() is grpc.StatusCode.OK


async def test_trace_starts_or_continues_and_no_path_is_recorded(bench: Bench, tmp_path: Path) -> None:
    context = new_traceparent()
    async with bench.facility(bench.facility_token()) as channel:
        call = organization_service_pb2_grpc.OrganizationServiceStub(channel).GetOrganization(
            organization_service_pb2.GetOrganizationRequest(name=NAME), timeout=5, metadata=[("traceparent", context)]
        )
        headers = {name: str(value) for name, value in await call.initial_metadata()}
        await call
    assert headers[TRACE] == context.split("-")[1]
    assert bench.organizations.seen["traceparent"].split("-")[1] == headers[TRACE]
    status, answer, body = await json_call(bench, "GET", f"/v1/{NAME}")
    assert (status, json.loads(body)["organization"]["name"]) == (200, NAME)
    spans = bench.log.with_name("spans.jsonl")
    for trace in (headers[TRACE], answer[TRACE]):
        for _ in range(50):
            found = read_spans(spans, trace)
            if len(found) >= 2:
                break
            await asyncio.sleep(0.1)
        assert {span.service for span in found} == {"lienthong-gateway"}
        assert found[0].name == "lienthong.identity.v1.OrganizationService/GetOrganization"
        assert len(tree(found)) == len(found) + 1
    assert "01001" not in spans.read_text("utf-8").replace("facility/01001", "")
    assert "organizations/" not in bench.log.read_text("utf-8")


async def json_call(
    bench: Bench, method: str, path: str, body: Any = None, token: str | None = "", **more: str
) -> tuple[int, dict[str, str], str]:
    pair = bench.identities.workload("facility/01001")
    context = ssl.create_default_context(cafile=str(bench.identities.pki.authority))
    context.load_cert_chain(pair.certificate, pair.private_key)
    headers = more if token is None else more | {"authorization": f"Bearer {token or bench.facility_token()}"}
    async with aiohttp.ClientSession() as session:
        url = f"https://{bench.values.facility_listener}{path}"
        async with session.request(method, url, json=body, ssl=context, headers=headers) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.text()


async def test_json_callers_get_the_same_api(bench: Bench) -> None:
    status, headers, body = await json_call(bench, "GET", f"/v1/{NAME}")
    assert (status, json.loads(body)["organization"]["displayName"]) == (200, "Bệnh viện thử")
    assert len(headers[TRACE]) == 32
    # A JSON caller need not know of deadlines.
    assert 10 < bench.organizations.time_left <= 15
    status, headers, body = await json_call(bench, "GET", "/v1/organizations/00000")
    assert (status, json.loads(body)["code"]) == (404, 5)


@pytest.mark.parametrize(
    ("method", "path", "token", "status", "reason"),
    [
        ("GET", f"/v1/{NAME}", None, 401, "TOKEN_MISSING"),
        ("GET", f"/v1/{NAME}", "nonsense", 401, "TOKEN_INVALID"),
        ("GET", "/v1/nothing/here", "", 404, "METHOD_NOT_FOUND"),
        ("GET", "/metrics", "", 404, "METHOD_NOT_FOUND"),
        ("POST", "/lienthong.identity.v1.SourceRecordService/FileSourceRecords", "", 404, "METHOD_NOT_FOUND"),
        ("GET", "/v1/appointments", "", 503, "PEER_UNAVAILABLE"),
    ],
)
async def test_json_refusals_have_the_shape_of_a_status(
    bench: Bench, method: str, path: str, token: str | None, status: int, reason: str
) -> None:
    got, headers, body = await json_call(bench, method, path, token=token, body={} if method == "POST" else None)
    answer = json.loads(body)
    assert got == status
    assert answer["details"][0]["reason"] == reason
    assert len(headers[TRACE]) == 32


async def test_deadline_of_a_json_caller_rules(bench: Bench) -> None:
    status, headers, body = await json_call(bench, "GET", "/v1/organizations/slow1", **{"grpc-timeout": "300m"})
    assert status == 504
    assert json.loads(body)["details"][0]["reason"] == "DEADLINE_EXCEEDED"
    assert len(headers[TRACE]) == 32


async def test_large_json_document_is_refused(bench: Bench) -> None:
    body = {"document": {"documentId": "d", "content": "A" * (4 * LARGEST)}}
    status, _, text = await json_call(bench, "POST", "/v1/documents:submit", body)
    assert status == 413
    assert json.loads(text)["details"][0]["reason"] == "REQUEST_TOO_LARGE"


async def test_role_that_is_down_is_unavailable_with_a_time_to_retry(bench: Bench) -> None:
    async with bench.facility(bench.facility_token()) as channel:
        error = await refused(raw(channel, "lienthong.signing.v1.LogService/GetCheckpoint"))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNAVAILABLE")


async def test_each_facility_has_a_rate_of_its_own(identities: Identities, tmp_path: Path) -> None:
    organizations = Organizations()
    server, address = await start_role(identities, "identity", organizations)
    context = gateway(identities, tmp_path, {"identity": address}, facility_rate=Rate(5, 1))
    bench = await asyncio.to_thread(context.__enter__)
    try:
        codes = []
        async with bench.facility(bench.facility_token()) as channel:
            for _ in range(10):
                try:
                    await get(channel)
                    codes.append("OK")
                except grpc.aio.AioRpcError as error:
                    known = from_rpc_error(error)
                    assert (known.reason, known.retry_after) == ("RATE_LIMITED", 1.0)
                    codes.append(known.code.name)
        async with bench.facility(bench.facility_token("79001"), "79001") as channel:
            await get(channel)
        assert codes[:5] == ["OK"] * 5
        assert codes.count("RESOURCE_EXHAUSTED") >= 3
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)
        await server.stop(0)
