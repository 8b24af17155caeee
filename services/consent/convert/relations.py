"""Facts of treatment, proto to model."""

from __future__ import annotations

import re
from datetime import UTC
from uuid import UUID

from lienthong.consent.v1 import treatment_relation_service_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent.convert.scalars import period_in, resource_id
from services.consent.relations import COLLECTIONS, TELLERS, TreatmentRelation

LARGEST_BATCH = 200
_CODE = re.compile(r"organizations/([0-9A-Z]{5})")


def relations_in(
    request: treatment_relation_service_pb2.RecordTreatmentRelationsRequest, role: str
) -> list[TreatmentRelation]:
    """The facts that a role tells; InvalidArgument naming every wrong field of every fact."""
    if not 1 <= len(request.relations) <= LARGEST_BATCH:
        raise InvalidArgument.of(FieldViolation("relations", f"1 to {LARGEST_BATCH}", "COUNT_OUT_OF_RANGE"))
    wrong: list[FieldViolation] = []
    relations = [_relation(said, f"relations[{at}]", role, wrong) for at, said in enumerate(request.relations)]
    if wrong:
        raise InvalidArgument.of(*wrong)
    return relations


def _relation(
    said: treatment_relation_service_pb2.TreatmentRelation, field: str, role: str, wrong: list[FieldViolation]
) -> TreatmentRelation:
    if said.type not in COLLECTIONS:
        wrong.append(FieldViolation(f"{field}.type", f"one of {', '.join(COLLECTIONS)}", "TYPE_UNKNOWN"))
    elif TELLERS[said.type] != role:
        wrong.append(FieldViolation(f"{field}.type", "a type that this role tells", "TYPE_OF_ANOTHER_ROLE"))
    else:
        _id(said.resource, COLLECTIONS[said.type], f"{field}.resource", wrong)
    person = _id(said.person, "persons", f"{field}.person", wrong)
    code = _CODE.fullmatch(said.organization)
    if code is None:
        wrong.append(FieldViolation(f"{field}.organization", "organizations/{code}", "NAME_INVALID"))
    relation = TreatmentRelation(
        person=person,
        resource=said.resource,
        type=said.type,
        organization=code.group(1) if code else "",
        period=period_in(said.period),
        recorded_at=said.record_time.ToDatetime(UTC),
    )
    start, end = relation.period.start, relation.period.end
    if end is None:
        wrong.append(FieldViolation(f"{field}.period.end_time", "required", "FIELD_REQUIRED"))
    elif start is None:
        wrong.append(FieldViolation(f"{field}.period.start_time", "required", "FIELD_REQUIRED"))
    elif not start <= end <= start + relation.longest:
        wanted = f"not before the start, and at most {relation.longest} after it"
        wrong.append(FieldViolation(f"{field}.period.end_time", wanted, "PERIOD_INVALID"))
    return relation


def _id(name: str, collection: str, field: str, wrong: list[FieldViolation]) -> UUID:
    try:
        return resource_id(name, collection, field)
    except InvalidArgument as error:
        wrong.extend(error.violations)
        return UUID(int=0)
