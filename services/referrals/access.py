"""Who may call what at the referrals role. Deny by default: an RPC without a row stops the start."""

from __future__ import annotations

from services.chassis.principal import PrincipalKind
from services.chassis.workload import GATEWAY, IDENTITY, RECORDS, AccessTable, allow

_REFERRAL = "lienthong.referrals.v1.ReferralService/"
_APPOINTMENT = "lienthong.referrals.v1.AppointmentService/"
_FACILITY = ((GATEWAY, PrincipalKind.FACILITY), (GATEWAY, PrincipalKind.PRACTITIONER))
# At a kiosk the identity role asks for the facility.
_KIOSK = ((IDENTITY, PrincipalKind.FACILITY), (IDENTITY, PrincipalKind.PRACTITIONER))
_CITIZEN = (GATEWAY, PrincipalKind.CITIZEN)

ACCESS: AccessTable = {
    _REFERRAL + "GetReferral": allow(*_FACILITY, _CITIZEN),
    _REFERRAL + "ListReferrals": allow(*_FACILITY, *_KIOSK),
    _REFERRAL + "AcceptReferral": allow(*_FACILITY),
    _REFERRAL + "RegisterArrival": allow(*_FACILITY),
    _APPOINTMENT + "GetAppointment": allow(*_FACILITY, _CITIZEN),
    _APPOINTMENT + "ListAppointments": allow(*_FACILITY, *_KIOSK, _CITIZEN),
    "lienthong.referrals.v1.SlipImportService/ImportSlips": allow((RECORDS, PrincipalKind.WORKLOAD)),
}
