"""Terms of a consent, proto to model and back."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from lienthong.consent.v1 import consent_pb2
from lienthong.type.v1 import access_context_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model
from services.consent.convert.scalars import (
    PURPOSE,
    PURPOSE_IN,
    classes_in,
    classes_out,
    kinds_in,
    kinds_out,
    organization_code,
    period_in,
    period_out,
)

_LONGEST_SECONDS = 10**9
_CARE_LEVELS = ("INITIAL", "BASIC", "SPECIALISED")
_LONGEST_LICENCE = 50


def terms_in(terms: consent_pb2.ConsentTerms, field: str) -> model.Terms:
    """Terms; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if terms.purpose not in PURPOSE_IN:
        wrong.append(FieldViolation(f"{field}.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
    kinds = kinds_in(terms.kinds, f"{field}.kinds", wrong)
    classes = classes_in(terms.sensitive_classes, f"{field}.sensitive_classes", wrong)
    organization, licence, care_level = _grantee_in(terms.grantee, f"{field}.grantee", wrong)
    sources = tuple(
        organization_code(source, f"{field}.sources[{place}]", wrong) for place, source in enumerate(terms.sources)
    )
    if wrong:
        raise InvalidArgument.of(*wrong)
    return model.Terms(
        purpose=PURPOSE_IN[terms.purpose],
        kinds=kinds,
        data_period=period_in(terms.data_period),
        duration=_span(terms.permission_duration),
        organization=organization,
        licence=licence,
        organization_class=care_level,
        erase_after=_span(terms.erase_after) if terms.HasField("erase_after") else None,
        frequency=_frequency_in(terms.frequency) if terms.HasField("frequency") else None,
        classes=classes,
        sources=sources,
    )


def _grantee_in(
    grantee: consent_pb2.Grantee, field: str, wrong: list[FieldViolation]
) -> tuple[str | None, str | None, str | None]:
    match grantee.WhichOneof("grantee"):
        case "organization":
            return organization_code(grantee.organization, f"{field}.organization", wrong), None, None
        case "practitioner":
            one = grantee.practitioner
            if not 1 <= len(one.licence) <= _LONGEST_LICENCE:
                wrong.append(FieldViolation(f"{field}.practitioner.licence", "1 to 50 characters", "LENGTH"))
            return organization_code(one.organization, f"{field}.practitioner.organization", wrong), one.licence, None
        case "organization_class":
            if grantee.organization_class not in _CARE_LEVELS:
                said = ", ".join(_CARE_LEVELS)
                wrong.append(FieldViolation(f"{field}.organization_class", said, "CLASS_UNKNOWN"))
            return None, None, grantee.organization_class
        case "any_treating" if grantee.any_treating:
            return None, None, None
    wrong.append(FieldViolation(field, "a facility, a practitioner, a class, or any_treating set", "GRANTEE_MISSING"))
    return None, None, None


def _span(duration: Duration) -> timedelta:
    """Whole seconds; what lies beyond any limit is cut, so that the check of the terms can name it."""
    return timedelta(seconds=min(max(duration.seconds, 0), _LONGEST_SECONDS))


def _frequency_in(frequency: consent_pb2.Frequency) -> model.Frequency:
    return model.Frequency(frequency.reads, _span(frequency.interval) if frequency.HasField("interval") else None)


def terms_out(terms: model.Terms) -> consent_pb2.ConsentTerms:
    """The proto of terms."""
    return consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PurposeOfUse.ValueType(PURPOSE[terms.purpose]),
        kinds=kinds_out(terms.kinds),
        data_period=period_out(terms.data_period),
        permission_duration=_duration(terms.duration),
        grantee=_grantee_out(terms),
        erase_after=None if terms.erase_after is None else _duration(terms.erase_after),
        frequency=None
        if terms.frequency is None
        else consent_pb2.Frequency(
            reads=terms.frequency.reads,
            interval=None if terms.frequency.interval is None else _duration(terms.frequency.interval),
        ),
        sensitive_classes=classes_out(terms.classes),
        sources=[f"organizations/{source}" for source in terms.sources],
    )


def _grantee_out(terms: model.Terms) -> consent_pb2.Grantee:
    if terms.organization is None:
        if terms.organization_class is None:
            return consent_pb2.Grantee(any_treating=True)
        return consent_pb2.Grantee(organization_class=terms.organization_class)
    name = f"organizations/{terms.organization}"
    if terms.licence is None:
        return consent_pb2.Grantee(organization=name)
    return consent_pb2.Grantee(practitioner=consent_pb2.GranteePractitioner(organization=name, licence=terms.licence))


def _duration(span: timedelta) -> Duration:
    return Duration(seconds=int(span.total_seconds()))
