"""The stack as its commands show it: it comes up, mends itself, and goes without a trace, even when its supervisor
was killed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.processes import start_time
from deploy.local.suite import ROOT


def command(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m deploy.local`, with an empty home and nothing else of the caller's environment."""
    home = state.parent / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", "--state", str(state), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def processes(state: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((state / "processes.json").read_text("utf-8"))
    return known


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("up") / "state"
    try:
        up = command(folder, "up")
        assert up.returncode == 0, up.stderr
        yield folder
    finally:
        command(folder, "down")


def call(endpoints: dict[str, Any], path: str) -> tuple[int, dict[str, Any]]:
    """As a stranger would who has endpoints.json and the contracts only."""
    facility = endpoints["facilities"][0]
    context = ssl.create_default_context(cafile=endpoints["ca"])
    context.load_cert_chain(facility["client_certificate"], facility["client_key"])
    form = {"content-type": "application/x-www-form-urlencoded"}
    _, granted = fetch(facility["token_endpoint"], context, form, "grant_type=client_credentials")
    bearer = {"authorization": f"Bearer {granted['access_token']}"}
    return fetch(endpoints["gateway"]["json"] + path, context, bearer)


def fetch(url: str, context: ssl.SSLContext, headers: dict[str, str], body: str = "") -> tuple[int, dict[str, Any]]:
    """One HTTPS request; POST when there is a body."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(target.netloc, timeout=10, context=context)
    with contextlib.closing(connection):
        connection.request("POST" if body else "GET", target.path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_stranger_can_use_what_endpoints_says(state: Path) -> None:
    endpoints = json.loads((state / "endpoints.json").read_text("utf-8"))
    assert (state / "endpoints.json").stat().st_mode & 0o077 == 0
    assert {one["level"] for one in endpoints["facilities"]} == {"INITIAL", "BASIC", "SPECIALISED"}
    assert endpoints["persons"]
    for one in endpoints["facilities"]:
        for name in ("client_certificate", "client_key", "signing_certificate", "signing_key", "signing_keystore"):
            assert Path(one[name]).is_file()
    code = endpoints["facilities"][1]["code"]
    status, answer = call(endpoints, f"/v1/organizations/{code}")
    assert (status, answer["organization"]["code"]) == (200, code)
    assert command(state, "status").returncode == 0
    again = command(state, "up")
    assert again.returncode == 1
    assert "in use" in again.stderr


def test_role_that_was_killed_comes_back_on_its_own(state: Path) -> None:
    endpoints = json.loads((state / "endpoints.json").read_text("utf-8"))
    former, _ = processes(state)["processes"]["identity"]
    os.kill(former, signal.SIGKILL)
    statuses = []
    end = time.monotonic() + 60
    while time.monotonic() < end:
        status, answer = call(endpoints, "/v1/organizations")
        statuses.append(status)
        if status == 200 and processes(state)["processes"]["identity"][0] != former:
            break
        assert status in (200, 503), answer
        time.sleep(0.1)
    assert statuses[-1] == 200
    assert processes(state)["processes"]["identity"][0] != former


def test_nothing_is_left_even_when_the_supervisor_was_killed(state: Path) -> None:
    known = processes(state)
    holder, _ = known["holder"]
    os.kill(holder, signal.SIGKILL)
    end = time.monotonic() + 10
    while start_time(holder) and time.monotonic() < end:
        time.sleep(0.05)
    assert command(state, "status").returncode == 1
    assert command(state, "down").returncode == 0
    assert os.listdir(state.parent) == ["home"]
    assert os.listdir(state.parent / "home") == []
    for pid, started in known["processes"].values():
        assert start_time(pid) != started
    for folder in known["folders"]:
        assert not Path(folder).exists()


@pytest.mark.parametrize("name", ["up", "down"])
def test_folder_of_somebody_else_stays(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("all of it", "utf-8")
    refused = command(precious, name)
    assert refused.returncode == 1
    assert "not the folder of a local stack" in refused.stderr
    assert (precious / "thesis.txt").read_text("utf-8") == "all of it"


def test_state_that_is_no_folder_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", "utf-8")
    refused = command(file, "up")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert file.read_text("utf-8") == "mine"
