"""Decisions as JSON: their whole input and output, so that they can be explained and replayed.

The facts' form is made by the database in one statement (postgres/decisions.py) and kept as it came; `gathered_out` makes the same form of facts
in hand. Times are ISO 8601 in UTC; what is null is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.consent.decision import Decision
from services.consent.facts import (
    EmergencyGrant,
    Facts,
    Registry,
    Relation,
    Restriction,
    RestrictionKind,
)
from services.consent.model import (
    Agreement,
    AgreementRole,
    Basis,
    Change,
    Channel,
    Consent,
    Effect,
    Evidence,
    Frequency,
    Kind,
    Period,
    Permission,
    Purpose,
    Query,
    Requester,
    RuleResult,
    Ruling,
    SensitivityClass,
    Terms,
    TreatmentEvidence,
)

FORM = 2
"""Version of this form; stands in every record."""
Json = Mapping[str, Any]
_AGREED = "AGREED_"


def decision_out(decision: Decision, gathered: Json | None = None) -> dict[str, Any]:
    """A decision as JSON; `gathered` are its facts in the form of the database, where they are at hand."""
    return {
        "form": FORM,
        "access": str(decision.access),
        "query": query_out(decision.query),
        "requester": requester_out(decision.requester),
        "at": decision.decided_at.isoformat(),
        "facts": gathered_out(decision.facts) if gathered is None else gathered,
        "ruling": ruling_out(decision.ruling),
    }


def decision_in(id: UUID, content: Json) -> Decision:
    """A decision from JSON."""
    return Decision(id, facts_in(content), ruling_in(content["ruling"]), UUID(content["access"]))


def facts_in(content: Json) -> Facts:
    """The facts of a record, for a replay."""
    return facts_of(
        query_in(content["query"]),
        requester_in(content["requester"]),
        datetime.fromisoformat(content["at"]),
        content["facts"],
    )


def query_out(query: Query) -> dict[str, Any]:
    """What was asked."""
    return {
        "person": str(query.person),
        "purpose": query.purpose.value,
        "basis": query.basis.value,
        "kinds": sorted(kind.value for kind in query.kinds),
        "period": _period_out(query.period),
        "method": query.method,
        "resources": list(query.resources),
        "evidence": [[evidence.type, evidence.resource] for evidence in query.evidence],
        "reason": query.reason,
    }


def query_in(value: Json) -> Query:
    """What was asked."""
    return Query(
        UUID(value["person"]),
        Purpose(value["purpose"]),
        Basis(value["basis"]),
        frozenset(Kind(kind) for kind in value["kinds"]),
        _period_in(value["period"]),
        value["method"],
        tuple(value["resources"]),
        tuple(TreatmentEvidence(*evidence) for evidence in value["evidence"]),
        value["reason"],
    )


def requester_out(requester: Requester) -> dict[str, Any]:
    """Who asked."""
    return {
        "kind": requester.kind,
        "organization": requester.organization,
        "licence": requester.licence,
        "person": str(requester.person) if requester.person else None,
        "role": requester.role,
    }


def requester_in(value: Json) -> Requester:
    """Who asked."""
    person = value["person"]
    return Requester(
        value["kind"], value["organization"], value["licence"], UUID(person) if person else None, value["role"]
    )


def facts_of(query: Query, requester: Requester, at: datetime, gathered: Json) -> Facts:
    """What was asked together with what the database gathered for it."""
    consents = gathered.get("consents", ())
    grant = gathered.get("emergency")
    return Facts(
        query=query,
        requester=requester,
        at=at,
        consents=tuple(_consent_in(one) for one in consents),
        uses={UUID(one["id"]): one["uses"] for one in consents if one.get("uses")},
        relations=tuple(
            Relation(TreatmentEvidence(one["type"], one["resource"]), _period_in(one))
            for one in gathered.get("relations", ())
        ),
        emergency=None if grant is None else _grant_in(grant),
        registry=_registry_in(gathered.get("registry", {})),
        guardians=frozenset(UUID(one) for one in gathered.get("guardians", ())),
        restrictions=tuple(
            Restriction(RestrictionKind(one["kind"]), Purpose(one["purpose"]) if "purpose" in one else None)
            for one in gathered.get("restrictions", ())
        ),
    )


def gathered_out(facts: Facts) -> dict[str, Any]:
    """What was gathered, in the form of the database."""
    registry = facts.registry
    gathered = {
        "consents": [_consent_out(one, facts.uses.get(one.id, 0)) for one in facts.consents],
        "relations": [
            {"type": one.evidence.type, "resource": one.evidence.resource, **_period_out(one.period)}
            for one in facts.relations
        ],
        "emergency": None if facts.emergency is None else grant_out(facts.emergency),
        "registry": _present(
            heard=_time_out(registry.heard_at),
            active=registry.organization_active,
            care_level=registry.care_level,
            role=registry.licence_role,
            licensed=None if registry.licence_period is None else _period_out(registry.licence_period),
            organizations=sorted(registry.licence_organizations) or None,
        ),
        "guardians": sorted(str(one) for one in facts.guardians),
        "restrictions": [
            _present(kind=one.kind.value, purpose=one.purpose and one.purpose.value) for one in facts.restrictions
        ],
    }
    return {name: value for name, value in gathered.items() if value}


def grant_out(grant: EmergencyGrant) -> dict[str, Any]:
    """An emergency access that was looked at."""
    return _present(
        id=str(grant.id),
        opened=_time_out(grant.opened_at),
        confirmed=_time_out(grant.confirmed_at),
        widened=_time_out(grant.widened_at),
        life_saving=grant.life_saving or None,
    )


def ruling_out(ruling: Ruling) -> dict[str, Any]:
    """What was ruled."""
    return {
        "effect": ruling.effect.value,
        "permissions": [
            _present(
                kinds=sorted(kind.value for kind in one.kinds),
                period=_period_out(one.period),
                consent=str(one.consent) if one.consent else None,
                classes=_values(one.classes),
                source=one.source,
            )
            for one in ruling.permissions
        ],
        "withheld": [[kind.value, reason] for kind, reason in ruling.withheld],
        "withheld_classes": [[one.value, reason] for one, reason in ruling.withheld_classes],
        "rules": [[one.rule, one.effect.value, one.article, list(one.missing)] for one in ruling.rules],
        "would_change": [[one.code, one.description] for one in ruling.would_change],
        "obligations": list(ruling.obligations),
        "policy_version": ruling.policy_version,
    }


def ruling_in(value: Json) -> Ruling:
    """What was ruled."""
    return Ruling(
        Effect(value["effect"]),
        tuple(
            Permission(
                frozenset(Kind(kind) for kind in one["kinds"]),
                _period_in(one["period"]),
                UUID(one["consent"]) if "consent" in one else None,
                _classes(one.get("classes", ())),
                one.get("source"),
            )
            for one in value["permissions"]
        ),
        tuple((Kind(kind), reason) for kind, reason in value["withheld"]),
        tuple(
            RuleResult(rule, Effect(effect), article, tuple(missing))
            for rule, effect, article, missing in value["rules"]
        ),
        tuple(Change(*change) for change in value["would_change"]),
        value["policy_version"],
        tuple((SensitivityClass(one), reason) for one, reason in value["withheld_classes"]),
        tuple(value["obligations"]),
    )


def _consent_in(value: Json) -> Consent:
    channel, reads = Channel(value["channel"]), value.get("reads")
    agreed = tuple(
        Agreement(
            AgreementRole(kind.removeprefix(_AGREED)),
            UUID(person),
            datetime.fromisoformat(at),
            Evidence(channel, "", ""),
        )
        for kind, person, at in value.get("agreed", ())
    )
    by, class_, erase = value.get("granted_by"), value.get("organization_class"), value.get("erase_after")
    interval = value.get("interval")
    return Consent(
        id=UUID(value["id"]),
        person=UUID(value["person"]),
        terms=Terms(
            Purpose(value["purpose"]),
            frozenset(Kind(kind) for kind in value["kinds"]),
            _period_in(value),
            timedelta(seconds=value["duration"]),
            value.get("organization"),
            value.get("licence"),
            class_,
            None if erase is None else timedelta(seconds=erase),
            None if reads is None else Frequency(reads, None if interval is None else timedelta(seconds=interval)),
            _classes(value.get("classes", ())),
        ),
        evidence=Evidence(channel, value.get("text_version", ""), ""),
        granted_at=datetime.fromisoformat(value["granted"]),
        revoked_at=_time_in(value.get("revoked")),
        source=value.get("source"),
        required=frozenset(AgreementRole(role) for role in value["required"]),
        granted_as=AgreementRole(value["granted_as"]),
        granted_by=None if by is None else UUID(by),
        agreed=agreed,
        ends_by=_time_in(value.get("ends_by")),
    )


def _consent_out(one: Consent, uses: int) -> dict[str, Any]:
    terms, frequency = one.terms, one.terms.frequency
    interval = frequency.interval if frequency else None
    return _present(
        id=str(one.id),
        person=str(one.person),
        purpose=terms.purpose.value,
        kinds=sorted(kind.value for kind in terms.kinds),
        **_period_out(terms.data_period),
        duration=int(terms.duration.total_seconds()),
        organization=terms.organization,
        licence=terms.licence,
        organization_class=terms.organization_class,
        erase_after=None if terms.erase_after is None else int(terms.erase_after.total_seconds()),
        reads=frequency.reads if frequency else None,
        interval=int(interval.total_seconds()) if interval else None,
        classes=_values(terms.classes),
        source=one.source,
        required=sorted(role.value for role in one.required),
        granted_as=one.granted_as.value,
        granted_by=str(one.granted_by) if one.granted_by else None,
        granted=_time_out(one.granted_at),
        revoked=_time_out(one.revoked_at),
        ends_by=_time_out(one.ends_by),
        agreed=[[_AGREED + it.role.value, str(it.person), it.at.isoformat()] for it in one.agreed] or None,
        channel=one.evidence.channel.value,
        text_version=one.evidence.text_version or None,
        uses=uses or None,
    )


def _grant_in(value: Json) -> EmergencyGrant:
    return EmergencyGrant(
        UUID(value["id"]),
        datetime.fromisoformat(value["opened"]),
        _time_in(value.get("confirmed")),
        _time_in(value.get("widened")),
        life_saving=value.get("life_saving", False),
    )


def _registry_in(value: Json) -> Registry:
    licensed = value.get("licensed")
    return Registry(
        heard_at=_time_in(value.get("heard")),
        organization_active=value.get("active"),
        care_level=value.get("care_level"),
        licence_role=value.get("role"),
        licence_period=None if licensed is None else _period_in(licensed),
        licence_organizations=frozenset(value.get("organizations", ())),
    )


def _period_out(period: Period) -> dict[str, str]:
    return _present(start=_time_out(period.start), end=_time_out(period.end))


def _period_in(value: Json) -> Period:
    return Period(_time_in(value.get("start")), _time_in(value.get("end")))


def _time_out(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time_in(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _classes(values: Sequence[str]) -> frozenset[SensitivityClass]:
    return frozenset(SensitivityClass(one) for one in values)


def _values(classes: frozenset[SensitivityClass]) -> list[str] | None:
    return sorted(one.value for one in classes) or None


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
