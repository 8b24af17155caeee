"""Emergency accesses, proto to model and back."""

from __future__ import annotations

from lienthong.consent.v1 import emergency_access_service_pb2 as messages

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent.convert.scalars import pairs, resource_id, stamp
from services.consent.emergency import (
    LONGEST_FINDING,
    LONGEST_TEXT,
    SHORTEST_TEXT,
    EmergencyAccess,
    Outcome,
    Reason,
    State,
)
from services.consent.emergency_store import Counts

_REASON, _REASON_IN = pairs(Reason, "EMERGENCY_REASON", dict(messages.EmergencyReason.items()))
_STATE = pairs(State, "EMERGENCY_ACCESS_STATE", dict(messages.EmergencyAccessState.items()))[0]
_OUTCOME, _OUTCOME_IN = pairs(Outcome, "REVIEW_OUTCOME", dict(messages.ReviewOutcome.items()))
_LONGEST_DAYS = 366
_DAYS = 30
_CODE_LENGTH = 5


def reason_in(request: messages.RequestEmergencyAccessRequest) -> tuple[Reason, str]:
    """The reason and its text; InvalidArgument naming every wrong field, the person's too."""
    wrong: list[FieldViolation] = []
    if request.reason not in _REASON_IN:
        wrong.append(FieldViolation("reason", "a known reason", "REASON_UNKNOWN"))
    said = text_in(request.reason_text, "reason_text", LONGEST_TEXT, wrong)
    try:
        resource_id(request.person, "persons", "person")
    except InvalidArgument as error:
        wrong.extend(error.violations)
    if wrong:
        raise InvalidArgument.of(*wrong)
    return _REASON_IN[request.reason], said


def finding_in(request: messages.ReviewEmergencyAccessRequest) -> tuple[Outcome, str]:
    """What a reviewer found, in words too; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if request.outcome not in _OUTCOME_IN:
        wrong.append(FieldViolation("outcome", "a known outcome", "OUTCOME_UNKNOWN"))
    said = text_in(request.finding, "finding", LONGEST_FINDING, wrong)
    if wrong:
        raise InvalidArgument.of(*wrong)
    return _OUTCOME_IN[request.outcome], said


def text_in(value: str, field: str, longest: int, wrong: list[FieldViolation]) -> str:
    """A text without blanks around it; one of a wrong length goes to `wrong`."""
    said = value.strip()
    if not SHORTEST_TEXT <= len(said) <= longest:
        wrong.append(FieldViolation(field, f"{SHORTEST_TEXT} to {longest} characters", "LENGTH_OUT_OF_RANGE"))
    return said


def days_in(days: int) -> int:
    """Days back from now; 0 means 30."""
    if not 0 <= days <= _LONGEST_DAYS:
        raise InvalidArgument.of(FieldViolation("days", f"0 to {_LONGEST_DAYS}", "DAYS_OUT_OF_RANGE"))
    return days or _DAYS


def organization_in(name: str) -> str | None:
    """The facility code of `organizations/{code}`; None where it is not given."""
    if not name:
        return None
    prefix, _, code = name.partition("/")
    if prefix != "organizations" or len(code) != _CODE_LENGTH or not (code.isascii() and code.isalnum()):
        raise InvalidArgument.of(FieldViolation("organization", "organizations/{code}", "NAME_INVALID"))
    return code


def access_message(access: EmergencyAccess, state: State) -> messages.EmergencyAccess:
    """The proto of an access with its state."""
    return messages.EmergencyAccess(
        name=f"emergencyAccesses/{access.id}",
        person=f"persons/{access.person}",
        organization=f"organizations/{access.organization}",
        practitioner_licence=access.licence,
        reason=messages.EmergencyReason.ValueType(_REASON[access.reason]),
        reason_text=access.text,
        state=messages.EmergencyAccessState.ValueType(_STATE[state]),
        create_time=stamp(access.opened_at),
        confirm_due_time=stamp(access.confirm_due_at),
        confirm_time=stamp(access.confirmed_at),
        confirming_licence=access.confirmed_by,
        expire_time=stamp(access.expires_at),
        end_time=stamp(access.ended_at),
        widen_time=stamp(access.widened_at),
        life_saving=access.life_saving,
        review_due_time=stamp(access.review_due_at),
        review_outcome=messages.ReviewOutcome.ValueType(_OUTCOME[access.outcome] if access.outcome else 0),
        review_time=stamp(access.reviewed_at),
        reads=access.reads,
        notify_time=stamp(access.notified_at),
        etag=access.etag,
    )


def counts_message(counts: Counts) -> messages.EmergencyAccessCounts:
    """The proto of counts."""
    return messages.EmergencyAccessCounts(
        organization=f"organizations/{counts.organization}",
        practitioner_licence=counts.licence,
        opened=counts.opened,
        unconfirmed=counts.unconfirmed,
        widened=counts.widened,
        reviewed=counts.reviewed,
        unjustified=counts.unjustified,
        overdue=counts.overdue,
        over_median=counts.over_median,
    )
