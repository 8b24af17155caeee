"""One whole stack for the system tests: five roles, Envoy and the outside world as child processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from deploy.local.story import tell
from deploy.local.suite import LocalStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack; every test in this folder runs in the same process, so there is one."""
    with LocalStack(tmp_path_factory.mktemp("stack") / "state") as running:
        yield running


@pytest.fixture(scope="session")
def told(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the story printed; it can be told once on a stack."""
    printed = StringIO()
    with redirect_stdout(printed):
        tell(stack.endpoints, tmp_path_factory.mktemp("story"))
    return printed.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path
