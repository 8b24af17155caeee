"""Envoy on this machine: its command, and when it is ready."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from deploy.envoy.binary import envoy_binary
from deploy.envoy.render import render
from deploy.envoy.values import GatewayValues
from deploy.local.processes import Command, Process, ProcessFailed

_ADMIN_TIMEOUT = 2.0


def gateway_command(values: GatewayValues, folder: Path, log: Path) -> Command:
    """Renders the configuration into a folder and says how to start Envoy with it."""
    configuration = render(values, folder)
    arguments = [
        str(envoy_binary()),
        "-c",
        str(configuration),
        "--concurrency",
        "1",
        # Hot restart shares memory by a number for the whole machine; without it stacks can run side by side.
        "--disable-hot-restart",
        "--log-level",
        "warning",
    ]
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    return Command("gateway", arguments, environment, log, folder)


def admin(values: GatewayValues, path: str) -> str:
    """What Envoy's administration page says; raises OSError when it does not answer."""
    with urllib.request.urlopen(f"http://{values.admin}/{path}", timeout=_ADMIN_TIMEOUT) as answer:
        return str(answer.read().decode())


def healthy_roles(values: GatewayValues) -> set[str]:
    """The roles that the gateway would route to now."""
    try:
        clusters: dict[str, Any] = json.loads(admin(values, "clusters?format=json"))
    except (OSError, ValueError):
        return set()
    return {
        cluster["name"]
        for cluster in clusters.get("cluster_statuses", [])
        for host in cluster.get("host_statuses", [])
        if host["health_status"] == {"eds_health_status": "HEALTHY"}
    }


def wait_ready(process: Process, values: GatewayValues, seconds: float, roles: frozenset[str] = frozenset()) -> None:
    """Waits until Envoy listens and routes to these roles. Raises ProcessFailed."""
    end = time.monotonic() + seconds
    while not (_listens(values) and roles <= healthy_roles(values)):
        if not process.running:
            raise ProcessFailed(f"the gateway ended with code {process.code}:\n{process.tail()}")
        if time.monotonic() > end:
            missing = ", ".join(sorted(roles - healthy_roles(values))) or "listeners"
            raise ProcessFailed(f"the gateway is not ready ({missing}):\n{process.tail()}")
        time.sleep(0.05)


def _listens(values: GatewayValues) -> bool:
    try:
        return "LIVE" in admin(values, "ready")
    except (OSError, urllib.error.URLError):
        return False
