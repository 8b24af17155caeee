"""Names, times, codes and periods, proto to model and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.consent.v1 import decision_pb2
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2, sensitivity_class_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model

E = TypeVar("E", bound=Enum)
_CODE_LENGTH = 5


def pairs(members: type[E], prefix: str, numbers: Mapping[str, int]) -> tuple[dict[E, int], dict[int, E]]:
    """Members to the numbers of a proto enum, and back; values are named `PREFIX_MEMBER`."""
    out = {member: numbers[f"{prefix}_{member.value}"] for member in members if f"{prefix}_{member.value}" in numbers}
    return out, {number: member for member, number in out.items()}


PURPOSE, PURPOSE_IN = pairs(model.Purpose, "PURPOSE_OF_USE", dict(access_context_pb2.PurposeOfUse.items()))
BASIS, BASIS_IN = pairs(model.Basis, "LEGAL_BASIS", dict(access_context_pb2.LegalBasis.items()))
KIND, KIND_IN = pairs(model.Kind, "DOCUMENT_KIND", dict(document_kind_pb2.DocumentKind.items()))
_CLASS, _CLASS_IN = pairs(
    model.SensitivityClass, "SENSITIVITY_CLASS", dict(sensitivity_class_pb2.SensitivityClass.items())
)
EFFECT = pairs(model.Effect, "EFFECT", dict(decision_pb2.Effect.items()))[0]


def resource_id(name: str, collection: str, field: str) -> UUID:
    """The UUID of `collection/{uuid}`; InvalidArgument naming the field otherwise."""
    prefix, _, value = name.partition("/")
    try:
        if prefix == collection and str(UUID(value)) == value:
            return UUID(value)
    except ValueError:
        pass
    raise InvalidArgument.of(FieldViolation(field, f"{collection}/{{uuid}}", "NAME_INVALID"))


def uuid_of(value: str, field: str) -> UUID:
    """A UUID; InvalidArgument naming the field otherwise."""
    try:
        return UUID(value)
    except ValueError:
        raise InvalidArgument.of(FieldViolation(field, "a UUID", "UUID_INVALID")) from None


def stamp(at: datetime | None) -> Timestamp | None:
    """A proto time; None stays None."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def period_in(period: period_pb2.Period) -> model.Period:
    """A period; absent ends are open."""
    return model.Period(
        period.start_time.ToDatetime(UTC) if period.HasField("start_time") else None,
        period.end_time.ToDatetime(UTC) if period.HasField("end_time") else None,
    )


def period_out(period: model.Period) -> period_pb2.Period | None:
    """The proto of a period; None for always."""
    if period == model.ALWAYS:
        return None
    return period_pb2.Period(start_time=stamp(period.start), end_time=stamp(period.end))


def kinds_in(values: Sequence[int], field: str, wrong: list[FieldViolation]) -> frozenset[model.Kind]:
    """Kinds; what is not known goes to `wrong` with its place."""
    wrong += [
        FieldViolation(f"{field}[{place}]", "a known kind", "KIND_UNKNOWN")
        for place, value in enumerate(values)
        if value not in KIND_IN
    ]
    return frozenset(KIND_IN[value] for value in values if value in KIND_IN)


def kinds_out(kinds: Sequence[model.Kind] | frozenset[model.Kind]) -> list[document_kind_pb2.DocumentKind.ValueType]:
    """Kinds by their numbers, sorted."""
    return [document_kind_pb2.DocumentKind.ValueType(number) for number in sorted(KIND[kind] for kind in kinds)]


def effect_out(effect: model.Effect) -> decision_pb2.Effect.ValueType:
    """The proto of an effect; NOT_APPLICABLE is UNSPECIFIED."""
    return decision_pb2.Effect.ValueType(EFFECT.get(effect, 0))


def classes_in(values: Sequence[int], field: str, wrong: list[FieldViolation]) -> frozenset[model.SensitivityClass]:
    """Sensitive classes; what is not known goes to `wrong` with its place."""
    wrong += [
        FieldViolation(f"{field}[{place}]", "a known class", "CLASS_UNKNOWN")
        for place, value in enumerate(values)
        if value not in _CLASS_IN
    ]
    return frozenset(_CLASS_IN[value] for value in values if value in _CLASS_IN)


def classes_out(
    classes: frozenset[model.SensitivityClass],
) -> list[sensitivity_class_pb2.SensitivityClass.ValueType]:
    """Classes by their numbers, sorted."""
    return [class_out(one) for one in sorted(classes, key=_CLASS.__getitem__)]


def class_out(one: model.SensitivityClass) -> sensitivity_class_pb2.SensitivityClass.ValueType:
    """The proto of a class."""
    return sensitivity_class_pb2.SensitivityClass.ValueType(_CLASS[one])


def organization_code(name: str, field: str, wrong: list[FieldViolation]) -> str:
    """The code of `organizations/{code}`; a wrong name goes to `wrong`."""
    collection, _, code = name.partition("/")
    if collection != "organizations" or len(code) != _CODE_LENGTH:
        wrong.append(FieldViolation(field, "organizations/{code}", "NAME_INVALID"))
    return code
