"""A child of eleven through a whole stack: the mother reads the book, the app asks her, the child agrees too, and with her office all of it ends."""

from __future__ import annotations

import json
import time
import uuid
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.type import date_pb2
from lienthong.client.channel import connect_sync
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import (
    consent_pb2,
    consent_service_pb2,
    consent_service_pb2_grpc,
    guardianship_service_pb2,
    guardianship_service_pb2_grpc,
)
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.records.v1 import document_service_pb2, document_service_pb2_grpc
from lienthong.samples.generator import Generator
from lienthong.samples.people import Person
from lienthong.type.v1 import access_context_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

from deploy.local.seed import post
from deploy.local.story import TARGET, StoryFailed, Teller
from deploy.local.suite import LocalStack, fetch

pytestmark = pytest.mark.xdist_group("stack")
_SECONDS = 20.0
SOURCE = "19001"
OWN = access_context_pb2.AccessContext(
    purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST, legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA
)


def steward(stack: LocalStack) -> Any:
    """A steward's channel."""
    operator = stack.endpoints["operators"]["steward"]
    form = {"grant_type": "client_credentials"} | {name: operator[name] for name in ("client_id", "client_secret")}
    token = post(operator["token_endpoint"], form, stack.endpoints["ca"])["access_token"]
    public = stack.endpoints["gateway"]["public_grpc"]
    return connect_sync(public, authority=Path(stack.endpoints["ca"]), token=str(token))


def child_of(years: int, seed: int) -> Person:
    """A generated person of an age, and old enough for a year of care."""
    generator, today = Generator(seed), date.today()  # noqa: DTZ011 - only the year matters
    while (person := generator.person()).birth.year != today.year - years:
        pass
    return person


def enrolled(stack: LocalStack, person: Person) -> dict[str, Any]:
    """Registered by the steward, with an account at the app."""
    request = person_service_pb2.RegisterPersonRequest(
        request_id=str(uuid.uuid4()),
        identifiers=[
            identifier_pb2.Identifier(type=identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID, value=person.citizen_number),
            identifier_pb2.Identifier(
                type=identifier_pb2.IDENTIFIER_TYPE_HEALTH_INSURANCE, value=person.insurance_card
            ),
        ],
        demographics=person_pb2.Demographics(
            human_name=human_name_pb2.HumanName(text=person.full_name),
            birth_date=date_pb2.Date(year=person.birth.year, month=person.birth.month, day=person.birth.day),
            sex=administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE
            if person.sex == "1"
            else administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
        ),
        assurance=person_pb2.IDENTIFIER_ASSURANCE_REGISTRY,
    )
    with steward(stack) as channel:
        stub: Any = person_service_pb2_grpc.PersonServiceStub(channel)
        name: str = stub.RegisterPerson(request, timeout=_SECONDS).person.name
    admin = stack.endpoints["operators"]["admin"]["client_secret"]
    accounts = stack.endpoints["citizen"]["requests"].rpartition("/")[0] + "/accounts"
    post(accounts, {"client_secret": admin, "account": name, "pin": "246810"}, stack.endpoints["ca"])
    return {"person": name, "account": name, "pin": "246810"}


def book(teller: Teller, reader: dict[str, Any], person: str) -> Any:
    """What a citizen reads of a person, or the reason why not."""
    request = document_service_pb2.GetHealthBookRequest(person=person, context=OWN)
    with teller.citizen(reader) as channel:
        stub: Any = document_service_pb2_grpc.DocumentServiceStub(channel)
        try:
            return stub.GetHealthBook(request, timeout=_SECONDS).health_book
        except grpc.RpcError as error:
            return from_rpc_error(error).reason


def asked(stack: LocalStack, person: dict[str, Any], answer: str = "") -> int:
    """How many requests the app shows somebody; all of them are answered."""
    url, ca = stack.endpoints["citizen"]["requests"], stack.endpoints["ca"]
    waiting = fetch(url, ca, {"x-account": person["account"], "x-pin": person["pin"]})
    for one in waiting if answer else []:
        post(f"{url}/{one['id']}/{answer}", {"pin": person["pin"]}, ca)
    return len(waiting)


