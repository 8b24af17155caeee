"""At the kiosk, with the facility's command through a whole stack: a card's code and the national ID app's assertion lead to the person, and to the
consent request that waits for an answer.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from deploy.local.seed import post
from deploy.local.suite import LocalStack

pytestmark = pytest.mark.xdist_group("stack")


def agent(stack: LocalStack, facility: str, *arguments: str, shown: str = "") -> tuple[int, str]:
    """How a command of the facility ends, and what it prints; `shown` is what the scanner types."""
    (profile,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == facility]
    command = [sys.executable, "-m", "lienthong.agent", "--profile", profile, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, input=shown)
    return done.returncode, done.stdout + done.stderr


def card(person: dict[str, Any], name: str = "") -> str:
    """The printed code of the person's identity card, as a scanner reads it."""
    year, month, day = person["birth_date"].split("-")
    sex = "Nam" if person["sex"] == "male" else "Nữ"
    return f"{person['citizen_number']}||{name or person['full_name']}|{day}{month}{year}|{sex}|Hà Nội|10052021"


def assertion(stack: LocalStack, person: dict[str, Any]) -> str:
    """What the app shows when the person holds it to the reader."""
    citizen = stack.endpoints["citizen"]
    url = citizen["requests"].rpartition("/")[0] + "/assertions"
    said = post(url, {"account": person["account"], "pin": person["pin"]}, stack.endpoints["ca"])
    return str(said["assertion"])


def test_a_card_and_the_app_at_the_kiosk(stack: LocalStack) -> None:
    person = stack.endpoints["persons"][1]
    first, second = (one["code"] for one in stack.endpoints["facilities"][:2])
    code, told = agent(stack, first, "person", "check-in", shown=card(person))
    assert (code, told.splitlines()[0]) == (0, f"MATCH {person['person']}")
    assert "not available" not in told

    _, asked = agent(stack, first, "consent", "request", person["person"], "--wait", "0")
    (request,) = re.findall(r"consentRequests/[0-9a-f-]{36}", asked)[:1]
    shown = assertion(stack, person)
    code, told = agent(stack, first, "person", "check-in", "--app", shown=shown)
    assert code == 0, told
    assert f"consent request: {request} PENDING" in told
    # What another facility asks is nothing to this one, and the assertion was for the first.
    _, elsewhere = agent(stack, second, "person", "check-in", shown=card(person))
    assert request not in elsewhere
    code, refused = agent(stack, second, "person", "check-in", "--app", shown=shown)
    assert code != 0
    assert "APP_ASSERTION_INVALID" in refused


def test_somebody_else_with_the_card_is_not_the_person(stack: LocalStack) -> None:
    person = stack.endpoints["persons"][1]
    facility = stack.endpoints["facilities"][0]["code"]
    code, told = agent(stack, facility, "person", "check-in", shown=card(person, "Lê Thị Bưởi"))
    assert code == 1
    assert told.startswith("REVIEW")
    assert person["person"] not in told
    code, refused = agent(stack, facility, "person", "check-in", shown="https://example.org/menu")
    assert code != 0
    assert "CARD_CODE_UNREADABLE" in refused
