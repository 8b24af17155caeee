"""Somebody is brought in unconscious: the facility's doctors and an auditor with their commands through a whole stack, and the person's app."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from lienthong.samples.generator import Generator

from deploy.local.seed import post, sample_person
from deploy.local.suite import LocalStack, fetch

pytestmark = pytest.mark.xdist_group("stack")
_SECONDS = 20.0
WHY = "Found unconscious at the market, no relatives"
SECOND = "000901/BYT-CCHN"


class Doctors:
    """The doctors of one facility at their keyboard."""

    def __init__(self, stack: LocalStack, number: int) -> None:
        facility = stack.endpoints["facilities"][number]
        self.code: str = facility["code"]
        self.licence: str = facility["practitioner_licence"]
        self._profile: str = facility["profile"]

    def run(self, *arguments: str, licence: str = "") -> tuple[int, str]:
        """How a command ends, and what it prints."""
        who = ["--profile", self._profile, "--licence", licence or self.licence]
        command = [sys.executable, "-m", "lienthong.agent", *who, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def done(self, *arguments: str, licence: str = "") -> str:
        """What a command prints that goes well."""
        code, text = self.run(*arguments, licence=licence)
        assert code == 0, text
        return text

    def opened(self, person: str) -> str:
        """Opens an access; returns its name."""
        text = self.done("emergency", "request", person, "--reason", "unconscious", "--text", WHY)
        (name,) = re.findall(r"emergencyAccesses/[0-9a-f-]{36}", text)
        return str(name)


def auditor(stack: LocalStack, folder: Path, *arguments: str) -> str:
    """What an auditor's command prints that goes well."""
    operator = stack.endpoints["operators"]["auditor"]
    form = {"grant_type": "client_credentials"} | {name: operator[name] for name in ("client_id", "client_secret")}
    token = folder / "token"
    token.write_text(post(operator["token_endpoint"], form, stack.endpoints["ca"])["access_token"], "utf-8")
    options = {
        "--gateway": stack.endpoints["gateway"]["public_grpc"],
        "--authority": stack.endpoints["ca"],
        "--token-file": str(token),
    }
    given = [part for option in options.items() for part in option]
    command = [sys.executable, "-m", "lienthong.agent", "auditor", *given, "emergency", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told(stack: LocalStack, person: dict[str, Any], name: str, steps: set[str]) -> None:
    """Waits until the person's app shows these steps of an access."""
    citizen = stack.endpoints["citizen"]
    url = citizen["requests"].rpartition("/")[0] + "/notices"
    wanted, end = {f"EMERGENCY_ACCESS_{step}" for step in steps}, time.monotonic() + _SECONDS
    while True:
        inbox = fetch(url, stack.endpoints["ca"], {"x-account": person["account"], "x-pin": person["pin"]})
        shown = {one["type"] for one in inbox if one["resource"] == name}
        if shown == wanted:
            return
        assert time.monotonic() < end, shown
        time.sleep(0.1)


def test_from_the_opening_to_the_review(stack: LocalStack, folder: Path) -> None:
    person, doctors = stack.endpoints["persons"][2], Doctors(stack, 1)
    name = doctors.opened(person["person"])
    told(stack, person, name, {"OPENED"})
    code, text = doctors.run("emergency", "confirm", name)
    assert (code, "SECOND_FACTOR_REQUIRED" in text) == (1, True), text
    code, text = doctors.run("emergency", "widen", name, "--text", WHY)
    assert (code, "EMERGENCY_ACCESS_UNCONFIRMED" in text) == (1, True), text
    assert " CONFIRMED " in doctors.done("emergency", "confirm", name, licence=SECOND)
    assert " WIDENED " in doctors.done("emergency", "widen", name, "--text", WHY)
    told(stack, person, name, {"OPENED", "CONFIRMED", "WIDENED"})
    shown = doctors.done("emergency", "show", name)
    assert SECOND in shown
    assert re.search(r"person told {2}\d", shown)
    assert " ENDED " in doctors.done("emergency", "end", name)
    assert name in doctors.done("emergency", "list")
    assert name not in Doctors(stack, 0).done("emergency", "list")
    assert name in auditor(stack, folder, "list", "--facility", doctors.code)
    finding = "The ambulance report says the same."
    assert "JUSTIFIED" in auditor(stack, folder, "review", name, "justified", "--finding", finding)
    assert name not in auditor(stack, folder, "list")
    assert f"{doctors.code} {doctors.licence}  opened " in auditor(
        stack, folder, "statistics", "--facility", doctors.code
    )
    told(stack, person, name, {"OPENED", "CONFIRMED", "WIDENED", "ENDED", "REVIEWED"})


def test_a_book_is_read_while_the_access_is_open_and_its_reads_are_counted(stack: LocalStack, folder: Path) -> None:
    person, hospital, elsewhere = stack.endpoints["persons"][2], Doctors(stack, 1), Doctors(stack, 0)
    file = folder / "episode.xml"
    file.write_bytes(Generator(9041).episode(sample_person(person), elsewhere.code, "3176").content)
    signed = folder / "signed"
    elsewhere.done("sign", str(file), "--out", str(signed))
    submitted = elsewhere.done("submit", str(signed / file.name))
    assert "accepted 1" in submitted, submitted
    read = ("records", "get", person["person"], "--basis", "emergency-19-1-a", "--out", str(folder / "book.json"))
    code, text = hospital.run(*read)
    assert (code, "REQUEST_EMERGENCY_ACCESS" in text) == (1, True), text
    name = hospital.opened(person["person"])
    hospital.done(*read)
    book = json.loads((folder / "book.json").read_text("utf-8"))
    assert f"organizations/{elsewhere.code}" in {one["organization"] for one in book["encounters"]}
    # What was opened for one doctor is nothing to another, nor on another ground.
    assert hospital.run(*read, licence=SECOND)[0] == 1
    assert hospital.run("records", "get", person["person"], "--out", str(folder / "none.json"))[0] == 1
    assert "reads     1" in hospital.done("emergency", "show", name)
    hospital.done("emergency", "end", name)
    assert hospital.run(*read)[0] == 1


def test_one_doctor_alone_confirms_with_a_second_factor(stack: LocalStack) -> None:
    person, doctors = stack.endpoints["persons"][3], Doctors(stack, 2)
    name = doctors.opened(person["person"])
    assert " CONFIRMED " in doctors.done("emergency", "confirm", name, "--second-factor")