def test_a_childs_book_and_permissions(stack: LocalStack, folder: Path) -> None:
    teller = Teller(stack.endpoints, folder)
    drawn, mother = child_of(11, 4711), stack.endpoints["persons"][4]
    child = enrolled(stack, drawn)
    file = folder / "episode.xml"
    file.write_bytes(Generator(9042).episode(drawn, SOURCE, "3176").content)
    teller.agent(SOURCE, "sign", str(file), "--out", str(folder / "signed"))
    teller.agent(SOURCE, "submit", str(folder / "signed" / file.name))

    assert book(teller, mother, child["person"]) == "READ_NOT_PERMITTED"
    refused = teller.agent(TARGET, "consent", "request", child["person"], "--days", "7", code=1)
    assert "NO_GUARDIAN" in refused
    guardianship = guardianship_service_pb2.Guardianship(
        ward=child["person"],
        guardian=mother["person"],
        kind=guardianship_service_pb2.GUARDIANSHIP_KIND_PARENT,
        evidence="BIRTH_CERTIFICATE",
    )
    with steward(stack) as channel:
        offices: Any = guardianship_service_pb2_grpc.GuardianshipServiceStub(channel)
        office = offices.RegisterGuardianship(
            guardianship_service_pb2.RegisterGuardianshipRequest(
                request_id=str(uuid.uuid4()), guardianship=guardianship
            ),
            timeout=_SECONDS,
        ).guardianship
    assert office.period.end_time.ToDatetime().year in {drawn.birth.year + 15, drawn.birth.year + 16}
    shown = book(teller, mother, child["person"])
    assert f"organizations/{SOURCE}" in {one.organization for one in shown.encounters}

    teller.agent(TARGET, "consent", "request", child["person"], "--days", "7")
    assert asked(stack, child) == 0
    assert asked(stack, mother, "approve") == 1
    read = ("records", "get", child["person"], "--out", str(folder / "book.json"), "--reason", "visit")
    consent = awaited(teller, mother, child["person"])
    assert "AWAIT_AGREEMENT" in teller.agent(TARGET, *read, practitioner=True, code=1)
    with teller.citizen(child) as channel:
        stub: Any = consent_service_pb2_grpc.ConsentServiceStub(channel)
        agreed = stub.AgreeToConsent(
            consent_service_pb2.AgreeToConsentRequest(request_id=str(uuid.uuid4()), name=consent), timeout=_SECONDS
        )
        assert agreed.consent.state == consent_pb2.CONSENT_STATE_ACTIVE
    teller.agent(TARGET, *read, practitioner=True)
    assert json.loads((folder / "book.json").read_text("utf-8"))["encounters"]

    with steward(stack) as channel:
        offices = guardianship_service_pb2_grpc.GuardianshipServiceStub(channel)
        offices.EndGuardianship(
            guardianship_service_pb2.EndGuardianshipRequest(
                request_id=str(uuid.uuid4()), name=office.name, reason="COURT_DECISION"
            ),
            timeout=_SECONDS,
        )
    assert book(teller, mother, child["person"]) == "READ_NOT_PERMITTED"
    assert "OBTAIN_GUARDIAN_CONSENT" in teller.agent(TARGET, *read, practitioner=True, code=1)
    assert book(teller, child, child["person"]).encounters


def awaited(teller: Teller, guardian: dict[str, Any], person: str) -> str:
    """The name of the permission that the app's answer led to."""
    end = time.monotonic() + _SECONDS
    while True:
        with teller.citizen(guardian) as channel:
            stub: Any = consent_service_pb2_grpc.ConsentServiceStub(channel)
            found = stub.ListConsents(consent_service_pb2.ListConsentsRequest(person=person), timeout=_SECONDS)
        if found.consents:
            (one,) = found.consents
            assert one.state == consent_pb2.CONSENT_STATE_AWAITING_AGREEMENT
            return str(one.name)
        if time.monotonic() > end:
            raise StoryFailed("the answer of the app does not arrive")
        time.sleep(0.2)
