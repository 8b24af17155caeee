"""Errors of the identity role; reasons are those of `lienthong.identity.v1.ErrorReason`. No text ever holds a
person's data.
"""

from __future__ import annotations

from datetime import timedelta

from services.chassis.errors import DomainError, Kind


class PersonNotFound(DomainError):
    """No person of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "PERSON_NOT_FOUND"


class ReadNotPermitted(DomainError):
    """The decision was a refusal; metadata `decision` and `would_change`."""

    kind = Kind.DENIED
    reason = "READ_NOT_PERMITTED"


class IdentifierConflict(DomainError):
    """An identifier already names a person whose demographics, or other identifiers, disagree; a steward must look."""

    kind = Kind.EXISTS
    reason = "IDENTIFIER_CONFLICT"


class TemporaryIdentifierRefused(DomainError):
    """A temporary identifier with a wrong check pair, or issued by another facility."""

    kind = Kind.INVALID
    reason = "TEMPORARY_IDENTIFIER_INVALID"


class OrganizationNotFound(DomainError):
    """No facility of that code."""

    kind = Kind.NOT_FOUND
    reason = "ORGANIZATION_NOT_FOUND"


class OrganizationExists(DomainError):
    """A facility of that code is registered with other content."""

    kind = Kind.EXISTS
    reason = "ORGANIZATION_EXISTS"


class OrganizationParentInvalid(DomainError):
    """The parent would make the hierarchy of facilities circular, or too deep."""

    kind = Kind.INVALID
    reason = "ORGANIZATION_PARENT_INVALID"


class OrganizationSuspended(DomainError):
    """The facility is suspended."""

    kind = Kind.PRECONDITION
    reason = "ORGANIZATION_SUSPENDED"


class PractitionerNotFound(DomainError):
    """No practitioner of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "PRACTITIONER_NOT_FOUND"


class PractitionerExists(DomainError):
    """A practitioner of that licence is registered with other content."""

    kind = Kind.EXISTS
    reason = "PRACTITIONER_EXISTS"


class EtagMismatch(DomainError):
    """The etag is not the current one."""

    kind = Kind.ABORTED
    reason = "ETAG_MISMATCH"


class NotProvisional(DomainError):
    """The person is not provisional, or is identified already."""

    kind = Kind.PRECONDITION
    reason = "NOT_PROVISIONAL"


class NewbornConflict(DomainError):
    """A mother cannot be her own child, and a newborn needs an order among its siblings that is free."""

    kind = Kind.EXISTS
    reason = "NEWBORN_CONFLICT"


class IdentificationConflict(DomainError):
    """What was found contradicts the person named."""

    kind = Kind.PRECONDITION
    reason = "IDENTIFICATION_CONFLICT"


class PersonLinkNotFound(DomainError):
    """No link of that name."""

    kind = Kind.NOT_FOUND
    reason = "PERSON_LINK_NOT_FOUND"


class PersonLinkState(DomainError):
    """The link is not in a state for this; `allowed` in the metadata names what is."""

    kind = Kind.PRECONDITION
    reason = "PERSON_LINK_STATE"


class LinkRefused(DomainError):
    """The two entries were found to be different persons."""

    kind = Kind.PRECONDITION
    reason = "LINK_REFUSED"


class AlreadyLinked(DomainError):
    """Both entries answer with the same person already."""

    kind = Kind.EXISTS
    reason = "ALREADY_LINKED"


class SecondStewardRequired(DomainError):
    """The second steward has to be another one."""

    kind = Kind.PRECONDITION
    reason = "SECOND_STEWARD_REQUIRED"


class ReviewTaskNotFound(DomainError):
    """No review task of that name, or none that the caller may decide."""

    kind = Kind.NOT_FOUND
    reason = "REVIEW_TASK_NOT_FOUND"


class ReviewTaskState(DomainError):
    """The task is not claimed by the caller, or is decided."""

    kind = Kind.PRECONDITION
    reason = "REVIEW_TASK_STATE"


class SourceRecordNotFound(DomainError):
    """No source record of that name."""

    kind = Kind.NOT_FOUND
    reason = "SOURCE_RECORD_NOT_FOUND"


class CursorInvalid(DomainError):
    """The cursor was not given out here, or by a database that is gone; begin anew without one."""

    kind = Kind.INVALID
    reason = "CURSOR_INVALID"


class ResolutionOverloaded(DomainError):
    """More queries are being worked on than the process can answer in time."""

    kind = Kind.EXHAUSTED
    reason = "RESOLUTION_OVERLOADED"

    def __init__(self) -> None:
        super().__init__("too many queries at once", retry_after=timedelta(seconds=1))


class MatchesExhausted(DomainError):
    """The facility has looked for more people in this minute than a desk has."""

    kind = Kind.EXHAUSTED
    reason = "RESOLUTION_OVERLOADED"

    def __init__(self, wait: timedelta) -> None:
        super().__init__("the facility's searches of this minute are used up", retry_after=wait)


class PopulationLoadNotFound(DomainError):
    """No load of that name."""

    kind = Kind.NOT_FOUND
    reason = "POPULATION_LOAD_NOT_FOUND"


class PopulationPartOutOfOrder(DomainError):
    """Another part is to come next, or the part came before with other entries."""

    kind = Kind.PRECONDITION
    reason = "POPULATION_PART_OUT_OF_ORDER"

    def __init__(self, next_part: int) -> None:
        super().__init__("parts come in order", metadata={"next_part": str(next_part)})


class CardCodeUnreadable(DomainError):
    """A code that is of no known card; the cause is in the metadata, the code nowhere."""

    kind = Kind.INVALID
    reason = "CARD_CODE_UNREADABLE"

    def __init__(self, cause: str) -> None:
        super().__init__("the code is of no known card", metadata={"cause": cause})


class AppAssertionInvalid(DomainError):
    """An assertion of the national ID app that does not hold; the cause is in the metadata."""

    kind = Kind.INVALID
    reason = "APP_ASSERTION_INVALID"

    def __init__(self, cause: str) -> None:
        super().__init__("the assertion of the national ID app does not hold", metadata={"cause": cause})
