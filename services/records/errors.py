"""Errors of the records role; reasons are those of `lienthong.records.v1.ErrorReason`. No text ever holds a person's data."""

from __future__ import annotations

from datetime import timedelta

from services.chassis.errors import DomainError, FieldViolation, Kind


class DocumentRejected(DomainError):
    """The document was refused and kept as evidence; `rejection` is the exact reason."""

    kind = Kind.INVALID
    reason = "DOCUMENT_REJECTED"

    def __init__(self, rejection: str, field: str, description: str, submission: str) -> None:
        super().__init__(
            f"{field}: {description}",
            metadata={"rejection": rejection, "submission": submission},
            violations=(FieldViolation(field, description, rejection),),
        )


class DocumentIdReused(DomainError):
    """The facility used this document id before for other bytes."""

    kind = Kind.EXISTS
    reason = "DOCUMENT_ID_REUSED"

    def __init__(self, first_sha256: str, this_sha256: str) -> None:
        super().__init__(
            "the document id names other bytes already",
            metadata={"first_sha256": first_sha256, "this_sha256": this_sha256},
        )


class IntakeBusy(DomainError):
    """Too much is in flight, of this facility or of all."""

    kind = Kind.EXHAUSTED
    reason = "INTAKE_BUSY"

    def __init__(self, scope: str) -> None:
        super().__init__("too much is in flight", metadata={"scope": scope}, retry_after=timedelta(seconds=1))


class SubmissionNotFound(DomainError):
    """No submission of that name at the calling facility."""

    kind = Kind.NOT_FOUND
    reason = "SUBMISSION_NOT_FOUND"


class DocumentNotFound(DomainError):
    """No document of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "DOCUMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("no such document")


class ReadNotPermitted(DomainError):
    """The decision was a refusal, or does not cover all that was asked for."""

    kind = Kind.DENIED
    reason = "READ_NOT_PERMITTED"

    def __init__(self, decision: str, would_change: tuple[str, ...]) -> None:
        super().__init__(
            "reading is not permitted", metadata={"decision": decision, "would_change": ",".join(would_change)}
        )


class FacilityNotActive(DomainError):
    """The facility is not registered or is suspended."""

    kind = Kind.PRECONDITION
    reason = "FACILITY_NOT_ACTIVE"

    def __init__(self) -> None:
        super().__init__("the facility is not registered or is suspended")


class ExportTooLarge(DomainError):
    """More documents than one export holds."""

    kind = Kind.PRECONDITION
    reason = "EXPORT_TOO_LARGE"

    def __init__(self) -> None:
        super().__init__("too many documents for one export")
