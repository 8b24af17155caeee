"""Who may call what at the identity role. Deny by default: an RPC without a row stops the start."""

from __future__ import annotations

from services.chassis.principal import PrincipalKind
from services.chassis.workload import CONSENT, GATEWAY, RECORDS, REFERRALS, AccessTable, allow

_PERSON = "lienthong.identity.v1.PersonService/"
_LINK = "lienthong.identity.v1.PersonLinkService/"
_ORGANIZATION = "lienthong.identity.v1.OrganizationService/"
_CHECK_IN = "lienthong.identity.v1.CheckInService/"
_POPULATION = "lienthong.identity.v1.PopulationService/"
_PRACTITIONER = "lienthong.identity.v1.PractitionerService/"

_ADMIN = (GATEWAY, PrincipalKind.ADMIN)
_CITIZEN = (GATEWAY, PrincipalKind.CITIZEN)
_STEWARD = (GATEWAY, PrincipalKind.STEWARD)
_AUDITOR = (GATEWAY, PrincipalKind.AUDITOR)
_FACILITY = ((GATEWAY, PrincipalKind.FACILITY), (GATEWAY, PrincipalKind.PRACTITIONER))
# Within a call another role forwards the end actor's token; in its background jobs it acts itself.
_RECORDS = tuple(
    (RECORDS, kind) for kind in (PrincipalKind.WORKLOAD, PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER)
)
_ROLES = tuple((role, kind) for role in (RECORDS, CONSENT, REFERRALS) for kind in PrincipalKind)
# The feed of changes is followed in background jobs only.
_FOLLOWERS = tuple((role, PrincipalKind.WORKLOAD) for role in (RECORDS, CONSENT, REFERRALS))
_EVERYBODY = tuple((GATEWAY, kind) for kind in PrincipalKind if kind is not PrincipalKind.WORKLOAD)

ACCESS: AccessTable = {
    _PERSON + "ResolvePersons": allow(*_FACILITY, *_RECORDS),
    _PERSON + "RegisterPerson": allow(*_FACILITY, _STEWARD),
    _PERSON + "RegisterProvisionalPerson": allow(*_FACILITY),
    _PERSON + "MatchPersons": allow(*_FACILITY, _STEWARD),
    _PERSON + "RegisterNewborn": allow(*_FACILITY),
    _PERSON + "IdentifyProvisionalPerson": allow(*_FACILITY, _STEWARD),
    _PERSON + "ListProvisionalPersons": allow(*_FACILITY, _STEWARD),
    _PERSON + "RecordAuthorityNotice": allow(*_FACILITY),
    _PERSON + "UpdatePerson": allow(*_FACILITY, _STEWARD),
    _PERSON + "WatchPersons": allow(*_FOLLOWERS),
    _PERSON + "GetPerson": allow(*_FACILITY, _CITIZEN, _STEWARD),
    # What consent decides by; it is followed in a background job.
    "lienthong.identity.v1.RegistryFeedService/WatchRegistry": allow((CONSENT, PrincipalKind.WORKLOAD)),
    # Whom to ask for a permission, and who must agree; nobody else is told, and it is asked for by the role itself.
    "lienthong.identity.v1.PersonFactService/GetPersonFacts": allow((CONSENT, PrincipalKind.WORKLOAD)),
    "lienthong.identity.v1.SourceRecordService/FileSourceRecords": allow(*_RECORDS),
    _LINK + "LinkPersons": allow(_STEWARD),
    _LINK + "UnlinkPersons": allow(_STEWARD),
    _LINK + "RefuseLink": allow(_STEWARD),
    _LINK + "MoveSourceRecord": allow(_STEWARD),
    _LINK + "ListSourceRecords": allow(_STEWARD),
    _LINK + "GetPersonLink": allow(_STEWARD),
    _LINK + "ListLinkEvents": allow(_STEWARD, _AUDITOR),
    _LINK + "ListLinkConsequences": allow(_STEWARD, _AUDITOR),
    _LINK + "GetPersonAsOf": allow(_STEWARD, _AUDITOR),
    _LINK + "ListReviewTasks": allow(_STEWARD),
    _LINK + "ClaimReviewTask": allow(_STEWARD),
    _LINK + "DecideReviewTask": allow(_STEWARD),
    _LINK + "GetReviewStatistics": allow(_STEWARD),
    _ORGANIZATION + "CreateOrganization": allow(_ADMIN),
    _ORGANIZATION + "UpdateOrganization": allow(_ADMIN),
    _ORGANIZATION + "ImportOrganizations": allow(_ADMIN),
    _ORGANIZATION + "SuspendOrganization": allow(_ADMIN),
    _ORGANIZATION + "ReinstateOrganization": allow(_ADMIN),
    _ORGANIZATION + "GetOrganization": allow(*_EVERYBODY, *_ROLES),
    _ORGANIZATION + "ListOrganizations": allow(*_EVERYBODY),
    _CHECK_IN + "CheckIn": allow(*_FACILITY),
    _CHECK_IN + "ParseCardCode": allow(*_FACILITY),
    _POPULATION + "CreatePopulationLoad": allow(_ADMIN),
    _POPULATION + "LoadPopulationPart": allow(_ADMIN),
    _POPULATION + "GetPopulationLoad": allow(_ADMIN),
    _POPULATION + "ListPopulationLoadErrors": allow(_ADMIN),
    _PRACTITIONER + "CreatePractitioner": allow(_ADMIN),
    _PRACTITIONER + "UpdatePractitioner": allow(_ADMIN),
    _PRACTITIONER + "GetPractitioner": allow(*_FACILITY, _ADMIN),
    _PRACTITIONER + "ListPractitioners": allow(*_FACILITY, _ADMIN),
}
