"""The one funnel from errors to rich statuses (AIP-193); nothing else knows status codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from services.chassis import log
from services.chassis.errors import DomainError, Kind

TRACE_HEADER = "lienthong-trace-id"
DETAILS_HEADER = "grpc-status-details-bin"

CODES: Mapping[Kind, grpc.StatusCode] = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.ABORTED: grpc.StatusCode.ABORTED,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
_ROOT = Path(__file__).resolve().parents[2]


class Incident(DomainError):
    """A bug. The caller learns an incident id and nothing else."""

    kind = Kind.INTERNAL
    reason = "INTERNAL"


def incident(error: BaseException, trace_id: str) -> Incident:
    """Logs a bug by class and place, never by message, which may hold a person's data."""
    number = str(uuid4())
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{_place(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-8:]))
    log.event("incident", level="error", incident=number, error=type(error).__name__, places=places, trace_id=trace_id)
    return Incident("internal error", metadata={"incident": number})


def _place(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name


def status_of(error: DomainError, api: str, trace_id: str) -> status_pb2.Status:
    """The rich status: ErrorInfo always, BadRequest with fields, RetryInfo with a time, RequestInfo with the trace id."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=f"{api}.lienthong.vn", metadata=error.metadata)
    details: list[Message] = [info]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=one.field, description=one.description, reason=one.reason)
            for one in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(error.retry_after)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    details.append(error_details_pb2.RequestInfo(request_id=trace_id))
    status = status_pb2.Status(code=CODES[error.kind].value[0], message=error.text)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def write_problems(problems: list[str]) -> None:
    """Prints start-up problems, one a line, for whoever starts the process."""
    for problem in problems:
        sys.stderr.write(problem + "\n")
