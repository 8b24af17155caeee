"""Every RPC, feed, export, report and command that could tell of a person is classified in `disclosure.csv`, and what the classes promise is
held against the contracts, the access table and the code. Who adds one must decide on what its answer rests.

Classes: PERSON_DATA and SUBJECT_SELF rest on a decision and name it; OWN_SUBMISSION answers what the caller itself sent; IDENTIFICATION answers
which entry was meant; PSEUDONYMS names entries and no value; INTERNAL_FEED and INTERNAL_FACTS stay between roles; CONTROL_RECORD is what controls
reading (permissions, ledger, requests); DECISION is the decision point; PUBLIC_REGISTER is public by law; NO_PERSON_DATA could not tell of anybody.
OUTBOUND leaves without an RPC of ours, COMMAND is run by an operator on the spot.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from tests.contracts.test_refusals import ROLES, services_of, written_down

TABLE = Path(__file__).with_name("disclosure.csv")
SERVICES = Path(__file__).resolve().parents[2] / "services"
RESTING = {"PERSON_DATA", "SUBJECT_SELF", "DECISION"}
INTERNAL = {"INTERNAL_FEED", "INTERNAL_FACTS"}
CLASSES = (
    RESTING
    | INTERNAL
    | {
        "OWN_SUBMISSION",
        "IDENTIFICATION",
        "PSEUDONYMS",
        "CONTROL_RECORD",
        "PUBLIC_REGISTER",
        "NO_PERSON_DATA",
        "OUTBOUND",
        "COMMAND",
    }
)
# Messages and fields that describe somebody. Dates and texts of papers are in the messages of papers.
DESCRIBING = {
    "lienthong.identity.v1.Demographics",
    "lienthong.identity.v1.PersonIdentifier",
    "lienthong.identity.v1.PersonQuery",
    "lienthong.identity.v1.ReviewField",
    "lienthong.type.v1.HumanName",
    "lienthong.type.v1.Identifier",
    "lienthong.referrals.v1.Referral",
    "lienthong.referrals.v1.ReferralContent",
    "lienthong.referrals.v1.Appointment",
    "lienthong.records.v1.Document",
    "lienthong.records.v1.HealthBook",
}
DESCRIPTIVE = re.compile(r"(signed_content|phone|birth_date|death_date|alias|human_name|mother_name|content)")
NAMING = re.compile(r"(.+_)?persons?|superseded|redirected_from|mother|ward|guardian")
# Fields that a shared message has and these answers leave empty; tests/integration/identity/test_review_desk.py looks.
EMPTIED = {
    "lienthong.identity.v1.PersonLinkService/ListReviewTasks": {"lienthong.identity.v1.ReviewCandidate.fields"},
    "lienthong.identity.v1.PersonLinkService/DecideReviewTask": {"lienthong.identity.v1.ReviewCandidate.fields"},
}


@dataclass(frozen=True)
class Row:
    """How one method is classified: `decision` is the path of the field of the answer that names the decision."""

    method: str
    kind: str
    decision: str
    reason: str


def rows() -> list[Row]:
    """The table."""
    with TABLE.open(encoding="utf-8") as file:
        return [Row(row["method"], row["class"], row["decision"], row["reason"]) for row in csv.DictReader(file)]


def methods() -> dict[str, MethodDescriptor]:
    """Every method of every contract."""
    return {
        f"{service.full_name}/{method.name}": method
        for role in ROLES
        for service in services_of(role)
        for method in service.methods
    }


def fields(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """Every field that an answer may hold, however deep."""
    if message.full_name in seen:
        return
    for field in message.fields:
        yield field
        if field.message_type is not None:
            yield from fields(field.message_type, seen | {message.full_name})


def describing(method: str) -> set[str]:
    """Fields by which a method's answer may describe somebody."""
    return {
        field.full_name
        for field in fields(METHODS[method].output_type)
        if (field.message_type is not None and field.message_type.full_name in DESCRIBING)
        or (field.message_type is None and DESCRIPTIVE.fullmatch(field.name))
    } - EMPTIED.get(method, set())


