"""The exact verdict for every RPC, workload and kind of principal."""

from __future__ import annotations

import itertools

import pytest
from lienthong.records.v1 import (
    document_service_pb2,
    erasure_service_pb2,
    evidence_service_pb2,
    export_service_pb2,
    intake_service_pb2,
)

from services.chassis.principal import PrincipalKind
from services.chassis.workload import CONSENT, GATEWAY, IDENTITY, PROBE, RECORDS, REFERRALS, SIGNING, Workload
from services.records.access import ACCESS

WORKLOADS = (GATEWAY, RECORDS, CONSENT, REFERRALS, SIGNING, IDENTITY, PROBE, Workload("facility", "01001"))
FACILITIES = {PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER}
READERS = FACILITIES | {PrincipalKind.CITIZEN}
# All come through the gateway; no role and no facility's own certificate gets in by the back door.
EXPECTED = {
    "IntakeService/SubmitDocument": FACILITIES,
    "IntakeService/SubmitDocuments": FACILITIES,
    "IntakeService/ValidateDocument": FACILITIES,
    "IntakeService/GetSubmission": FACILITIES,
    "IntakeService/ListSubmissions": FACILITIES,
    "DocumentService/ListDocuments": READERS,
    "DocumentService/GetDocument": READERS,
    "DocumentService/GetHealthBook": READERS,
    "EvidenceService/GetEvidencePackage": READERS,
    "EvidenceService/ListVerdicts": FACILITIES,
    "EvidenceService/ListTouchedDocuments": {PrincipalKind.ADMIN, PrincipalKind.AUDITOR},
    "ExportService/ExportPersonData": {PrincipalKind.CITIZEN},
}
# The consent role alone answers requests for deletion.
BY_A_ROLE = {"ErasureService/EraseDocuments": (CONSENT, PrincipalKind.WORKLOAD)}


def test_the_table_covers_every_method() -> None:
    methods = {
        f"{service.full_name}/{method.name}"
        for file in (
            document_service_pb2,
            erasure_service_pb2,
            evidence_service_pb2,
            export_service_pb2,
            intake_service_pb2,
        )
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert ACCESS.keys() == methods == {f"lienthong.records.v1.{name}" for name in [*EXPECTED, *BY_A_ROLE]}


@pytest.mark.parametrize("method", list(EXPECTED))
def test_verdicts(method: str) -> None:
    row = ACCESS[f"lienthong.records.v1.{method}"]
    allowed = {pair for pair in itertools.product(WORKLOADS, PrincipalKind) if row.allowed(*pair)}
    assert allowed == {(GATEWAY, kind) for kind in EXPECTED[method]} == row.pairs


@pytest.mark.parametrize("method", list(BY_A_ROLE))
def test_what_only_a_role_may_call(method: str) -> None:
    assert ACCESS[f"lienthong.records.v1.{method}"].pairs == {BY_A_ROLE[method]}
