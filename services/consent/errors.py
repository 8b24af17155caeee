"""Errors of the consent role; reasons are those of `lienthong.consent.v1.ErrorReason`."""

from __future__ import annotations

from datetime import timedelta

from services.chassis.errors import DomainError, Kind


class ConsentNotFound(DomainError):
    """No consent of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "CONSENT_NOT_FOUND"


class ConsentRevoked(DomainError):
    """The consent was withdrawn before."""

    kind = Kind.PRECONDITION
    reason = "CONSENT_REVOKED"


class ConsentRequestNotFound(DomainError):
    """No request of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "CONSENT_REQUEST_NOT_FOUND"


class ConsentRequestClosed(DomainError):
    """The request was answered or has lapsed; metadata `state`."""

    kind = Kind.PRECONDITION
    reason = "CONSENT_REQUEST_CLOSED"


class TermsNotAllowed(DomainError):
    """The terms go beyond what the purpose allows; violations name the fields."""

    kind = Kind.INVALID
    reason = "TERMS_NOT_ALLOWED"


class IdAppUnavailable(DomainError):
    """The national ID app cannot be reached."""

    kind = Kind.UNAVAILABLE
    reason = "ID_APP_UNAVAILABLE"


class PersonUnknown(DomainError):
    """The person index has nobody of that name."""

    kind = Kind.NOT_FOUND
    reason = "PERSON_UNKNOWN"


class AgeUnknown(DomainError):
    """Nobody knows when the person was born, so nobody knows whose agreement the law asks for."""

    kind = Kind.PRECONDITION
    reason = "AGE_UNKNOWN"


class PersonDeceased(DomainError):
    """The person has died; nobody agrees for them any more."""

    kind = Kind.PRECONDITION
    reason = "PERSON_DECEASED"


class NoGuardian(DomainError):
    """A child, or an adult who cannot act, has no guardian who could agree."""

    kind = Kind.PRECONDITION
    reason = "NO_GUARDIAN"


class NotTheGuardian(DomainError):
    """The caller is not a guardian of the person now."""

    kind = Kind.DENIED
    reason = "NOT_THE_GUARDIAN"


class GuardianshipNotFound(DomainError):
    """No guardianship of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "GUARDIANSHIP_NOT_FOUND"


class DecisionNotFound(DomainError):
    """No decision of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "DECISION_NOT_FOUND"


class NotThePerson(DomainError):
    """The caller is not the person concerned."""

    kind = Kind.DENIED
    reason = "NOT_THE_PERSON"


class EmergencyAccessNotFound(DomainError):
    """No emergency access of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "EMERGENCY_ACCESS_NOT_FOUND"


class EmergencyAccessEnded(DomainError):
    """The access has ended: by time, by hand, or because nobody confirmed it."""

    kind = Kind.PRECONDITION
    reason = "EMERGENCY_ACCESS_ENDED"


class EmergencyAccessUnconfirmed(DomainError):
    """The access is not confirmed."""

    kind = Kind.PRECONDITION
    reason = "EMERGENCY_ACCESS_UNCONFIRMED"


class SecondFactorRequired(DomainError):
    """A second practitioner or a fresh second factor is needed; metadata `acr_values` and `max_age` in seconds, as in RFC 9470."""

    kind = Kind.DENIED
    reason = "SECOND_FACTOR_REQUIRED"


class ReviewClosed(DomainError):
    """The access was reviewed before with another finding."""

    kind = Kind.PRECONDITION
    reason = "REVIEW_CLOSED"


class DecisionsOverloaded(DomainError):
    """Too many decisions wait; try again."""

    kind = Kind.EXHAUSTED
    reason = "DECISIONS_OVERLOADED"

    def __init__(self) -> None:
        super().__init__("too many decisions wait", retry_after=timedelta(seconds=1))


class NotARecipient(DomainError):
    """The calling facility was given nothing on the ground of this consent."""

    kind = Kind.NOT_FOUND
    reason = "NOT_A_RECIPIENT"


class SubjectRequestNotFound(DomainError):
    """No request of the data subject of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "SUBJECT_REQUEST_NOT_FOUND"


class SubjectRequestState(DomainError):
    """The request does not stand where this could be done; metadata `state`."""

    kind = Kind.PRECONDITION
    reason = "SUBJECT_REQUEST_STATE"


class BreachNotFound(DomainError):
    """No breach of that name."""

    kind = Kind.NOT_FOUND
    reason = "BREACH_NOT_FOUND"


class BreachClosed(DomainError):
    """The breach is closed."""

    kind = Kind.PRECONDITION
    reason = "BREACH_CLOSED"


class BreachNotNotified(DomainError):
    """A breach is closed only after the authority was told of it."""

    kind = Kind.PRECONDITION
    reason = "BREACH_NOT_NOTIFIED"


class CodeWrong(DomainError):
    """The code is not the one that was given; metadata `attempts_left` for a code by SMS."""

    kind = Kind.PRECONDITION
    reason = "CODE_WRONG"


class ChannelNotAllowed(DomainError):
    """The person cannot be asked that way; metadata `why`: NO_PHONE, NOT_SET_UP."""

    kind = Kind.PRECONDITION
    reason = "CHANNEL_NOT_ALLOWED"


class SmsUnavailable(DomainError):
    """The SMS gateway cannot be reached; nothing was sent."""

    kind = Kind.UNAVAILABLE
    reason = "SMS_UNAVAILABLE"
