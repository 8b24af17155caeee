"""Proto to model and back for the consent role; nothing else knows both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TypeVar
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.consent.v1 import access_ledger_service_pb2, consent_pb2, decision_pb2, decision_service_pb2
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.consent import model

E = TypeVar("E", bound=Enum)


def _pairs(members: type[E], prefix: str, numbers: Mapping[str, int]) -> tuple[dict[E, int], dict[int, E]]:
    out = {member: numbers[f"{prefix}_{member.value}"] for member in members if f"{prefix}_{member.value}" in numbers}
    return out, {number: member for member, number in out.items()}


_PURPOSE, _PURPOSE_IN = _pairs(model.Purpose, "PURPOSE_OF_USE", dict(access_context_pb2.PurposeOfUse.items()))
_BASIS, _BASIS_IN = _pairs(model.Basis, "LEGAL_BASIS", dict(access_context_pb2.LegalBasis.items()))
_KIND, _KIND_IN = _pairs(model.Kind, "DOCUMENT_KIND", dict(document_kind_pb2.DocumentKind.items()))
_STATE = _pairs(model.ConsentState, "CONSENT_STATE", dict(consent_pb2.ConsentState.items()))[0]
_CHANNEL = _pairs(model.Channel, "CONSENT_CHANNEL", dict(consent_pb2.ConsentChannel.items()))[0]
_REQUEST = _pairs(model.RequestState, "CONSENT_REQUEST_STATE", dict(consent_pb2.ConsentRequestState.items()))[0]
_EFFECT = _pairs(model.Effect, "EFFECT", dict(decision_pb2.Effect.items()))[0]


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


def _stamp(at: datetime | None) -> Timestamp | None:
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


def _period_out(period: model.Period) -> period_pb2.Period | None:
    if period == model.ALWAYS:
        return None
    return period_pb2.Period(start_time=_stamp(period.start), end_time=_stamp(period.end))


def _kinds_in(values: Sequence[int], field: str, wrong: list[FieldViolation]) -> frozenset[model.Kind]:
    wrong += [
        FieldViolation(f"{field}[{place}]", "a known kind", "KIND_UNKNOWN")
        for place, value in enumerate(values)
        if value not in _KIND_IN
    ]
    return frozenset(_KIND_IN[value] for value in values if value in _KIND_IN)


def _kinds_out(kinds: Sequence[model.Kind] | frozenset[model.Kind]) -> list[document_kind_pb2.DocumentKind.ValueType]:
    return [document_kind_pb2.DocumentKind.ValueType(number) for number in sorted(_KIND[kind] for kind in kinds)]


def terms_in(terms: consent_pb2.ConsentTerms, field: str) -> model.Terms:
    """Terms; InvalidArgument naming every wrong field."""
    wrong: list[FieldViolation] = []
    if terms.purpose not in _PURPOSE_IN:
        wrong.append(FieldViolation(f"{field}.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
    kinds = _kinds_in(terms.kinds, f"{field}.kinds", wrong)
    way = terms.grantee.WhichOneof("grantee")
    organization: str | None = None
    if way == "organization":
        collection, _, code = terms.grantee.organization.partition("/")
        if collection != "organizations" or len(code) != 5:
            wrong.append(FieldViolation(f"{field}.grantee.organization", "organizations/{code}", "NAME_INVALID"))
        organization = code
    elif way is None or not terms.grantee.any_treating:
        wrong.append(FieldViolation(f"{field}.grantee", "one facility, or any_treating set", "GRANTEE_MISSING"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    duration = timedelta(seconds=min(max(terms.permission_duration.seconds, 0), 10**9))
    return model.Terms(_PURPOSE_IN[terms.purpose], kinds, period_in(terms.data_period), duration, organization)


def terms_out(terms: model.Terms) -> consent_pb2.ConsentTerms:
    """The proto of terms."""
    grantee = (
        consent_pb2.Grantee(any_treating=True)
        if terms.organization is None
        else consent_pb2.Grantee(organization=f"organizations/{terms.organization}")
    )
    return consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PurposeOfUse.ValueType(_PURPOSE[terms.purpose]),
        kinds=_kinds_out(terms.kinds),
        data_period=_period_out(terms.data_period),
        permission_duration=Duration(seconds=int(terms.duration.total_seconds())),
        grantee=grantee,
    )


def consent_message(consent: model.Consent, at: datetime) -> consent_pb2.Consent:
    """The proto of a consent with its state at a time."""
    evidence = consent.evidence
    return consent_pb2.Consent(
        name=f"consents/{consent.id}",
        person=f"persons/{consent.person}",
        terms=terms_out(consent.terms),
        state=consent_pb2.ConsentState.ValueType(_STATE[consent.state(at)]),
        evidence=consent_pb2.ConsentEvidence(
            channel=consent_pb2.ConsentChannel.ValueType(_CHANNEL[evidence.channel]),
            text_version=evidence.text_version,
            text_sha256=evidence.text_sha256,
            assertion_sha256=evidence.assertion_sha256,
            acr=evidence.acr,
        ),
        grant_time=_stamp(consent.granted_at),
        expire_time=_stamp(consent.expires_at),
        revoke_time=_stamp(consent.revoked_at),
        consent_request=f"consentRequests/{consent.request}" if consent.request else "",
        etag=consent.etag,
    )


def request_message(request: model.ConsentRequest, at: datetime) -> consent_pb2.ConsentRequest:
    """The proto of a request with its state at a time."""
    return consent_pb2.ConsentRequest(
        name=f"consentRequests/{request.id}",
        person=f"persons/{request.person}",
        organization=f"organizations/{request.organization}",
        terms=terms_out(request.terms),
        state=consent_pb2.ConsentRequestState.ValueType(_REQUEST[request.state(at)]),
        binding_message=request.binding_message,
        consent=f"consents/{request.consent}" if request.consent else "",
        create_time=_stamp(request.created_at),
        expire_time=_stamp(request.expires_at),
    )


def queries_in(request: decision_service_pb2.DecideRequest) -> list[model.Query]:
    """The queries of a request; InvalidArgument naming every wrong field of every query."""
    wrong: list[FieldViolation] = []
    queries = []
    for place, query in enumerate(request.queries):
        field = f"queries[{place}]"
        if query.context.purpose not in _PURPOSE_IN:
            wrong.append(FieldViolation(f"{field}.context.purpose", "a known purpose", "PURPOSE_UNKNOWN"))
        if query.context.legal_basis not in _BASIS_IN:
            wrong.append(FieldViolation(f"{field}.context.legal_basis", "a known legal basis", "LEGAL_BASIS_UNKNOWN"))
        if len(query.context.reason) > 200:
            wrong.append(FieldViolation(f"{field}.context.reason", "at most 200 characters", "TOO_LONG"))
        if len(query.resources) > 100:
            wrong.append(FieldViolation(f"{field}.resources", "at most 100", "COUNT_OUT_OF_RANGE"))
        kinds = _kinds_in(query.kinds, f"{field}.kinds", wrong)
        try:
            person = resource_id(query.person, "persons", f"{field}.person")
        except InvalidArgument as error:
            wrong.extend(error.violations)
        if wrong:
            continue
        queries.append(
            model.Query(
                person=person,
                purpose=_PURPOSE_IN[query.context.purpose],
                basis=_BASIS_IN[query.context.legal_basis],
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


def decision_message(decision: model.Decision) -> decision_pb2.Decision:
    """The proto of a decision."""
    ruling = decision.ruling
    return decision_pb2.Decision(
        name=f"decisions/{decision.id}",
        effect=_effect(ruling.effect),
        permissions=[
            decision_pb2.Permission(
                kinds=_kinds_out(permission.kinds),
                data_period=_period_out(permission.period),
                consent=f"consents/{permission.consent}" if permission.consent else "",
            )
            for permission in ruling.permissions
        ],
        withheld=[
            decision_pb2.WithheldKind(kind=document_kind_pb2.DocumentKind.ValueType(_KIND[kind]), reason=reason)
            for kind, reason in ruling.withheld
        ],
        rules=[
            decision_pb2.RuleResult(
                rule=rule.rule, effect=_effect(rule.effect), article=rule.article, missing_facts=list(rule.missing)
            )
            for rule in ruling.rules
        ],
        would_change=[
            decision_pb2.Change(code=change.code, description=change.description) for change in ruling.would_change
        ],
        legal_basis=access_context_pb2.LegalBasis.ValueType(_BASIS[decision.query.basis]),
        policy_version=ruling.policy_version,
        access=f"accesses/{decision.access}",
        decide_time=_stamp(decision.decided_at),
        expire_time=_stamp(decision.expires_at),
    )


def _effect(effect: model.Effect) -> decision_pb2.Effect.ValueType:
    return decision_pb2.Effect.ValueType(_EFFECT.get(effect, 0))


def access_message(line: model.Access) -> access_ledger_service_pb2.Access:
    """The proto of a ledger line."""
    return access_ledger_service_pb2.Access(
        name=f"accesses/{line.id}",
        person=f"persons/{line.person}",
        sequence=line.sequence,
        access_time=_stamp(line.at),
        organization=f"organizations/{line.organization}" if line.organization else "",
        practitioner_licence=line.licence,
        principal_kind=line.principal_kind,
        purpose=access_context_pb2.PurposeOfUse.ValueType(_PURPOSE[line.purpose]),
        legal_basis=access_context_pb2.LegalBasis.ValueType(_BASIS[line.basis]),
        kinds=_kinds_out(line.kinds),
        method=line.method,
        decision=f"decisions/{line.decision}",
        effect=_effect(line.effect),
        trace_id=line.trace_id,
        previous_hash=line.previous_hash,
        hash=line.hash,
    )
