"""Who may call what at the records role. Deny by default: an RPC without a row stops the start."""

from __future__ import annotations

from services.chassis.principal import PrincipalKind
from services.chassis.workload import CONSENT, GATEWAY, AccessTable, allow

_INTAKE = "lienthong.records.v1.IntakeService/"
_DOCUMENT = "lienthong.records.v1.DocumentService/"
_EVIDENCE = "lienthong.records.v1.EvidenceService/"
_FACILITY = ((GATEWAY, PrincipalKind.FACILITY), (GATEWAY, PrincipalKind.PRACTITIONER))
_CITIZEN = (GATEWAY, PrincipalKind.CITIZEN)

ACCESS: AccessTable = {
    _INTAKE + "SubmitDocument": allow(*_FACILITY),
    _INTAKE + "SubmitDocuments": allow(*_FACILITY),
    _INTAKE + "ValidateDocument": allow(*_FACILITY),
    _INTAKE + "GetSubmission": allow(*_FACILITY),
    _INTAKE + "ListSubmissions": allow(*_FACILITY),
    _DOCUMENT + "ListDocuments": allow(*_FACILITY, _CITIZEN),
    _DOCUMENT + "GetDocument": allow(*_FACILITY, _CITIZEN),
    _DOCUMENT + "GetHealthBook": allow(*_FACILITY, _CITIZEN),
    "lienthong.records.v1.ErasureService/EraseDocuments": allow((CONSENT, PrincipalKind.WORKLOAD)),
    "lienthong.records.v1.ExportService/ExportPersonData": allow(_CITIZEN),
    _EVIDENCE + "GetEvidencePackage": allow(*_FACILITY, _CITIZEN),
    _EVIDENCE + "ListVerdicts": allow(*_FACILITY),
    _EVIDENCE + "ListTouchedDocuments": allow((GATEWAY, PrincipalKind.ADMIN), (GATEWAY, PrincipalKind.AUDITOR)),
}
