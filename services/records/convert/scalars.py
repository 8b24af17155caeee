"""Names, times, kinds and contexts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2, sensitivity_class_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.records.formats.document import ContentKind
from services.records.model import AccessContext, Span
from services.records.sensitivity import SensitivityClass

KIND = {kind: document_kind_pb2.DocumentKind.Value(f"DOCUMENT_KIND_{kind.value}") for kind in ContentKind}
_KIND_IN: dict[int, ContentKind] = {number: kind for kind, number in KIND.items()}
CLASS = {
    one: sensitivity_class_pb2.SensitivityClass.Value(f"SENSITIVITY_CLASS_{one.value}") for one in SensitivityClass
}
_CLASS_IN: dict[int, SensitivityClass] = {number: one for one, number in CLASS.items()}
_PURPOSES = frozenset(access_context_pb2.PurposeOfUse.values()) - {0}
_BASES = frozenset(access_context_pb2.LegalBasis.values()) - {0}
_LONGEST_REASON = 200


def stamp(at: datetime) -> Timestamp:
    """A proto timestamp."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


def time_in(message: Message, field: str) -> datetime | None:
    """A timestamp field, or None where it is absent."""
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None


def resource_id(name: str, collection: str, field: str) -> UUID:
    """The UUID of `collection/{uuid}`; InvalidArgument naming the field otherwise."""
    prefix, _, value = name.partition("/")
    try:
        if prefix == collection and str(UUID(value)) == value:
            return UUID(value)
    except ValueError:
        pass
    raise InvalidArgument.of(FieldViolation(field, f"{collection}/{{uuid}}", "NAME_INVALID"))


def kinds_out(kinds: Iterable[ContentKind]) -> list[document_kind_pb2.DocumentKind.ValueType]:
    """Kinds in the order of the contract."""
    return sorted(KIND[kind] for kind in kinds)


def kinds_in(numbers: Sequence[int], field: str) -> frozenset[ContentKind]:
    """Kinds of a filter; InvalidArgument naming every unknown one."""
    wrong = [
        FieldViolation(f"{field}[{at}]", "a known kind", "KIND_UNKNOWN")
        for at, number in enumerate(numbers)
        if number not in _KIND_IN
    ]
    if wrong:
        raise InvalidArgument.of(*wrong)
    return frozenset(_KIND_IN[number] for number in numbers)


def known_kinds(numbers: Iterable[int]) -> frozenset[ContentKind]:
    """Kinds that a peer names; those this version does not know are left out, as nothing stored has them."""
    return frozenset(_KIND_IN[number] for number in numbers if number in _KIND_IN)


def known_classes(numbers: Iterable[int]) -> frozenset[SensitivityClass]:
    """Sensitive classes that a peer names; those this version does not know are left out, as nothing stored has them."""
    return frozenset(_CLASS_IN[number] for number in numbers if number in _CLASS_IN)


def period_in(period: period_pb2.Period) -> Span:
    """A span; absent ends are open."""
    return Span(
        period.start_time.ToDatetime(UTC) if period.HasField("start_time") else None,
        period.end_time.ToDatetime(UTC) if period.HasField("end_time") else None,
    )


def period_filter(period: period_pb2.Period, field: str) -> Span:
    """A span asked for; InvalidArgument when it ends before it starts or its times are impossible."""
    try:
        span = period_in(period)
    except (ValueError, OverflowError):
        raise InvalidArgument.of(FieldViolation(field, "possible times", "PERIOD_INVALID")) from None
    if span.start is not None and span.end is not None and span.end <= span.start:
        raise InvalidArgument.of(FieldViolation(field, "ends after it starts", "PERIOD_INVALID"))
    return span


def period_out(start: datetime | None, end: datetime | None) -> period_pb2.Period:
    """A period of the contract."""
    return period_pb2.Period(
        start_time=None if start is None else stamp(start), end_time=None if end is None else stamp(end)
    )


def context_in(context: access_context_pb2.AccessContext, field: str) -> AccessContext:
    """Why a read is made; InvalidArgument naming every wrong field."""
    wrong = []
    if context.purpose not in _PURPOSES:
        wrong.append(FieldViolation(f"{field}.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
    if context.legal_basis not in _BASES:
        wrong.append(FieldViolation(f"{field}.legal_basis", "a known ground", "LEGAL_BASIS_UNKNOWN"))
    if len(context.reason) > _LONGEST_REASON:
        wrong.append(FieldViolation(f"{field}.reason", f"at most {_LONGEST_REASON} characters", "TOO_LONG"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return AccessContext(context.purpose, context.legal_basis, context.reason)
