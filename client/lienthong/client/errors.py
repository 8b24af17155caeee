"""Typed errors for integrators, made from gRPC statuses with google.rpc details, and from a gateway's plain ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_TRACE_HEADERS = ("lienthong-trace-id", "x-trace-id")
_DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True)
class Violation:
    """One wrong field: its path, what it should be, a stable reason."""

    field: str
    description: str
    reason: str = ""


@dataclass
class LienthongError(Exception):
    """Base of all. `reason` is stable and listed in the contracts' `error_reason.proto`; quote `trace_id` to support."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    retry_after: float | None = None
    trace_id: str = ""

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason}: {self.message}".replace(" :", ":")

    @staticmethod
    def of_code(code: str, message: str) -> LienthongError:
        """An error the client itself raises."""
        status = grpc.StatusCode[code]
        return _CLASSES.get(status, LienthongError)(status, message)


class Unauthenticated(LienthongError):
    """No or bad certificate or token."""


class PermissionDenied(LienthongError):
    """Not allowed; `metadata` may name the decision and what would change it."""


class InvalidArgument(LienthongError):
    """Fields are wrong; `violations` names all of them."""


class NotFound(LienthongError):
    """It does not exist, or its existence must not leak."""


class AlreadyExists(LienthongError):
    """It exists with other content."""


class FailedPrecondition(LienthongError):
    """The state does not allow it."""


class Aborted(LienthongError):
    """The etag is not the current one."""


class ResourceExhausted(LienthongError):
    """Too much at once; retry after `retry_after` seconds."""


class Unavailable(LienthongError):
    """Something is down; retry."""


class DeadlineExceeded(LienthongError):
    """It took too long."""


class Internal(LienthongError):
    """A fault of the service; `metadata` names the incident."""


_CLASSES: Mapping[grpc.StatusCode, type[LienthongError]] = {
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.INTERNAL: Internal,
}
_TOO_LARGE = "CLIENT: Sent message larger than max"
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def from_status(status: status_pb2.Status, trace_id: str = "") -> LienthongError:
    """From a google.rpc.Status, as streams carry it."""
    code = _BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, request = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
    retry_after: float | None = None
    for detail in status.details:
        for known in (info, bad, retry, request):
            if detail.Is(known.DESCRIPTOR):
                detail.Unpack(known)
                if known is retry:
                    retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return _CLASSES.get(code, LienthongError)(
        code=code,
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(Violation(one.field, one.description, one.reason) for one in bad.field_violations),
        retry_after=retry_after,
        trace_id=request.request_id or trace_id,
    )


def from_rpc_error(error: grpc.RpcError) -> LienthongError:
    """From what a stub raised, synchronous or not."""
    code: grpc.StatusCode = error.code()
    known: Any = error  # the stubs know neither call nor aio error whole
    headers = [*(known.trailing_metadata() or ()), *(known.initial_metadata() or ())]
    trace_id = next((str(value) for name in _TRACE_HEADERS for key, value in headers if key == name), "")
    for key, value in headers:
        if key == _DETAILS and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                break
            if status.code == code.value[0]:
                return from_status(status, trace_id)
    text = error.details() or ""
    # gRPC refuses a message over the channel's limit before it is sent, in words only.
    reason = "REQUEST_TOO_LARGE" if text.startswith(_TOO_LARGE) else ""
    return _CLASSES.get(code, LienthongError)(code=code, message=text, reason=reason, trace_id=trace_id)
