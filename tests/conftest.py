"""Fixtures by topic live in tests/fixtures."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

# Before gRPC is loaded. Its handlers run in every child between fork and exec, and may hang there while channels are open; no test forks to
# stay.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc
import psycopg
import pytest

from services.chassis import log

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.identities",
    "tests.fixtures.person_facts",
    "tests.fixtures.person_index",
    "tests.fixtures.decision_point",
]
_UNIT = Path(__file__).parent / "unit"


@pytest.fixture(autouse=True)
def every_line_of_the_log() -> None:
    """Roles that ran in this process before may have left the threshold high."""
    log.set_level("info")


@pytest.fixture(autouse=True)
def no_sockets_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests are pure: one that opens a connection fails. Patched, because there is no seam below the standard
    library; gRPC and libpq open theirs in C and are stopped at their own doors.
    """
    if not request.path.is_relative_to(_UNIT):
        return

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a unit test opened a connection")

    for method in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, method, refuse)
    for door in ("secure_channel", "insecure_channel"):
        monkeypatch.setattr(grpc, door, refuse)
        monkeypatch.setattr(grpc.aio, door, refuse)
    for connection in (psycopg.Connection, psycopg.AsyncConnection):
        monkeypatch.setattr(connection, "connect", refuse)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long values lend no name to a test: some hold random keys, and every worker must name the tests alike."""
    return argname if isinstance(val, str | bytes) and len(val) > 60 else None
