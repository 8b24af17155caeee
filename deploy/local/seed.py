"""Registers the sample world through the real API: trust, facilities, practitioners, signing certificates, persons, and their app accounts."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from google.type import date_pb2
from lienthong.client.channel import connect_sync
from lienthong.identity.v1 import (
    organization_pb2,
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    practitioner_pb2,
    practitioner_service_pb2,
    practitioner_service_pb2_grpc,
)
from lienthong.samples.facilities import FACILITIES, Facility
from lienthong.samples.generator import Generator
from lienthong.samples.people import Person
from lienthong.signing.v1 import trust_pb2, trust_service_pb2, trust_service_pb2_grpc
from lienthong.type.v1 import administrative_area_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

from deploy.local.authorities import Authorities
from deploy.local.outside import Outside
from deploy.local.pki import Pair, Pki, SigningPair

SEED = 20261123
PERSONS = 6
_FIRST_LIST = 1
_SECONDS = 15.0
_PATIENCE = 20.0


@dataclass(frozen=True)
class SeededFacility:
    """A registered facility with its keys."""

    code: str
    name: str
    level: str
    licence: str
    client: Pair
    signer: SigningPair


@dataclass(frozen=True)
class Seeded:
    """The sample world; persons are as endpoints.json shows them."""

    facilities: list[SeededFacility]
    persons: list[dict[str, Any]]


def seed(pki: Pki, outside: Outside, public: str, authorities: Authorities) -> Seeded:
    """Fills an empty stack. The public authorities know every certificate from then on."""
    channel = connect_sync(public, authority=pki.authority, token=operator_token(outside, "admin"))
    steward = connect_sync(public, authority=pki.authority, token=operator_token(outside, "steward"))
    with channel, steward:
        _trust(channel, pki, authorities)
        facilities = [_facility(channel, pki, number, one) for number, one in enumerate(FACILITIES)]
        pki.publish(_FIRST_LIST, {})
        generator = Generator(SEED)
        persons = [_person(steward, outside, generator.person()) for _ in range(PERSONS)]
    return Seeded(facilities, persons)


def operator_token(outside: Outside, name: str) -> str:
    """An operator's access token; waits for the server to come up."""
    secret, _ = outside.operators[name]
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return str(post(f"{outside.base}/operator/token", form, outside.authority)["access_token"])
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def post(url: str, form: dict[str, str], authority: str) -> dict[str, Any]:
    """A form to the outside world."""
    context = ssl.create_default_context(cafile=authority)
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=_SECONDS, context=context) as answer:
        fields: dict[str, Any] = json.loads(answer.read())
        return fields


def _trust(channel: Any, pki: Pki, authorities: Authorities) -> None:
    stub: Any = trust_service_pb2_grpc.TrustServiceStub(channel)
    root, issuer = trust_pb2.AUTHORITY_KIND_ROOT, trust_pb2.AUTHORITY_KIND_INTERMEDIATE
    lists = authorities.revocation_list
    for anchor in (
        trust_pb2.TrustAnchor(kind=root, certificate=pki.signing_root.der, revocation_list_uri=lists("root")),
        trust_pb2.TrustAnchor(
            kind=issuer,
            certificate=pki.signing_authority.der,
            revocation_list_uri=lists("issuer"),
            ocsp_uri=authorities.ocsp,
        ),
        trust_pb2.TrustAnchor(
            kind=root, certificate=pki.time_root.der, purpose=trust_pb2.AUTHORITY_PURPOSE_TIMESTAMPING
        ),
    ):
        request = trust_service_pb2.CreateTrustAnchorRequest(request_id=str(uuid.uuid4()), trust_anchor=anchor)
        stub.CreateTrustAnchor(request, timeout=_SECONDS)
    crl = pki.signing_authority.revocation_list(_FIRST_LIST, [])
    listed = trust_service_pb2.ImportRevocationListRequest(request_id=str(uuid.uuid4()), revocation_list=crl)
    stub.ImportRevocationList(listed, timeout=_SECONDS)


