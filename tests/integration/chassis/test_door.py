"""The door of every role on a real server over mTLS: deadlines, certificates, tokens, required fields, and what a caller learns of a bug."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lienthong.client.errors import LienthongError, from_rpc_error
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2

from services.chassis.clock import system_clock
from services.chassis.deadline import child_timeout, remaining
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import PrincipalKind
from services.chassis.server import AccessIncomplete, Server
from services.chassis.settings import TelemetrySettings
from services.chassis.telemetry import Telemetry
from services.chassis.workload import GATEWAY, RECORDS, AccessTable, allow
from tests.fixtures.identities import Identities
from tests.fixtures.tokens import Tokens

SERVICE = "lienthong.records.v1.IntakeService/"
METHODS = ("SubmitDocument", "SubmitDocuments", "ValidateDocument", "GetSubmission", "ListSubmissions")
ACCESS: AccessTable = {
    SERVICE + method: allow((GATEWAY, PrincipalKind.FACILITY), (RECORDS, PrincipalKind.WORKLOAD)) for method in METHODS
}
SECRET = "Nguyễn Văn Bí Mật"  # noqa: S105 - what no answer and no log may say
ROLE = "records"


class Servicer:
    """Behind the door: acts by the document's id."""

    ValidateDocument = GetSubmission = ListSubmissions = None

    async def SubmitDocument(self, request: Any, context: Any) -> Any:
        """Answers, fails, or takes its time."""
        match request.document.document_id:
            case "bug":
                raise RuntimeError(SECRET)
            case "domain":
                raise InvalidArgument.of(FieldViolation("document.content", "is wrong", "WRONG"))
            case "slow":
                await asyncio.sleep(30)
        left = f"{remaining().total_seconds():.3f} {child_timeout(60):.3f}"
        return intake_service_pb2.SubmitDocumentResponse(submission=submission_pb2.Submission(document_id=left))

    async def SubmitDocuments(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """An empty answer to each message."""
        async for _ in requests:
            yield intake_service_pb2.SubmitDocumentsResponse()


@pytest.fixture
async def server(identities: Identities) -> AsyncIterator[str]:
    async with Telemetry(TelemetrySettings(), ROLE) as telemetry:
        running = make(identities, telemetry, ACCESS)
        yield await running.start()
        await running.stop()


def make(identities: Identities, telemetry: Telemetry, access: AccessTable) -> Server:
    server = Server(identities.server_settings(ROLE), api=ROLE, access=access, telemetry=telemetry, clock=system_clock)
    descriptor = intake_service_pb2.DESCRIPTOR.services_by_name["IntakeService"]
    add_to_server: Any = intake_service_pb2_grpc.add_IntakeServiceServicer_to_server
    server.add(add_to_server, Servicer(), descriptor)
    return server


def document(document_id: str = "d") -> intake_service_pb2.SubmitDocumentRequest:
    return intake_service_pb2.SubmitDocumentRequest(
        document=submission_pb2.DocumentSubmission(
            document_id=document_id, format=submission_pb2.DOCUMENT_FORMAT_XML130, content=b"<x/>"
        )
    )


async def refused(call: Awaitable[Any]) -> LienthongError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    assert len(error.trace_id) == 32
    return error


async def submit(
    identities: Identities,
    server: str,
    *,
    workload: str = "gateway",
    metadata: list[tuple[str, str]] | None = None,
    request: Any = None,
    timeout: float | None = 5.0,
) -> Any:
    if metadata is None:
        metadata = identities.metadata(identities.token(PrincipalKind.FACILITY), "01001")
    async with identities.channel(server, ROLE, workload, metadata) as channel:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        return await stub.SubmitDocument(request or document(), timeout=timeout)


async def test_a_call_without_deadline_is_refused_and_one_with_too_little_left_too(
    identities: Identities, server: str
) -> None:
    error = await refused(submit(identities, server, timeout=None))
    assert (error.reason, error.violations[0].field) == ("DEADLINE_REQUIRED", "grpc-timeout")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(identities, server, timeout=0.04)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_handler_that_takes_too_long_is_ended_before_its_caller(identities: Identities, server: str) -> None:
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await submit(identities, server, request=document("slow"), timeout=0.5)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # Far less than the handler's 30 s: it was ended, not awaited.
    assert time.monotonic() - started < 15


async def test_what_is_left_shrinks_on_the_way_in(identities: Identities, server: str) -> None:
    answer = await submit(identities, server, timeout=3.0)
    left, child = map(float, answer.submission.document_id.split())
    assert 0 < child < left < 2.981
    assert left - child > 0.019


BAD_TOKENS: dict[str, Callable[[Tokens], str]] = {
    "expired": lambda tokens: tokens.expired(),
    "not_yet_valid": lambda tokens: tokens.not_yet_valid(),
    "too_long": lambda tokens: tokens.too_long(),
    "foreign_issuer": lambda tokens: tokens.foreign_issuer(),
    "forged": lambda tokens: tokens.forged(),
    "altered": lambda tokens: tokens.altered(),
    "wrong_audience": lambda tokens: tokens.wrong_audience(),
    "unbound": lambda tokens: tokens.unbound(),
    "bound_to_another": lambda tokens: tokens.bound_to("79001"),
    "of_another_facility": lambda tokens: tokens.facility("79001"),
    "not_a_token": lambda tokens: "abc",
}
REASONS = {
    "expired": "TOKEN_EXPIRED",
    "not_yet_valid": "TOKEN_EXPIRED",
    "too_long": "TOKEN_INVALID",
    "foreign_issuer": "TOKEN_FOREIGN",
    "forged": "TOKEN_INVALID",
    "altered": "TOKEN_INVALID",
    "wrong_audience": "TOKEN_FOREIGN",
    "unbound": "TOKEN_NOT_BOUND",
    "bound_to_another": "TOKEN_NOT_BOUND",
    "of_another_facility": "TOKEN_NOT_BOUND",
    "not_a_token": "TOKEN_INVALID",
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_is_refused_by_name(identities: Identities, server: str, kind: str) -> None:
    metadata = identities.metadata(BAD_TOKENS[kind](identities.tokens), "01001")
    error = await refused(submit(identities, server, metadata=metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, REASONS[kind])


async def test_a_call_without_token_and_one_of_another_kind_are_refused(identities: Identities, server: str) -> None:
    missing = await refused(submit(identities, server, metadata=identities.metadata(None, "01001")))
    assert missing.reason == "TOKEN_MISSING"
    citizen = identities.metadata(identities.token(PrincipalKind.CITIZEN))
    wrong = await refused(submit(identities, server, metadata=citizen))
    assert (wrong.code, wrong.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PRINCIPAL_NOT_ALLOWED")


async def test_a_facility_cannot_go_past_the_gateway_even_with_a_forged_header(
    identities: Identities, server: str
) -> None:
    error = await refused(submit(identities, server, workload="facility/01001"))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WORKLOAD_NOT_ALLOWED")


@pytest.mark.parametrize("forged", ["two", "twice", "nobody"])
async def test_a_malformed_forwarded_certificate_is_refused(identities: Identities, server: str, forged: str) -> None:
    good = dict(identities.metadata(identities.token(PrincipalKind.FACILITY), "01001"))
    header = good["x-forwarded-client-cert"]
    values = {"two": f"{header},{header}", "twice": f"{header};Hash=00", "nobody": "Hash=00;URI=https://nobody.test/"}
    metadata = [("authorization", good["authorization"]), ("x-forwarded-client-cert", values[forged])]
    assert (await refused(submit(identities, server, metadata=metadata))).reason == "TOKEN_INVALID"


async def test_no_certificate_and_one_of_another_authority_get_no_connection(
    identities: Identities, server: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Identities(tmp_path_factory.mktemp("other")).workload("gateway")
    root = identities.pki.authority.read_bytes()
    pairs = ((None, None), (other.private_key.read_bytes(), other.certificate.read_bytes()))
    options = [("grpc.ssl_target_name_override", f"{ROLE}.lienthong.internal"), ("grpc.enable_retries", 0)]
    for key, certificate in pairs:
        credentials = grpc.ssl_channel_credentials(root, key, certificate)
        async with grpc.aio.secure_channel(server, credentials, options=options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await intake_service_pb2_grpc.IntakeServiceStub(channel).SubmitDocument(document(), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_all_missing_fields_are_named_at_once_also_inside_lists(identities: Identities, server: str) -> None:
    unsigned = submission_pb2.DocumentSubmission(signatures=[submission_pb2.DetachedSignature()])
    request = intake_service_pb2.SubmitDocumentRequest(document=unsigned)
    error = await refused(submit(identities, server, request=request))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert {violation.field for violation in error.violations} == {
        "document.document_id",
        "document.format",
        "document.content",
        "document.signatures[0].format",
        "document.signatures[0].content",
    }
    empty = await refused(submit(identities, server, request=intake_service_pb2.SubmitDocumentRequest()))
    assert [violation.field for violation in empty.violations] == ["document"]


async def test_messages_of_a_stream_are_checked_one_by_one(identities: Identities, server: str) -> None:
    metadata = identities.metadata(identities.token(PrincipalKind.FACILITY), "01001")
    async with identities.channel(server, ROLE, "gateway", metadata) as channel:
        stub: Any = intake_service_pb2_grpc.IntakeServiceStub(channel)
        call = stub.SubmitDocuments(timeout=5)
        await call.write(intake_service_pb2.SubmitDocumentsRequest(documents=[document().document]))
        assert await call.read() == intake_service_pb2.SubmitDocumentsResponse()
        await call.write(intake_service_pb2.SubmitDocumentsRequest())
        error = await refused(call.read())
    assert [violation.field for violation in error.violations] == ["documents"]


async def test_a_bug_tells_an_incident_and_nothing_else(
    identities: Identities, server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    error = await refused(submit(identities, server, request=document("bug")))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    incident = error.metadata["incident"]
    logged = "".join(capfd.readouterr())
    assert incident in logged
    assert "RuntimeError" in logged
    assert SECRET not in logged + str(error)
    assert "Traceback" not in logged + str(error)


async def test_a_domain_error_keeps_reason_field_and_trace(identities: Identities, server: str) -> None:
    error = await refused(submit(identities, server, request=document("domain")))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert [(one.field, one.reason) for one in error.violations] == [("document.content", "WRONG")]


async def test_health_needs_a_certificate_and_no_token(identities: Identities, server: str) -> None:
    async with identities.channel(server, ROLE, "probe") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(100):
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                break
            await asyncio.sleep(0.05)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("change", ["row missing", "row too many"])
async def test_an_access_table_that_differs_from_the_methods_stops_the_start(
    identities: Identities, change: str
) -> None:
    table = dict(ACCESS)
    if change == "row missing":
        named = SERVICE + "GetSubmission"
        del table[named]
    else:
        named = SERVICE + "Invented"
        table[named] = allow((GATEWAY, PrincipalKind.FACILITY))
    async with Telemetry(TelemetrySettings(), ROLE) as telemetry:
        with pytest.raises(AccessIncomplete, match=named):
            await make(identities, telemetry, table).start()


def test_the_forwarded_hash_is_that_of_the_certificate(identities: Identities) -> None:
    header = dict(identities.metadata(None, "01001"))["x-forwarded-client-cert"]
    pem = identities.workload("facility/01001").certificate.read_bytes()
    assert x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex() in header


async def test_a_loop_that_takes_its_cancellation_for_a_failure_does_not_keep_the_role_from_ending(
    identities: Identities,
) -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(30)

    async with Telemetry(TelemetrySettings(), ROLE) as telemetry:
        server = make(identities, telemetry, ACCESS)
        server.job("stubborn", stubborn)
        await server.start()
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            await server.stop()
    assert swallowed == 2
