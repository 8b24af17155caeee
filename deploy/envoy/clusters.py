"""Upstreams: the roles behind mutual TLS, and the collector of spans."""

from __future__ import annotations

from typing import Any

from deploy.envoy.values import Address, GatewayValues

TRUST_DOMAIN = "spiffe://lienthong.vn/"
COLLECTOR = "collector"
MEBIBYTE = 1024 * 1024


def clusters(values: GatewayValues) -> list[dict[str, Any]]:
    """One cluster a role, and the collector where there is one."""
    found = [_role(role, address, values) for role, address in sorted(values.roles.items())]
    if values.collector is not None:
        found.append(_common(COLLECTOR, values.collector, dns=values.dns))
    return found


def _common(name: str, address: Address, *, dns: bool) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STRICT_DNS" if dns else "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {
                        "initial_stream_window_size": MEBIBYTE,
                        "initial_connection_window_size": 16 * MEBIBYTE,
                        "connection_keepalive": {"interval": "20s", "timeout": "5s"},
                    }
                },
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {"socket_address": {"address": address.host, "port_value": address.port}}
                            }
                        }
                    ]
                }
            ],
        },
    }


def _role(role: str, address: Address, values: GatewayValues) -> dict[str, Any]:
    return _common(role, address, dns=values.dns) | {
        "transport_socket": _mutual_tls(role, values),
        "health_checks": [
            {
                "timeout": "1s",
                "interval": "1s",
                "interval_jitter": "0.1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "unhealthy_interval": "0.5s",
                "no_traffic_interval": "0.5s",
                "no_traffic_healthy_interval": "1s",
                "grpc_health_check": {},
            }
        ],
        # A role may hold 512 calls; what is beyond is refused here, at once, with a time to come back.
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 256, "max_pending_requests": 512, "max_requests": 512, "max_retries": 16}
            ]
        },
        # Only faults of the connection count: a role that answers UNAVAILABLE because a database is down must not be
        # ejected, or its callers would lose the reason. A sole instance comes back after a second.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 5,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 50,
        },
        # Nobody healthy means refuse at once, rather than try the unhealthy.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _mutual_tls(role: str, values: GatewayValues) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": f"{role}.lienthong.internal",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": values.workload_certificate},
                        "private_key": {"filename": values.workload_key},
                    }
                ],
                "validation_context": {
                    "trusted_ca": {"filename": values.workload_authority},
                    "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": TRUST_DOMAIN + role}}],
                },
            },
        },
    }
