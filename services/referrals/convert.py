"""Proto to model and back for the referrals role; nothing else knows both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2
from lienthong.referrals.v1 import appointment_pb2, referral_pb2, referral_service_pb2, slip_import_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.referrals import model
from services.referrals.ports import AccessContext

_STATE = {state: referral_pb2.ReferralState.Value(f"REFERRAL_STATE_{state.value}") for state in model.ReferralState}
_STATE_IN: dict[int, model.ReferralState] = {int(number): state for state, number in _STATE.items()}
_APPOINTMENT = {
    state: appointment_pb2.AppointmentState.Value(f"APPOINTMENT_STATE_{state.value}")
    for state in model.AppointmentState
}
_PAPER_NUMBER = 50


def resource_id(name: str, collection: str, field: str) -> UUID:
    """The UUID of `collection/{uuid}`; InvalidArgument naming the field otherwise."""
    prefix, _, value = name.partition("/")
    try:
        if prefix == collection and str(UUID(value)) == value:
            return UUID(value)
    except ValueError:
        pass
    raise InvalidArgument.of(FieldViolation(field, f"{collection}/{{uuid}}", "NAME_INVALID"))


def context_in(request: referral_service_pb2.GetReferralRequest) -> AccessContext:
    """Why the read is made."""
    return AccessContext(request.context.purpose, request.context.legal_basis, request.context.reason)


def state_in(number: int) -> model.ReferralState | None:
    """A state filter; None for none, InvalidArgument when unknown."""
    if number and number not in _STATE_IN:
        raise InvalidArgument.of(FieldViolation("state", "a known state", "STATE_UNKNOWN"))
    return _STATE_IN.get(number)


def date_in(value: date_pb2.Date, field: str) -> date:
    """A whole calendar day; InvalidArgument naming the field otherwise."""
    try:
        return date(value.year, value.month, value.day)
    except ValueError:
        raise InvalidArgument.of(FieldViolation(field, "a calendar day", "DATE_INVALID")) from None


def _date_out(day: date) -> date_pb2.Date:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)


def stamp(at: datetime | None) -> Timestamp | None:
    """A proto time; None stays None."""
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message


def referral_message(referral: model.Referral, today: date) -> referral_pb2.Referral:
    """The proto of a referral with its state on a day."""
    return referral_pb2.Referral(
        name=f"referrals/{referral.id}",
        referral_number=referral.number,
        person=f"persons/{referral.person}",
        source_organization=f"organizations/{referral.source}",
        target_organization=f"organizations/{referral.target}",
        previous_organizations=[f"organizations/{code}" for code in referral.previous],
        reason_code=referral.reason_code,
        state=_STATE[referral.state(today)],
        sign_date=_date_out(referral.signed_on),
        valid_through=_date_out(referral.valid_through),
        document=f"documents/{referral.document}",
        accept_time=stamp(referral.accepted_at),
        arrive_time=stamp(referral.arrived_at),
        create_time=stamp(referral.created_at),
        etag=referral.etag,
    )


def changed_message(referral: model.Referral, today: date, *, shown: bool) -> referral_pb2.Referral:
    """A referral that the caller changed; unless it may be shown, nothing that the caller did not name and nothing of the person."""
    whole = referral_message(referral, today)
    if shown:
        return whole
    return referral_pb2.Referral(
        name=whole.name,
        state=whole.state,
        etag=whole.etag,
        accept_time=stamp(referral.accepted_at),
        arrive_time=stamp(referral.arrived_at),
    )


def content_message(content: model.Content) -> referral_pb2.ReferralContent:
    """The proto of a paper's clinical text; field names are the same."""
    return referral_pb2.ReferralContent(**asdict(content))


def appointment_message(appointment: model.Appointment) -> appointment_pb2.Appointment:
    """The proto of an appointment."""
    return appointment_pb2.Appointment(
        name=f"appointments/{appointment.id}",
        slip_number=appointment.number,
        person=f"persons/{appointment.person}",
        organization=f"organizations/{appointment.organization}",
        appointment_date=_date_out(appointment.day),
        state=_APPOINTMENT[appointment.state],
        document=f"documents/{appointment.document}",
        create_time=stamp(appointment.created_at),
        etag=appointment.etag,
    )


def slips_in(
    request: slip_import_service_pb2.ImportSlipsRequest,
    at: datetime,
    holidays: frozenset[date],
    new_id: Callable[[], UUID],
) -> list[model.Slip]:
    """The papers of a request; InvalidArgument naming every wrong field of every paper."""
    slips: list[model.Slip] = []
    wrong: list[FieldViolation] = []
    for place, slip in enumerate(request.slips):
        field = f"slips[{place}]"
        try:
            event = UUID(slip.event_id)
            person = resource_id(slip.person, "persons", f"{field}.person")
            document = resource_id(slip.document, "documents", f"{field}.document")
            paper: model.Referral | model.Appointment
            if slip.HasField("referral"):
                paper = _referral_in(slip, person, document, at, holidays, new_id(), field)
            elif slip.HasField("follow_up"):
                day = date_in(slip.follow_up.appointment_date, f"{field}.follow_up.appointment_date")
                number = slip.follow_up.slip_number[:_PAPER_NUMBER]
                paper = model.Appointment(new_id(), number, person, document, slip.facility, day, at)
            else:
                raise InvalidArgument.of(
                    FieldViolation(f"{field}.slip", "a referral or a follow-up slip", "SLIP_MISSING")
                )
            slips.append(model.Slip(event, paper))
        except InvalidArgument as error:
            wrong.extend(error.violations)
        except ValueError:
            wrong.append(FieldViolation(f"{field}.event_id", "a UUID", "UUID_INVALID"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return slips


def _referral_in(
    slip: slip_import_service_pb2.Slip,
    person: UUID,
    document: UUID,
    at: datetime,
    holidays: frozenset[date],
    id: UUID,
    field: str,
) -> model.Referral:
    paper = slip.referral
    signed_on = date_in(paper.sign_date, f"{field}.referral.sign_date")
    content = paper.content
    return model.Referral(
        id=id,
        number=paper.referral_number[:_PAPER_NUMBER],
        person=person,
        document=document,
        source=slip.facility,
        target=paper.target_facility,
        previous=tuple(paper.previous_facilities),
        reason_code=paper.reason_code[:4],
        signed_on=signed_on,
        valid_through=model.valid_through(signed_on, holidays),
        created_at=at,
        content=model.Content(
            main_diagnosis=content.main_diagnosis,
            secondary_diagnoses=tuple(content.secondary_diagnoses),
            diagnosis_text=content.diagnosis_text,
            clinical_signs=content.clinical_signs,
            course=content.course,
            results=content.results,
            treatment=content.treatment,
            plan=content.plan,
            transport=content.transport,
            escort=content.escort,
        ),
    )
