"""The two doors: one for facilities, who show a client certificate, and one for citizens and officers, who cannot."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from deploy.envoy.clusters import COLLECTOR, MEBIBYTE, TRUST_DOMAIN
from deploy.envoy.contracts import Method, public_methods
from deploy.envoy.replies import local_replies
from deploy.envoy.routes import BODY_LIMIT, HEADER_MUTATION, TRANSCODER, routes
from deploy.envoy.values import Address, GatewayValues, Issuer, Rate

TRACE_HEADER = "lienthong-trace-id"
"""Response header that names the trace; the same as the services' trailer."""
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_UNREACHABLE_RATE = 1_000_000


def listeners(values: GatewayValues, contracts: FileDescriptorSet) -> list[dict[str, Any]]:
    """Both listeners."""
    return [
        _listener("facility", values.facility_listener, values, contracts, _facility_tls(values)),
        _listener("public", values.public_listener, values, contracts, _public_tls(values)),
    ]


def _listener(
    name: str, address: Address, values: GatewayValues, contracts: FileDescriptorSet, tls: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "address": {"socket_address": {"address": address.host, "port_value": address.port}},
        "per_connection_buffer_limit_bytes": MEBIBYTE,
        "filter_chains": [
            {
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
                "transport_socket_connect_timeout": "10s",
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(name, values, contracts),
                    }
                ],
            }
        ],
    }


def _server_tls(values: GatewayValues) -> dict[str, Any]:
    return {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [
            {
                "certificate_chain": {"filename": values.edge_certificate},
                "private_key": {"filename": values.edge_key},
            }
        ],
    }


_DOWNSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def _facility_tls(values: GatewayValues) -> dict[str, Any]:
    prefix = f"{TRUST_DOMAIN}facility/"
    return {
        "@type": _DOWNSTREAM_TLS,
        "require_client_certificate": True,
        "common_tls_context": _server_tls(values)
        | {
            "validation_context": {
                "trusted_ca": {"filename": values.facility_authority},
                # A certificate of a role opens no door here.
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"prefix": prefix}}],
            }
        },
    }


def _public_tls(values: GatewayValues) -> dict[str, Any]:
    return {"@type": _DOWNSTREAM_TLS, "common_tls_context": _server_tls(values)}


def _connection_manager(name: str, values: GatewayValues, contracts: FileDescriptorSet) -> dict[str, Any]:
    facility = name == "facility"
    methods = public_methods(contracts)
    forwarded: dict[str, Any] = (
        {"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"uri": True}}
        if facility
        else {"forward_client_cert_details": "SANITIZE"}
    )
    return {
        "@type": (
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": name,
        "codec_type": "AUTO",
        "server_name": "lienthong",
        "use_remote_address": True,
        # Nobody out there is internal, also not on loopback: x-envoy-* headers of callers are removed.
        "internal_address_config": {"cidr_ranges": []},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "idle_timeout": "900s",
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": 100,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 256,
            "initial_stream_window_size": MEBIBYTE,
            "initial_connection_window_size": 4 * MEBIBYTE,
            "connection_keepalive": {"interval": "60s", "timeout": "20s"},
        },
        "stream_idle_timeout": "300s",
        "request_headers_timeout": "10s",
        "max_request_headers_kb": 32,
        **forwarded,
        "local_reply_config": local_replies(values.largest_message),
        "access_log": [_access_log(name, values)],
        **_tracing(values),
        "http_filters": _filters(facility, values, methods),
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": "api", "domains": ["*"], "routes": routes(methods, values)}],
        },
    }


def _filters(facility: bool, values: GatewayValues, methods: tuple[Method, ...]) -> list[dict[str, Any]]:
    """Outermost first: the trace id goes on every answer, and a caller over its rate is refused before anything is
    computed.
    """
    services = sorted({method.service for method in methods})
    issuers = values.facility_issuers if facility else values.public_issuers
    return [
        {"name": HEADER_MUTATION, "typed_config": _trace_header()},
        {
            "name": "envoy.filters.http.local_ratelimit",
            "typed_config": _rate_limit(facility, values.facility_rate if facility else values.public_rate),
        },
        {"name": "envoy.filters.http.jwt_authn", "typed_config": _tokens(issuers, values.audience)},
        {"name": TRANSCODER, "typed_config": _transcoder(values, services)},
        {
            "name": BODY_LIMIT,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
                "max_request_bytes": values.largest_message,
            },
        },
        {
            "name": "envoy.filters.http.grpc_stats",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
                "individual_method_stats_allowlist": {
                    "services": [
                        {"name": service, "method_names": [one.name for one in methods if one.service == service]}
                        for service in services
                    ]
                },
                "enable_upstream_stats": True,
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                "suppress_envoy_headers": True,
            },
        },
    ]


