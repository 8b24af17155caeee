"""Who may call what at the consent role. Deny by default: an RPC without a row stops the start."""

from __future__ import annotations

from services.chassis.principal import PrincipalKind
from services.chassis.workload import GATEWAY, IDENTITY, RECORDS, REFERRALS, AccessTable, allow

_CONSENT = "lienthong.consent.v1.ConsentService/"
_EMERGENCY = "lienthong.consent.v1.EmergencyAccessService/"
_GUARDIANSHIP = "lienthong.consent.v1.GuardianshipService/"
_SUBJECT = "lienthong.consent.v1.SubjectRequestService/"
_BREACH = "lienthong.consent.v1.BreachService/"
_ADMIN = (GATEWAY, PrincipalKind.ADMIN)
_CITIZEN = (GATEWAY, PrincipalKind.CITIZEN)
_FACILITY = ((GATEWAY, PrincipalKind.FACILITY), (GATEWAY, PrincipalKind.PRACTITIONER))
_PRACTITIONER = (GATEWAY, PrincipalKind.PRACTITIONER)
_STEWARD = (GATEWAY, PrincipalKind.STEWARD)
_AUDITOR = (GATEWAY, PrincipalKind.AUDITOR)
# To list who read what a wrong link had made readable; the answer goes to stewards and auditors.
_IDENTITY = (IDENTITY, PrincipalKind.WORKLOAD)
# Roles that give data out ask for the end actor, whose token they forward; a role on its own behalf has no business here.
_ASKING = tuple(
    (role, kind)
    for role in (RECORDS, REFERRALS)
    for kind in (PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER, PrincipalKind.CITIZEN)
)

# Background work of the roles that know who treats whom; a check-in is told by the identity role itself too, not by the facility.
_TELLING = tuple((role, PrincipalKind.WORKLOAD) for role in (IDENTITY, REFERRALS))

# The person index shows persons to those too who keep it and who oversee that.
_INDEX = tuple(
    (IDENTITY, kind)
    for kind in (
        PrincipalKind.FACILITY,
        PrincipalKind.PRACTITIONER,
        PrincipalKind.CITIZEN,
        PrincipalKind.STEWARD,
        PrincipalKind.AUDITOR,
    )
)

ACCESS: AccessTable = {
    "lienthong.consent.v1.TreatmentRelationService/RecordTreatmentRelations": allow(*_TELLING),
    _CONSENT + "RequestConsent": allow(*_FACILITY),
    _CONSENT + "GetConsentRequest": allow(*_FACILITY, _CITIZEN),
    # At a kiosk the identity role asks for the facility, which sees its own.
    _CONSENT + "ListConsentRequests": allow(
        _CITIZEN, (IDENTITY, PrincipalKind.FACILITY), (IDENTITY, PrincipalKind.PRACTITIONER)
    ),
    _CONSENT + "GrantConsent": allow(_CITIZEN),
    _CONSENT + "AgreeToConsent": allow(_CITIZEN),
    _CONSENT + "ConfirmConsentCode": allow(*_FACILITY),
    _CONSENT + "RecordPaperConsent": allow(_PRACTITIONER),
    _CONSENT + "DenyConsent": allow(_CITIZEN),
    _CONSENT + "RevokeConsent": allow(_CITIZEN),
    _CONSENT + "ListConsentEvents": allow(*_FACILITY, _CITIZEN),
    _CONSENT + "ListRecipients": allow(_CITIZEN),
    _CONSENT + "AcknowledgeErasure": allow(*_FACILITY),
    _CONSENT + "GetConsent": allow(*_FACILITY, _CITIZEN),
    _CONSENT + "ListConsents": allow(_CITIZEN),
    "lienthong.consent.v1.DecisionService/Decide": allow(*_ASKING, *_INDEX),
    "lienthong.consent.v1.ExplanationService/ExplainDecision": allow(*_FACILITY, _CITIZEN, _AUDITOR),
    "lienthong.consent.v1.AccessLedgerService/ListAccesses": allow(_CITIZEN, _AUDITOR, _IDENTITY),
    "lienthong.consent.v1.AccessLedgerService/GetLedgerProof": allow(_CITIZEN, _AUDITOR),
    _GUARDIANSHIP + "RegisterGuardianship": allow(_STEWARD),
    _GUARDIANSHIP + "EndGuardianship": allow(_STEWARD),
    _GUARDIANSHIP + "ListGuardianships": allow(_CITIZEN, _STEWARD),
    _EMERGENCY + "RequestEmergencyAccess": allow(_PRACTITIONER),
    _EMERGENCY + "ConfirmEmergencyAccess": allow(_PRACTITIONER),
    _EMERGENCY + "WidenEmergencyAccess": allow(_PRACTITIONER),
    _EMERGENCY + "EndEmergencyAccess": allow(_PRACTITIONER),
    _EMERGENCY + "GetEmergencyAccess": allow(*_FACILITY, _CITIZEN, _AUDITOR),
    _EMERGENCY + "ListEmergencyAccesses": allow(*_FACILITY, _CITIZEN, _AUDITOR),
    _EMERGENCY + "ReviewEmergencyAccess": allow(_AUDITOR),
    _EMERGENCY + "GetEmergencyAccessStatistics": allow(_AUDITOR, (GATEWAY, PrincipalKind.MINISTRY)),
    "lienthong.consent.v1.NoticeService/ListNotices": allow(_CITIZEN),
    _SUBJECT + "CreateSubjectRequest": allow(_CITIZEN),
    _SUBJECT + "GetSubjectRequest": allow(_CITIZEN, *_FACILITY, _ADMIN),
    _SUBJECT + "ListSubjectRequests": allow(_CITIZEN, *_FACILITY, _ADMIN),
    _SUBJECT + "AcknowledgeSubjectRequest": allow(_ADMIN),
    _SUBJECT + "PassSubjectRequest": allow(_ADMIN),
    _SUBJECT + "FulfilSubjectRequest": allow(*_FACILITY, _ADMIN),
    _SUBJECT + "RefuseSubjectRequest": allow(*_FACILITY, _ADMIN),
    _SUBJECT + "LiftSubjectRequest": allow(_CITIZEN),
    _BREACH + "RegisterBreach": allow(_ADMIN),
    _BREACH + "AddBreachEvent": allow(_ADMIN),
    _BREACH + "AddBreachPersons": allow(_ADMIN),
    _BREACH + "GetBreach": allow(_ADMIN, _AUDITOR),
    _BREACH + "ListBreaches": allow(_ADMIN, _AUDITOR),
}
