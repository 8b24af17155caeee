"""Rows and JSON of the consent database to the model and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.consent.decision import Decision
from services.consent.model import (
    Access,
    Agreement,
    AgreementRole,
    Basis,
    Channel,
    Consent,
    ConsentRequest,
    Effect,
    Evidence,
    Frequency,
    Kind,
    Period,
    Purpose,
    RequestState,
    SensitivityClass,
    Terms,
)

Row = Mapping[Any, Any]
REVOKED = "REVOKED"
AGREED = "AGREED_"
"""Kinds of events; an agreement's ends with the role."""


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
    limit = terms.frequency
    return {
        "purpose": terms.purpose.value,
        "kinds": kinds_out(terms.kinds),
        "data_period": _period_out(terms.data_period),
        "duration_seconds": _seconds(terms.duration),
        "organization": terms.organization,
        "licence": terms.licence,
        "organization_class": terms.organization_class,
        "erase_after_seconds": _seconds(terms.erase_after),
        "frequency_reads": limit.reads if limit else None,
        "frequency_interval_seconds": _seconds(limit.interval) if limit else None,
        "sensitive_classes": classes_out(terms.classes),
        "sources": list(terms.sources),
    }


def terms_in(value: Row) -> Terms:
    """Terms from JSON."""
    return Terms(
        purpose=Purpose(value["purpose"]),
        kinds=kinds_in(value["kinds"]),
        data_period=_period_in(value["data_period"]),
        duration=timedelta(seconds=value["duration_seconds"]),
        organization=value["organization"],
        sources=tuple(value.get("sources", ())),
        **_further_terms(value),
    )


def _further_terms(value: Row) -> dict[str, Any]:
    """Those that requests made before they existed don't have."""
    reads = value.get("frequency_reads")
    return {
        "licence": value.get("licence"),
        "organization_class": value.get("organization_class"),
        "erase_after": _span(value.get("erase_after_seconds")),
        "frequency": None if reads is None else Frequency(reads, _span(value.get("frequency_interval_seconds"))),
        "classes": frozenset(SensitivityClass(one) for one in value.get("sensitive_classes", ())),
    }


def classes_out(classes: frozenset[SensitivityClass]) -> list[str]:
    """Classes in a fixed order."""
    return sorted(one.value for one in classes)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())


def _span(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def consent_out(new: Consent) -> dict[str, Any]:
    """A consent as a row, without what is sealed."""
    terms, limit = new.terms, new.terms.frequency
    return {
        "person_id": new.person,
        "id": new.id,
        "purpose": terms.purpose.value,
        "kinds": kinds_out(terms.kinds),
        "data_start": terms.data_period.start,
        "data_end": terms.data_period.end,
        "duration_seconds": _seconds(terms.duration),
        "organization": terms.organization,
        "channel": new.evidence.channel.value,
        "text_version": new.evidence.text_version,
        "text_sha256": new.evidence.text_sha256,
        "acr": new.evidence.acr,
        "request_id": new.request,
        "granted_at": new.granted_at,
        "licence": terms.licence,
        "organization_class": terms.organization_class,
        "erase_after_seconds": _seconds(terms.erase_after),
        "frequency_reads": limit.reads if limit else None,
        "frequency_interval_seconds": _seconds(limit.interval) if limit else None,
        "sensitive_classes": classes_out(terms.classes),
        "source": new.source,
        "required": sorted(role.value for role in new.required),
        "granted_as": new.granted_as.value,
        "granted_by": new.granted_by,
        "ends_by": new.ends_by,
        "witness_licence": new.evidence.witness,
    }


def consent_in(
    row: Row, events: Sequence[Row] = (), assertion: str = "", opened: Mapping[str, str] | None = None
) -> Consent:
    """A consent from its row and its events, with what of their evidence was opened, by kind of event."""
    revoked = next((one for one in events if one["kind"] == REVOKED), None)
    return Consent(
        id=row["id"],
        person=row["person_id"],
        terms=Terms(
            purpose=Purpose(row["purpose"]),
            kinds=kinds_in(row["kinds"]),
            data_period=Period(row["data_start"], row["data_end"]),
            duration=timedelta(seconds=row["duration_seconds"]),
            organization=row["organization"],
            **_further_terms(row),
        ),
        evidence=Evidence(
            Channel(row["channel"]),
            row["text_version"],
            row["text_sha256"],
            assertion,
            row["acr"],
            row["witness_licence"],
        ),
        granted_at=row["granted_at"],
        revoked_at=None if revoked is None else revoked["at"],
        revoked_by=None if revoked is None else revoked["actor_id"],
        agreed=tuple(
            _agreement_in(row, one, (opened or {}).get(one["kind"], "")) for one in events if one["kind"] != REVOKED
        ),
        request=row["request_id"],
        source=row["source"],
        required=frozenset(AgreementRole(role) for role in row["required"]),
        granted_as=AgreementRole(row["granted_as"]),
        granted_by=row["granted_by"],
        ends_by=row["ends_by"],
    )


def _agreement_in(row: Row, event: Row, assertion: str) -> Agreement:
    evidence = Evidence(
        Channel(event["channel"]),
        event["text_version"],
        event["text_sha256"],
        assertion,
        event["acr"],
        event["witness_licence"],
    )
    role = AgreementRole(event["kind"].removeprefix(AGREED))
    return Agreement(role, event["actor_id"] or row["person_id"], event["at"], evidence)


def agreement_out(of: Consent, agreement: Agreement) -> dict[str, Any]:
    """An agreement as an event, without what is sealed."""
    return {
        "person_id": of.person,
        "consent_id": of.id,
        "kind": AGREED + agreement.role.value,
        "at": agreement.at,
        "actor_id": agreement.person,
        "channel": agreement.evidence.channel.value,
        "text_version": agreement.evidence.text_version,
        "text_sha256": agreement.evidence.text_sha256,
        "acr": agreement.evidence.acr,
        "witness_licence": agreement.evidence.witness,
    }


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
        channel=Channel(row["channel"]),
        code=bytes(row["code_hash"] or b""),
        asked=row["asked_id"],
        required=frozenset(AgreementRole(role) for role in row["required"]),
        ends_by=row["ends_by"],
    )


def decision_out(decision: Decision, content: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as a row in JSON; `content` is its record."""
    return {
        "person_id": decision.query.person,
        "id": decision.id,
        "content": content,
        "decided_at": decision.decided_at,
        "emergency_access_id": decision.emergency,
    }


def uses_out(decision: Decision) -> list[dict[str, Any]]:
    """One row for each consent that the permissions of a decision rest on, under the entry that gave it."""
    givers = {one.id: one.person for one in decision.facts.consents}
    return [
        {
            "person_id": givers[consent],
            "consent_id": consent,
            "decision_id": decision.id,
            "organization": decision.requester.organization or "",
            "at": decision.decided_at,
        }
        for consent in sorted({one.consent for one in decision.ruling.permissions if one.consent is not None})
    ]


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
        "acting_person_id": line.acting_person,
        "resources": list(line.resources),
        "emergency_access_id": line.emergency,
        "sensitive_classes": [one.value for one in line.classes],
        "form": line.form,
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
        acting_person=row["acting_person_id"],
        resources=tuple(row["resources"]),
        emergency=row["emergency_access_id"],
        classes=tuple(SensitivityClass(value) for value in row["sensitive_classes"]),
        form=row["form"],
    )