def naming(method: str) -> set[str]:
    """Fields by which a method's answer may name an entry."""
    return {field.full_name for field in fields(METHODS[method].output_type) if NAMING.fullmatch(field.name)}


BY_METHOD = {row.method: row for row in rows()}
METHODS = methods()
RPCS = sorted(METHODS.keys() & BY_METHOD.keys())


def test_every_method_is_classified_once() -> None:
    listed = [row.method for row in rows()]
    assert len(listed) == len(set(listed))
    assert {name for name in listed if ":" not in name} == METHODS.keys()
    assert {row.kind for row in rows()} <= CLASSES


def test_what_needs_no_decision_says_why() -> None:
    for row in rows():
        needs_reason = row.kind not in {"PERSON_DATA", "SUBJECT_SELF", "NO_PERSON_DATA"}
        assert bool(row.reason.strip()) == needs_reason, row.method
        assert bool(row.decision) == (row.kind in RESTING), row.method


@pytest.mark.parametrize("name", [name for name in RPCS if BY_METHOD[name].kind in RESTING])
def test_what_rests_on_a_decision_names_it(name: str) -> None:
    *path, last = BY_METHOD[name].decision.split(".")
    message: Descriptor | None = METHODS[name].output_type
    for step in path:
        assert message is not None
        message = message.fields_by_name[step].message_type
    assert message is not None
    field = message.fields_by_name[last]
    a_decision = field.message_type is not None and field.message_type.full_name == "lienthong.consent.v1.Decision"
    assert a_decision or field.type == FieldDescriptor.TYPE_STRING
    assert field.is_repeated == (last == "decisions")


@pytest.mark.parametrize("name", [name for name in RPCS if BY_METHOD[name].kind == "NO_PERSON_DATA"])
def test_what_is_said_to_tell_of_nobody_has_no_place_for_it(name: str) -> None:
    assert describing(name) | naming(name) == set()


@pytest.mark.parametrize("name", [name for name in RPCS if BY_METHOD[name].kind in {"PSEUDONYMS", *INTERNAL}])
def test_names_of_entries_stay_with_those_who_keep_the_index(name: str) -> None:
    kind, allowed = BY_METHOD[name].kind, written_down().get(name, set())
    callers = {principal for workload, principal in allowed if workload == "gateway"}
    if kind in INTERNAL:
        assert callers == set()
        return
    assert describing(name) == set()
    assert callers <= {"STEWARD", "AUDITOR", "ADMIN", "MINISTRY"}


def test_only_a_decision_the_callers_own_words_or_control_lets_describing_answers_out() -> None:
    unguarded = {
        name
        for name in RPCS
        if describing(name)
        and BY_METHOD[name].kind
        not in {*RESTING, *INTERNAL, "OWN_SUBMISSION", "IDENTIFICATION", "PUBLIC_REGISTER", "CONTROL_RECORD"}
    }
    assert unguarded == set()


def test_the_search_for_describing_fields_finds_them() -> None:
    """The net of this test has no hole where the largest fish are."""
    for name in ("PersonService/GetPerson", "PersonLinkService/ClaimReviewTask"):
        assert describing(f"lienthong.identity.v1.{name}")
    for name in ("DocumentService/GetDocument", "DocumentService/GetHealthBook", "ExportService/ExportPersonData"):
        assert describing(f"lienthong.records.v1.{name}")
    assert naming("lienthong.identity.v1.PersonLinkService/GetPersonLink")


def test_everything_that_leaves_by_itself_or_by_command_is_classified() -> None:
    found = set()
    for path in sorted(SERVICES.glob("*/__main__.py")):
        role = path.parent.name
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Relay":
                found.add(f"relay:{role}/{ast.unparse(node.args[1])}")
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "commands":
                assert isinstance(node.value, ast.Dict)
                found |= {f"command:{role}/{ast.literal_eval(key)}" for key in node.value.keys if key is not None}
    assert {name for name in BY_METHOD if ":" in name} == found
