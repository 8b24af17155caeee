"""Rows and JSON of the consent database to the model and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.consent.model import (
    Access,
    Basis,
    Change,
    Channel,
    Consent,
    ConsentRequest,
    Decision,
    Effect,
    Evidence,
    Kind,
    Period,
    Permission,
    Purpose,
    Query,
    Requester,
    RequestState,
    RuleResult,
    Ruling,
    Terms,
    TreatmentEvidence,
)

Row = Mapping[Any, Any]


def kinds_out(kinds: frozenset[Kind] | tuple[Kind, ...]) -> list[str]:
    """Kinds in a fixed order."""
    return sorted(kind.value for kind in kinds)


def kinds_in(values: list[str]) -> frozenset[Kind]:
    """Kinds of a row."""
    return frozenset(Kind(value) for value in values)


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _period_out(period: Period) -> dict[str, str | None]:
    return {"start": _text(period.start), "end": _text(period.end)}


def _period_in(value: Row) -> Period:
    return Period(_time(value["start"]), _time(value["end"]))


def terms_out(terms: Terms) -> dict[str, Any]:
    """Terms as JSON."""
    return {
        "purpose": terms.purpose.value,
        "kinds": kinds_out(terms.kinds),
        "data_period": _period_out(terms.data_period),
        "duration_seconds": int(terms.duration.total_seconds()),
        "organization": terms.organization,
    }


def terms_in(value: Row) -> Terms:
    """Terms from JSON."""
    return Terms(
        Purpose(value["purpose"]),
        kinds_in(value["kinds"]),
        _period_in(value["data_period"]),
        timedelta(seconds=value["duration_seconds"]),
        value["organization"],
    )


def consent_in(row: Row, revoked_at: datetime | None, assertion: str = "") -> Consent:
    """A consent from its row and its withdrawal."""
    return Consent(
        id=row["id"],
        person=row["person_id"],
        terms=Terms(
            Purpose(row["purpose"]),
            kinds_in(row["kinds"]),
            Period(row["data_start"], row["data_end"]),
            timedelta(seconds=row["duration_seconds"]),
            row["organization"],
        ),
        evidence=Evidence(Channel(row["channel"]), row["text_version"], row["text_sha256"], assertion, row["acr"]),
        granted_at=row["granted_at"],
        revoked_at=revoked_at,
        request=row["request_id"],
    )


def request_in(row: Row, app_request: str) -> ConsentRequest:
    """A request from its row and the opened handle."""
    return ConsentRequest(
        id=row["id"],
        person=row["person_id"],
        organization=row["organization"],
        terms=terms_in(row["terms"]),
        binding_message=row["binding_message"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        app_request=app_request,
        answer=RequestState(row["answer"]) if row["answer"] else None,
        consent=row["consent_id"],
    )


def decision_out(decision: Decision) -> dict[str, Any]:
    """A decision as JSON: its whole input and output, so that it can be explained and replayed."""
    query, requester, ruling = decision.query, decision.requester, decision.ruling
    return {
        "access": str(decision.access),
        "query": {
            "person": str(query.person),
            "purpose": query.purpose.value,
            "basis": query.basis.value,
            "kinds": kinds_out(query.kinds),
            "period": _period_out(query.period),
            "method": query.method,
            "resources": list(query.resources),
            "evidence": [[evidence.type, evidence.resource] for evidence in query.evidence],
            "reason": query.reason,
        },
        "requester": {
            "kind": requester.kind,
            "organization": requester.organization,
            "licence": requester.licence,
            "person": str(requester.person) if requester.person else None,
        },
        "ruling": {
            "effect": ruling.effect.value,
            "permissions": [
                {
                    "kinds": kinds_out(permission.kinds),
                    "period": _period_out(permission.period),
                    "consent": str(permission.consent) if permission.consent else None,
                }
                for permission in ruling.permissions
            ],
            "withheld": [[kind.value, reason] for kind, reason in ruling.withheld],
            "rules": [[rule.rule, rule.effect.value, rule.article, list(rule.missing)] for rule in ruling.rules],
            "would_change": [[change.code, change.description] for change in ruling.would_change],
            "policy_version": ruling.policy_version,
        },
    }


def decision_in(id: UUID, decided_at: datetime, content: Row) -> Decision:
    """A decision from JSON."""
    query, requester, ruling = content["query"], content["requester"], content["ruling"]
    return Decision(
        id=id,
        query=Query(
            UUID(query["person"]),
            Purpose(query["purpose"]),
            Basis(query["basis"]),
            kinds_in(query["kinds"]),
            _period_in(query["period"]),
            query["method"],
            tuple(query["resources"]),
            tuple(TreatmentEvidence(*evidence) for evidence in query["evidence"]),
            query["reason"],
        ),
        requester=Requester(
            requester["kind"],
            requester["organization"],
            requester["licence"],
            UUID(requester["person"]) if requester["person"] else None,
        ),
        ruling=Ruling(
            Effect(ruling["effect"]),
            tuple(
                Permission(
                    kinds_in(permission["kinds"]),
                    _period_in(permission["period"]),
                    UUID(permission["consent"]) if permission["consent"] else None,
                )
                for permission in ruling["permissions"]
            ),
            tuple((Kind(kind), reason) for kind, reason in ruling["withheld"]),
            tuple(
                RuleResult(rule, Effect(effect), article, tuple(missing))
                for rule, effect, article, missing in ruling["rules"]
            ),
            tuple(Change(*change) for change in ruling["would_change"]),
            ruling["policy_version"],
        ),
        access=UUID(content["access"]),
        decided_at=decided_at,
    )


def access_out(line: Access) -> dict[str, Any]:
    """A ledger line as a row."""
    return {
        "person_id": line.person,
        "sequence": line.sequence,
        "id": line.id,
        "at": line.at,
        "organization": line.organization,
        "licence": line.licence,
        "principal_kind": line.principal_kind,
        "purpose": line.purpose.value,
        "basis": line.basis.value,
        "kinds": [kind.value for kind in line.kinds],
        "method": line.method,
        "decision_id": line.decision,
        "effect": line.effect.value,
        "trace_id": line.trace_id,
        "previous_hash": line.previous_hash,
        "hash": line.hash,
    }


def access_in(row: Row) -> Access:
    """A ledger line from its row."""
    return Access(
        id=row["id"],
        person=row["person_id"],
        sequence=row["sequence"],
        at=row["at"],
        organization=row["organization"],
        licence=row["licence"],
        principal_kind=row["principal_kind"],
        purpose=Purpose(row["purpose"]),
        basis=Basis(row["basis"]),
        kinds=tuple(Kind(value) for value in row["kinds"]),
        method=row["method"],
        decision=row["decision_id"],
        effect=Effect(row["effect"]),
        trace_id=row["trace_id"],
        previous_hash=bytes(row["previous_hash"]),
    )