def _facility(channel: Any, pki: Pki, number: int, facility: Facility) -> SeededFacility:
    organization = organization_pb2.Organization(
        code=facility.code,
        display_name=facility.name,
        care_level=organization_pb2.CareLevel.Value(f"CARE_LEVEL_{facility.level.name}"),
        province=administrative_area_pb2.AdministrativeArea(
            province_code=facility.province_34, era=administrative_area_pb2.AREA_ERA_PROVINCES_34
        ),
        parent=f"organizations/{facility.parent}" if facility.parent else "",
    )
    organizations: Any = organization_service_pb2_grpc.OrganizationServiceStub(channel)
    organizations.CreateOrganization(
        organization_service_pb2.CreateOrganizationRequest(request_id=str(uuid.uuid4()), organization=organization),
        timeout=_SECONDS,
    )
    licence = f"{number + 1:06d}/BYT-CCHN"
    practitioner = practitioner_pb2.Practitioner(
        licence=licence,
        human_name=human_name_pb2.HumanName(text="Bác sĩ Mẫu"),
        organizations=[f"organizations/{facility.code}"],
        role="doctor",
    )
    practitioners: Any = practitioner_service_pb2_grpc.PractitionerServiceStub(channel)
    practitioners.CreatePractitioner(
        practitioner_service_pb2.CreatePractitionerRequest(request_id=str(uuid.uuid4()), practitioner=practitioner),
        timeout=_SECONDS,
    )
    # Both algorithms that hospitals use, in turn.
    signer = pki.signer(facility.code, algorithm="rsa" if number % 2 == 0 else "p256")
    certificate = trust_pb2.SignerCertificate(facility=facility.code, certificate=signer.certificate_der)
    trust: Any = trust_service_pb2_grpc.TrustServiceStub(channel)
    trust.RegisterSignerCertificate(
        trust_service_pb2.RegisterSignerCertificateRequest(
            request_id=str(uuid.uuid4()), signer_certificate=certificate
        ),
        timeout=_SECONDS,
    )
    client = pki.facility(facility.code)
    return SeededFacility(facility.code, facility.name, facility.level.name, licence, client, signer)


def _person(channel: Any, outside: Outside, person: Person) -> dict[str, Any]:
    sexes = {"1": "MALE", "2": "FEMALE"}
    sex = sexes.get(person.sex, "UNDETERMINED")
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
            sex=administrative_sex_pb2.AdministrativeSex.Value(f"ADMINISTRATIVE_SEX_{sex}"),
        ),
        assurance=person_pb2.IDENTIFIER_ASSURANCE_REGISTRY,
    )
    stub: Any = person_service_pb2_grpc.PersonServiceStub(channel)
    name: str = stub.RegisterPerson(request, timeout=_SECONDS).person.name
    pin = f"{uuid.uuid4().int % 10**6:06d}"
    secret, _ = outside.operators["admin"]
    account = {
        "client_secret": secret,
        "account": name,
        "pin": pin,
        "citizen_number": person.citizen_number,
        "name": person.full_name,
        "birthdate": person.birth.isoformat(),
        "gender": sex.lower(),
    }
    post(f"{outside.base}/citizen/accounts", account, outside.authority)
    return {
        "person": name,
        "full_name": person.full_name,
        "birth_date": person.birth.isoformat(),
        "sex": sex.lower(),
        "citizen_number": person.citizen_number,
        "insurance_card": person.insurance_card,
        "account": name,
        "pin": pin,
    }


def sample_person(shown: dict[str, Any]) -> Person:
    """The generator's person behind an entry of endpoints.json, to draw more episodes of."""
    generator = Generator(SEED)
    for _ in range(PERSONS):
        person = generator.person()
        if person.citizen_number == shown["citizen_number"]:
            return person
    raise LookupError("not a sample person")
