"""A patient without papers, with the agent's commands through a whole stack: the wristband is issued offline, documents are filed under it and
held, the patient is identified, and the documents can be read.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lienthong.client import wristband
from lienthong.client.temporary_identifier import parse
from lienthong.samples.generator import Generator

from deploy.local.seed import sample_person
from deploy.local.suite import LocalStack

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "19001"
VIETNAM = timezone(timedelta(hours=7))
_SECONDS = 60.0
_PAUSE = 0.5


def agent(stack: LocalStack, *arguments: str, code: int = 0) -> str:
    """What a command of the facility prints; it must end with `code`."""
    (profile,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == FACILITY]
    command = [sys.executable, "-m", "lienthong.agent", "--profile", profile, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def states(stack: LocalStack, document: str) -> list[str]:
    return re.findall(r"Z  ([A-Z]+)", agent(stack, "status", document))


def signed(stack: LocalStack, folder: Path, number: str, sex: str, seed: int) -> Path:
    """A signed episode of a patient of whom only the wristband and the sex are known."""
    drawn = sample_person(stack.endpoints["persons"][2])
    nobody = replace(drawn, full_name="Không rõ", sex=sex, citizen_number=number, insurance_card="", phone="")
    episode = Generator(seed).episode(nobody, FACILITY, "3176", ended=datetime.now(VIETNAM))
    path = folder / f"{episode.document_id.replace('/', '_')}.xml"
    path.write_bytes(episode.content)
    agent(stack, "sign", str(path), "--out", str(folder / "signed"))
    return folder / "signed" / path.name


def reached(stack: LocalStack, document: str, state: str) -> bool:
    """Waits until the document has come to a state."""
    end = time.monotonic() + _SECONDS
    while state not in states(stack, document) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return state in states(stack, document)


def known(stack: LocalStack) -> dict[str, Any]:
    person: dict[str, Any] = stack.endpoints["persons"][2]
    return person


def test_from_the_wristband_to_the_readable_document(stack: LocalStack, folder: Path) -> None:
    person = known(stack)
    sex = sample_person(person).sex
    word = {"1": "male", "2": "female"}[sex]
    age = str(datetime.now(VIETNAM).year - int(person["birth_date"][:4]))
    offline = ("person", "register-provisional", "--offline", "--kind", "emergency", "--sex", word, "--age", age)
    number, alias = agent(stack, *offline).strip().split(" ", 1)
    assert (parse(number).facility, wristband.parse(alias)) == (FACILITY, alias)

    # The document goes out before the registration does: it makes the entry, and is held.
    path = signed(stack, folder, parse(number).compact, sex, 41)
    agent(stack, "submit", str(path))
    assert reached(stack, path.stem, "HELD")
    uploaded = agent(stack, "person", "upload")
    name = uploaded.split()[-1]
    assert uploaded.strip() == f"{number} {alias} {name}"
    assert agent(stack, "person", "upload") == ""
    (line,) = [one for one in agent(stack, "person", "worklist").splitlines() if number in one]
    assert line.split()[0] == name
    assert alias in line
    assert "until" in line
    assert "told" in agent(stack, "person", "notice", name)

    # A mere word with another name is for a steward; the card is not.
    facts = ("--born", person["birth_date"], "--sex", word)
    stranger = ("--number", person["citizen_number"], "--name", "Lê Thị Bưởi", "--evidence", "patient-statement")
    assert "REVIEW reviewTasks/" in agent(stack, "person", "identify", name, *stranger, *facts, code=1)
    assert "RETRIEVABLE" not in states(stack, path.stem)
    card = ("--number", person["citizen_number"], "--name", person["full_name"], "--evidence", "card-code")
    told = agent(stack, "person", "identify", name, *card, *facts, "--assurance", "card-code")
    assert told.startswith(f"LINKED {person['person']} personLinks/")
    assert reached(stack, path.stem, "RETRIEVABLE")
    assert number not in agent(stack, "person", "worklist")

    # What comes late under the wristband is not held.
    late = signed(stack, folder, parse(number).compact, sex, 42)
    agent(stack, "submit", str(late))
    assert reached(stack, late.stem, "RETRIEVABLE")
    assert "HELD" not in states(stack, late.stem)


def test_a_newborn_of_a_sample_person(stack: LocalStack) -> None:
    born = (datetime.now(VIETNAM) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M%z")
    mother = stack.endpoints["persons"][0]["person"]
    child = ("person", "newborn", "--mother", mother, "--born", born, "--sex", "female")
    first = agent(stack, *child)
    assert agent(stack, *child) == first
    twin = agent(stack, *child, "--order", "2")
    assert len({mother, first.split()[1], twin.split()[1]}) == 3
    assert "NEWBORN_CONFLICT" in agent(stack, *child[:-1], "male", code=1)