def _trace_header() -> dict[str, Any]:
    header = {"key": TRACE_HEADER, "value": "%TRACE_ID%"}
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {
            "response_mutations": [{"append": {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]
        },
    }


def _rate_limit(facility: bool, rate: Rate) -> dict[str, Any]:
    """A bucket for each caller: by the facility of the client certificate, or by address. No service is asked."""
    key = "facility" if facility else "remote_address"
    by_certificate = {
        "extension": {
            "name": "envoy.rate_limit_descriptors.expr",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
                "descriptor_key": key,
                "text": "connection.uri_san_peer_certificate",
            },
        }
    }
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": key,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        # The bucket of all callers together never runs dry; each caller's own does.
        "token_bucket": _bucket(Rate(_UNREACHABLE_RATE, _UNREACHABLE_RATE)),
        "rate_limits": [{"actions": [by_certificate if facility else {"remote_address": {}}]}],
        # An entry without a value stands for a bucket of its own for each value seen.
        "descriptors": [{"entries": [{"key": key}], "token_bucket": _bucket(rate)}],
        "max_dynamic_descriptors": 20_000,
        "rate_limited_as_resource_exhausted": True,
    }


def _bucket(rate: Rate) -> dict[str, Any]:
    return {"max_tokens": rate.burst, "tokens_per_fill": rate.per_second, "fill_interval": "1s"}


def _tokens(issuers: tuple[Issuer, ...], audience: str) -> dict[str, Any]:
    names = {f"issuer-{number}": issuer for number, issuer in enumerate(issuers)}
    requirements = [{"provider_name": name} for name in names]
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {
            name: {
                "issuer": issuer.issuer,
                "audiences": [audience],
                "local_jwks": {"filename": issuer.jwks},
                # The services verify the token again.
                "forward": True,
                "require_expiration": True,
                "clock_skew_seconds": 60,
                # Named, so that a token in a query parameter is not looked at.
                "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
                "jwt_cache_config": {"jwt_cache_size": 4096},
            }
            for name, issuer in names.items()
        },
        "rules": [
            {
                "match": {"prefix": "/"},
                "requires": requirements[0]
                if len(requirements) == 1
                else {"requires_any": {"requirements": requirements}},
            }
        ],
    }


def _transcoder(values: GatewayValues, services: list[str]) -> dict[str, Any]:
    # Bytes stand as base64 in JSON, which makes them a third longer.
    largest = values.largest_message * 4 // 3 + MEBIBYTE
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": values.descriptors,
        "services": services,
        "convert_grpc_status": True,
        "request_validation_options": {"reject_unknown_query_parameters": True},
        "max_request_body_size": largest,
        "max_response_body_size": largest,
    }


def _tracing(values: GatewayValues) -> dict[str, Any]:
    if values.collector is None:
        return {}
    return {
        "tracing": {
            "random_sampling": {"value": values.sampled},
            "spawn_upstream_span": True,
            # Paths of JSON requests hold names of persons: only the slash is kept.
            "max_path_tag_length": 1,
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "grpc_service": {"envoy_grpc": {"cluster_name": COLLECTOR}, "timeout": "1s"},
                    "service_name": "lienthong-gateway",
                },
            },
        }
    }


def _access_log(name: str, values: GatewayValues) -> dict[str, Any]:
    """One line a call. No path, no query, no address of a person, no details: each may tell who was treated."""
    line = {
        "at": "%START_TIME%",
        "listener": name,
        "method": "%ROUTE_NAME%",
        "facility": "%DOWNSTREAM_PEER_URI_SAN%",
        "http": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS%",
        "flags": "%RESPONSE_FLAGS%",
        "milliseconds": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "trace_id": "%TRACE_ID%",
    }
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": values.access_log,
            "log_format": {"json_format": line},
        },
    }
