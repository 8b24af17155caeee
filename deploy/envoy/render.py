"""Puts the gateway's configuration together. The result is plain data; Envoy reads it as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.envoy.clusters import clusters
from deploy.envoy.contracts import load
from deploy.envoy.listeners import listeners
from deploy.envoy.values import GatewayValues

CONFIGURATION = "envoy.json"
DESCRIPTORS = "descriptors.binpb"


def bootstrap(values: GatewayValues) -> dict[str, Any]:
    """Envoy's bootstrap configuration."""
    contracts = load()
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": {"socket_address": {"address": values.admin.host, "port_value": values.admin.port}}},
        "static_resources": {"listeners": listeners(values, contracts), "clusters": clusters(values)},
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {
                        "tracing.opentelemetry.flush_interval_ms": 500,
                        "tracing.opentelemetry.min_flush_spans": 50,
                    },
                }
            ]
        },
        "overload_manager": {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.fixed_heap",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                        "max_heap_size_bytes": values.heap,
                    },
                },
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": (
                            "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3"
                            ".DownstreamConnectionsConfig"
                        ),
                        "max_active_downstream_connections": values.connections,
                    },
                },
            ],
            "actions": [
                {
                    "name": "envoy.overload_actions.stop_accepting_requests",
                    "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": 0.95}}],
                }
            ],
        },
    }


def render(values: GatewayValues, folder: Path) -> Path:
    """Writes configuration and descriptors into a folder; returns the configuration's path. `values.descriptors`
    stays as given when it is set, so that the files may be mounted elsewhere.
    """
    descriptors = folder / DESCRIPTORS
    descriptors.write_bytes(load().SerializeToString(deterministic=True))
    values = replace(values, descriptors=values.descriptors or str(descriptors))
    configuration = folder / CONFIGURATION
    configuration.write_text(json.dumps(bootstrap(values), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return configuration
