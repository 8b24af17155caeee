"""Queries and decisions, proto to model and back."""

from __future__ import annotations

from lienthong.consent.v1 import decision_pb2, decision_service_pb2
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model
from services.consent.convert.scalars import (
    BASIS,
    BASIS_IN,
    KIND,
    PURPOSE_IN,
    class_out,
    classes_out,
    effect_out,
    kinds_in,
    kinds_out,
    period_in,
    period_out,
    resource_id,
    stamp,
)
from services.consent.decision import Decision


def queries_in(request: decision_service_pb2.DecideRequest) -> list[model.Query]:
    """The queries of a request; InvalidArgument naming every wrong field of every query."""
    wrong: list[FieldViolation] = []
    queries = []
    for place, query in enumerate(request.queries):
        field = f"queries[{place}]"
        if query.context.purpose not in PURPOSE_IN:
            wrong.append(FieldViolation(f"{field}.context.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
        if query.context.legal_basis not in BASIS_IN:
            wrong.append(FieldViolation(f"{field}.context.legal_basis", "a known legal basis", "LEGAL_BASIS_UNKNOWN"))
        if len(query.context.reason) > 200:
            wrong.append(FieldViolation(f"{field}.context.reason", "at most 200 characters", "TOO_LONG"))
        if len(query.resources) > 100:
            wrong.append(FieldViolation(f"{field}.resources", "at most 100", "COUNT_OUT_OF_RANGE"))
        kinds = kinds_in(query.kinds, f"{field}.kinds", wrong)
        try:
            person = resource_id(query.person, "persons", f"{field}.person")
        except InvalidArgument as error:
            wrong.extend(error.violations)
        if wrong:
            continue
        queries.append(
            model.Query(
                person=person,
                purpose=PURPOSE_IN[query.context.purpose],
                basis=BASIS_IN[query.context.legal_basis],
                kinds=kinds,
                period=period_in(query.period),
                method=query.method,
                resources=tuple(query.resources),
                evidence=tuple(
                    model.TreatmentEvidence(evidence.type, evidence.resource) for evidence in query.evidence
                ),
                reason=query.context.reason,
            )
        )
    if wrong:
        raise InvalidArgument.of(*wrong)
    return queries


def decision_message(decision: Decision) -> decision_pb2.Decision:
    """The proto of a decision."""
    ruling = decision.ruling
    return decision_pb2.Decision(
        name=f"decisions/{decision.id}",
        effect=effect_out(ruling.effect),
        permissions=[
            decision_pb2.Permission(
                kinds=kinds_out(permission.kinds),
                data_period=period_out(permission.period),
                consent=f"consents/{permission.consent}" if permission.consent else "",
                sensitive_classes=classes_out(permission.classes),
                source=f"organizations/{permission.source}" if permission.source else "",
            )
            for permission in ruling.permissions
        ],
        withheld=[
            decision_pb2.WithheldKind(kind=document_kind_pb2.DocumentKind.ValueType(KIND[kind]), reason=reason)
            for kind, reason in ruling.withheld
        ],
        rules=[
            decision_pb2.RuleResult(
                rule=rule.rule, effect=effect_out(rule.effect), article=rule.article, missing_facts=list(rule.missing)
            )
            for rule in ruling.rules
        ],
        would_change=[
            decision_pb2.Change(code=change.code, description=change.description) for change in ruling.would_change
        ],
        legal_basis=access_context_pb2.LegalBasis.ValueType(BASIS[decision.query.basis]),
        policy_version=ruling.policy_version,
        access=f"accesses/{decision.access}",
        decide_time=stamp(decision.decided_at),
        expire_time=stamp(decision.expires_at),
        withheld_classes=[
            decision_pb2.WithheldClass(sensitivity_class=class_out(one), reason=reason)
            for one, reason in ruling.withheld_classes
        ],
        obligations=list(ruling.obligations),
        emergency_access=f"emergencyAccesses/{decision.emergency}" if decision.emergency else "",
    )
