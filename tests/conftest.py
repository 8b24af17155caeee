"""Fixtures by topic live in tests/fixtures."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.identities"]
_UNIT = Path(__file__).parent / "unit"


@pytest.fixture(autouse=True)
def no_sockets_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests are pure: one that opens a connection fails."""
    if not request.path.is_relative_to(_UNIT):
        return

    def refuse(*_: Any) -> None:
        raise AssertionError("a unit test opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
