"""What the gateway itself answers when it refuses: the same shape as an answer of the services.

gRPC callers get the canonical code, a sentence and `google.rpc` details; JSON callers the same as an object. Envoy
would otherwise answer with codes guessed from HTTP statuses and with its own words.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "gateway.lienthong.vn"
# A request that was transcoded bears gRPC's content type too; its caller still wants JSON.
_GRPC = (
    "('content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc')"
    " && !('x-envoy-original-path' in request.headers))"
)
_JWT = "response.code_details.startsWith('jwt_authn_access_denied')"


@dataclass(frozen=True)
class Refusal:
    """One way in which the gateway refuses. `when` is a CEL expression over the response; `field` names what of the
    request is wrong.
    """

    when: str
    code: grpc.StatusCode
    http: int
    reason: str
    text: str
    retry_after: timedelta | None = None
    field: str = ""


def refusals(largest_message: int) -> tuple[Refusal, ...]:
    """All of them; the first that fits is taken. Reasons of tokens are those of the services."""
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    too_large = f"the request is larger than {largest_message} bytes: document.content is too large for one message"
    return (
        Refusal(
            f"{_JWT} && response.code_details.contains('Jwt_is_missing')",
            unauthenticated,
            401,
            "TOKEN_MISSING",
            "the call needs an access token",
        ),
        Refusal(
            f"{_JWT} && (response.code_details.contains('expired') || response.code_details.contains('not_yet_valid'))",
            unauthenticated,
            401,
            "TOKEN_EXPIRED",
            "the access token is not valid now",
        ),
        Refusal(
            f"{_JWT} && (response.code_details.contains('issuer') || response.code_details.contains('Audiences'))",
            unauthenticated,
            401,
            "TOKEN_FOREIGN",
            "the access token is of an issuer or for an audience that is not accepted here",
        ),
        Refusal(_JWT, unauthenticated, 401, "TOKEN_INVALID", "the access token does not verify"),
        Refusal(
            "response.code == 429",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            429,
            "RATE_LIMITED",
            "too many calls by this caller",
            timedelta(seconds=1),
        ),
        Refusal(
            "response.code == 413",
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            413,
            "REQUEST_TOO_LARGE",
            too_large,
            field="document.content",
        ),
        Refusal(
            "response.code == 404", grpc.StatusCode.UNIMPLEMENTED, 404, "METHOD_NOT_FOUND", "no such public method"
        ),
        Refusal(
            "response.code == 408 || response.code == 504",
            grpc.StatusCode.DEADLINE_EXCEEDED,
            504,
            "DEADLINE_EXCEEDED",
            "the deadline passed at the gateway",
        ),
        Refusal(
            "response.code == 502 || response.code == 503",
            grpc.StatusCode.UNAVAILABLE,
            503,
            "PEER_UNAVAILABLE",
            "the service is not available now",
            timedelta(seconds=1),
        ),
    )


def status_of(refusal: Refusal) -> status_pb2.Status:
    """The rich status; the trace id is not in it, because it travels as a header."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=refusal.reason, domain=DOMAIN)]
    if refusal.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=refusal.field, description=refusal.text, reason=refusal.reason
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if refusal.retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(refusal.retry_after)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=refusal.code.value[0], message=refusal.text)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def local_replies(largest_message: int) -> dict[str, Any]:
    """Envoy's `local_reply_config`."""
    mappers = []
    for refusal in refusals(largest_message):
        mappers += [_for_grpc(refusal), _for_json(refusal)]
    return {"mappers": mappers}


def _for_grpc(refusal: Refusal) -> dict[str, Any]:
    details = base64.b64encode(status_of(refusal).SerializeToString()).rstrip(b"=").decode()
    return {
        "filter": _filter(f"({refusal.when}) && {_GRPC}"),
        "body": {"inline_string": refusal.text},
        "headers_to_add": [
            _header("grpc-status", str(refusal.code.value[0])),
            _header("grpc-status-details-bin", details),
        ],
    }


def _for_json(refusal: Refusal) -> dict[str, Any]:
    answer = MessageToDict(status_of(refusal))
    answer["details"].append({"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "%TRACE_ID%"})
    return {
        "filter": _filter(f"({refusal.when}) && !{_GRPC}"),
        "status_code": refusal.http,
        "body_format_override": {"json_format": answer, "content_type": "application/json"},
    }


def _filter(expression: str) -> dict[str, Any]:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": expression,
            },
        }
    }


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
