"""The allow-list: one route for each public method, nothing else."""

from __future__ import annotations

from typing import Any

from deploy.envoy.contracts import Method
from deploy.envoy.values import GatewayValues, seconds

BODY_LIMIT = "envoy.filters.http.body_size_limit"
HEADER_MUTATION = "envoy.filters.http.header_mutation"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
JSON_PREFIX = "/v1/"


def routes(methods: tuple[Method, ...], values: GatewayValues) -> list[dict[str, Any]]:
    """Routes by exact path. Names of routes are logged in place of paths, which may hold the resource name of a
    person.
    """
    return [
        *(_route(method, values) for method in methods),
        # JSON requests match here at first; the transcoder then finds their method and the route is chosen anew. A
        # JSON caller who sets no deadline gets one; a gRPC caller must set it.
        _nowhere("json", JSON_PREFIX)
        | {
            "typed_per_filter_config": {
                HEADER_MUTATION: {
                    "@type": (
                        "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute"
                    ),
                    "mutations": {
                        "request_mutations": [
                            {
                                "append": {
                                    "header": {
                                        "key": "grpc-timeout",
                                        "value": f"{int(values.json_deadline.total_seconds() * 1000)}m",
                                    },
                                    "append_action": "ADD_IF_ABSENT",
                                }
                            }
                        ]
                    },
                }
            }
        },
        _nowhere("none", "/"),
    ]


def _route(method: Method, values: GatewayValues) -> dict[str, Any]:
    action = _streaming(values) if method.streaming else _unary(values)
    route: dict[str, Any] = {
        "name": method.path,
        "match": {"path": f"/{method.path}", "grpc": {}},
        "route": {"cluster": method.role, **action},
        "decorator": {"operation": method.path, "propagate": False},
    }
    if method.streaming:
        # A stream may carry any number of documents; the service bounds each message.
        disabled = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
        route["typed_per_filter_config"] = {BODY_LIMIT: disabled}
    return route


def _unary(values: GatewayValues) -> dict[str, Any]:
    return {
        # The caller's own deadline rules, up to the limit.
        "timeout": "0s",
        "max_stream_duration": {
            "max_stream_duration": seconds(values.unary_limit),
            "grpc_timeout_header_max": seconds(values.unary_limit),
            # After a role's own answer (20 ms early), before its gRPC library ends the call without saying why.
            "grpc_timeout_header_offset": "0.010s",
        },
        # Only what cannot have reached the role is tried again here; the caller's library retries UNAVAILABLE.
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
    }


def _streaming(values: GatewayValues) -> dict[str, Any]:
    return {
        "timeout": "0s",
        "idle_timeout": seconds(values.stream_idle),
        "max_stream_duration": {"max_stream_duration": "0s"},
    }


def _nowhere(name: str, prefix: str) -> dict[str, Any]:
    return {"name": name, "match": {"prefix": prefix}, "direct_response": {"status": 404}}
