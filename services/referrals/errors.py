"""Errors of the referrals role; reasons are those of `lienthong.referrals.v1.ErrorReason`."""

from __future__ import annotations

from services.chassis.errors import DomainError, Kind


class ReferralNotFound(DomainError):
    """No referral of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "REFERRAL_NOT_FOUND"


class ReferralStateWrong(DomainError):
    """The state does not allow it; metadata `state` and `allowed_actions`."""

    kind = Kind.PRECONDITION
    reason = "REFERRAL_STATE"


class NotTargetFacility(DomainError):
    """Only the target facility may do it."""

    kind = Kind.DENIED
    reason = "NOT_TARGET_FACILITY"


class ReferralExpired(DomainError):
    """The referral's validity ran out (TT 01/2025/TT-BYT art. 12.1)."""

    kind = Kind.PRECONDITION
    reason = "REFERRAL_EXPIRED"


class EtagMismatch(DomainError):
    """The etag is not the current one."""

    kind = Kind.ABORTED
    reason = "ETAG_MISMATCH"


class AppointmentNotFound(DomainError):
    """No appointment of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "APPOINTMENT_NOT_FOUND"


class ReadNotPermitted(DomainError):
    """The decision was a refusal; metadata `decision` and `would_change`."""

    kind = Kind.DENIED
    reason = "READ_NOT_PERMITTED"
