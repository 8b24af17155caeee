"""The exact verdict for every RPC, workload and kind of principal."""

from __future__ import annotations

import itertools

import pytest
from lienthong.identity.v1 import (
    check_in_service_pb2,
    organization_service_pb2,
    person_fact_service_pb2,
    person_link_service_pb2,
    person_service_pb2,
    population_service_pb2,
    practitioner_service_pb2,
    registry_feed_service_pb2,
    source_record_service_pb2,
)

from services.chassis.principal import PrincipalKind
from services.chassis.workload import CONSENT, GATEWAY, IDENTITY, PROBE, RECORDS, REFERRALS, SIGNING, Workload
from services.identity.access import ACCESS

WORKLOADS = (GATEWAY, RECORDS, CONSENT, REFERRALS, SIGNING, IDENTITY, PROBE, Workload("facility", "01001"))
# G gateway, R records, C consent, F referrals; then the kinds: w(orkload) f(acility) p(ractitioner) c(itizen) a(dmin)
# s(teward) u(ditor) m(inistry).
LETTERS = {"G": GATEWAY, "R": RECORDS, "C": CONSENT, "F": REFERRALS}
KINDS = dict(zip("wfpcasum", PrincipalKind, strict=True))
EXPECTED = {
    "PersonService/ResolvePersons": {"G": "fp", "R": "wfp"},
    "PersonService/RegisterPerson": {"G": "fps"},
    "PersonService/RegisterProvisionalPerson": {"G": "fp"},
    "PersonService/MatchPersons": {"G": "fps"},
    "PersonService/RegisterNewborn": {"G": "fp"},
    "PersonService/IdentifyProvisionalPerson": {"G": "fps"},
    "PersonService/ListProvisionalPersons": {"G": "fps"},
    "PersonService/RecordAuthorityNotice": {"G": "fp"},
    "PersonService/UpdatePerson": {"G": "fps"},
    "PersonService/WatchPersons": {"R": "w", "C": "w", "F": "w"},
    "RegistryFeedService/WatchRegistry": {"C": "w"},
    "PersonFactService/GetPersonFacts": {"C": "w"},
    "PersonService/GetPerson": {"G": "fpcs"},
    "SourceRecordService/FileSourceRecords": {"R": "wfp"},
    "PersonLinkService/LinkPersons": {"G": "s"},
    "PersonLinkService/UnlinkPersons": {"G": "s"},
    "PersonLinkService/RefuseLink": {"G": "s"},
    "PersonLinkService/MoveSourceRecord": {"G": "s"},
    "PersonLinkService/ListSourceRecords": {"G": "s"},
    "PersonLinkService/GetPersonLink": {"G": "s"},
    "PersonLinkService/ListReviewTasks": {"G": "s"},
    "PersonLinkService/ClaimReviewTask": {"G": "s"},
    "PersonLinkService/DecideReviewTask": {"G": "s"},
    "PersonLinkService/GetReviewStatistics": {"G": "s"},
    "PersonLinkService/ListLinkEvents": {"G": "su"},
    "PersonLinkService/ListLinkConsequences": {"G": "su"},
    "PersonLinkService/GetPersonAsOf": {"G": "su"},
    "OrganizationService/CreateOrganization": {"G": "a"},
    "OrganizationService/GetOrganization": {"G": "fpcasum", "R": "wfpcasum", "C": "wfpcasum", "F": "wfpcasum"},
    "OrganizationService/ListOrganizations": {"G": "fpcasum"},
    "OrganizationService/UpdateOrganization": {"G": "a"},
    "OrganizationService/ImportOrganizations": {"G": "a"},
    "OrganizationService/SuspendOrganization": {"G": "a"},
    "OrganizationService/ReinstateOrganization": {"G": "a"},
    "CheckInService/CheckIn": {"G": "fp"},
    "CheckInService/ParseCardCode": {"G": "fp"},
    "PopulationService/CreatePopulationLoad": {"G": "a"},
    "PopulationService/LoadPopulationPart": {"G": "a"},
    "PopulationService/GetPopulationLoad": {"G": "a"},
    "PopulationService/ListPopulationLoadErrors": {"G": "a"},
    "PractitionerService/CreatePractitioner": {"G": "a"},
    "PractitionerService/UpdatePractitioner": {"G": "a"},
    "PractitionerService/GetPractitioner": {"G": "fpa"},
    "PractitionerService/ListPractitioners": {"G": "fpa"},
}


def test_the_table_covers_every_method() -> None:
    files = (
        check_in_service_pb2,
        organization_service_pb2,
        person_fact_service_pb2,
        person_link_service_pb2,
        person_service_pb2,
        population_service_pb2,
        practitioner_service_pb2,
        registry_feed_service_pb2,
        source_record_service_pb2,
    )
    methods = {
        f"{service.full_name}/{method.name}"
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert ACCESS.keys() == methods == {f"lienthong.identity.v1.{name}" for name in EXPECTED}


@pytest.mark.parametrize("method", list(EXPECTED))
def test_verdicts(method: str) -> None:
    expected = {(LETTERS[letter], KINDS[kind]) for letter, kinds in EXPECTED[method].items() for kind in kinds}
    row = ACCESS[f"lienthong.identity.v1.{method}"]
    allowed = {pair for pair in itertools.product(WORKLOADS, PrincipalKind) if row.allowed(*pair)}
    assert allowed == expected == row.pairs
