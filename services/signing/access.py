"""Who may call what at the signing role. Deny by default: an RPC without a row stops the start."""

from __future__ import annotations

from services.chassis.principal import PrincipalKind
from services.chassis.workload import CONSENT, GATEWAY, RECORDS, AccessTable, allow

_TRUST = "lienthong.signing.v1.TrustService/"
_LOG = "lienthong.signing.v1.LogService/"
_ADMIN = (GATEWAY, PrincipalKind.ADMIN)
_FACILITY = ((GATEWAY, PrincipalKind.FACILITY), (GATEWAY, PrincipalKind.PRACTITIONER))
# The log is public to every known principal: entries hold commitments, never a person's data.
_READERS = (
    *_FACILITY,
    _ADMIN,
    (GATEWAY, PrincipalKind.CITIZEN),
    (GATEWAY, PrincipalKind.AUDITOR),
    (GATEWAY, PrincipalKind.MINISTRY),
    (GATEWAY, PrincipalKind.STEWARD),
)
# Receipts of documents, and the anchors of citizens' ledgers.
_WRITERS = ((RECORDS, PrincipalKind.WORKLOAD), (CONSENT, PrincipalKind.WORKLOAD))

ACCESS: AccessTable = {
    "lienthong.signing.v1.VerificationService/VerifyDocuments": allow(
        (RECORDS, PrincipalKind.FACILITY), (RECORDS, PrincipalKind.PRACTITIONER), (RECORDS, PrincipalKind.WORKLOAD)
    ),
    "lienthong.signing.v1.VerificationService/BatchGetEvidence": allow(
        (RECORDS, PrincipalKind.FACILITY),
        (RECORDS, PrincipalKind.PRACTITIONER),
        (RECORDS, PrincipalKind.CITIZEN),
        (RECORDS, PrincipalKind.WORKLOAD),
    ),
    "lienthong.signing.v1.ValidationService/ValidateSignatures": allow(
        *_FACILITY, _ADMIN, (GATEWAY, PrincipalKind.AUDITOR)
    ),
    _TRUST + "CreateTrustAnchor": allow(_ADMIN),
    _TRUST + "ListTrustAnchors": allow(*_READERS),
    _TRUST + "RegisterSignerCertificate": allow(_ADMIN),
    _TRUST + "ListSignerCertificates": allow(_ADMIN, *_FACILITY, (RECORDS, PrincipalKind.WORKLOAD)),
    _TRUST + "SuspendSignerCertificate": allow(_ADMIN),
    _TRUST + "ImportRevocationList": allow(_ADMIN),
    _TRUST + "ImportTrustList": allow(_ADMIN),
    _TRUST + "ReportKeyCompromise": allow(_ADMIN),
    _TRUST + "GetSignaturePolicy": allow(*_READERS, (RECORDS, PrincipalKind.WORKLOAD)),
    _LOG + "GetCheckpoint": allow(*_READERS),
    _LOG + "GetCheckpointTimestamp": allow(*_READERS, (RECORDS, PrincipalKind.WORKLOAD)),
    _LOG + "GetInclusionProof": allow(*_READERS),
    _LOG + "GetConsistencyProof": allow(*_READERS),
    _LOG + "ListEntries": allow(*_READERS),
    "lienthong.signing.v1.LogAppendService/AppendEntries": allow(*_WRITERS),
    "lienthong.signing.v1.LogAppendService/BatchGetEntryProofs": allow(*_WRITERS),
}
