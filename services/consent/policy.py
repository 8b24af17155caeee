"""The access policy: rules as values, default deny, forbid beats permit, no rule sees another's result.

Pure: facts in, ruling out; the same facts always give the same ruling, so a stored input can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.consent.facts import Facts
from services.consent.model import (
    ALWAYS,
    SENSITIVE,
    Basis,
    Change,
    ConsentState,
    Effect,
    Kind,
    Permission,
    Purpose,
    RuleResult,
    Ruling,
)

POLICY_VERSION = "2026-11-1"
"""Raised with every change of a rule; stands in every decision."""


@dataclass(frozen=True)
class Finding:
    """What a rule says of the facts: what it permits, or which facts it lacks."""

    permissions: Sequence[Permission] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Rule:
    """A rule that permits. `article` is the law it rests on."""

    id: str
    article: str
    judge: Callable[[Facts], Finding]


def _own_data(facts: Facts) -> Finding:
    query, requester = facts.query, facts.requester
    missing = []
    if requester.kind != "CITIZEN" or requester.person != query.person:
        missing.append("requester.is_the_person")
    if query.basis is not Basis.OWN_DATA:
        missing.append("basis.own_data")
    if query.purpose is not Purpose.PATIENT_REQUEST:
        missing.append("purpose.patient_request")
    return Finding(missing=missing) if missing else Finding((Permission(query.kinds, query.period),))


def _by_facility(facts: Facts, basis: Basis) -> list[str]:
    missing = []
    if facts.requester.kind not in ("FACILITY", "PRACTITIONER") or not facts.requester.organization:
        missing.append("requester.is_a_facility")
    if facts.query.basis is not basis:
        missing.append(f"basis.{basis.value.lower()}")
    return missing


def _consent(facts: Facts) -> Finding:
    missing = _by_facility(facts, Basis.CONSENT)
    if missing:
        return Finding(missing=missing)
    query = facts.query
    treats = any(evidence.type in ("REFERRAL", "APPOINTMENT", "OWN_DOCUMENT") for evidence in query.evidence)
    permissions = []
    for consent in facts.consents:
        terms = consent.terms
        named = terms.organization == facts.requester.organization
        if consent.state(facts.at) is not ConsentState.ACTIVE or terms.purpose is not query.purpose:
            continue
        if not named and not (terms.organization is None and treats):
            continue
        kinds = query.kinds & (terms.kinds if named else terms.kinds - SENSITIVE)
        period = query.period.meet(terms.data_period)
        if kinds and period is not None:
            permissions.append(Permission(kinds, period, consent.id))
    return Finding(permissions) if permissions else Finding(missing=_consent_gaps(facts, treats))


def _consent_gaps(facts: Facts, treats: bool) -> list[str]:
    """Which fact was missing, the most telling first: a consent that once was there tells more than none at all."""
    ours = [consent for consent in facts.consents if consent.terms.organization in (None, facts.requester.organization)]
    fitting = [consent for consent in ours if consent.terms.purpose is facts.query.purpose]
    states = {consent.state(facts.at) for consent in fitting}
    if ConsentState.ACTIVE in states:
        active = [consent for consent in fitting if consent.state(facts.at) is ConsentState.ACTIVE]
        if not treats and all(consent.terms.organization is None for consent in active):
            return ["treatment.evidence"]
        return ["consent.kinds_and_period"]
    if ConsentState.REVOKED in states:
        return ["consent.not_revoked"]
    if ConsentState.EXPIRED in states:
        return ["consent.not_expired"]
    return ["consent.purpose"] if ours else ["consent.active"]


def _referral(facts: Facts) -> Finding:
    missing = _by_facility(facts, Basis.LAW_19_1_DD)
    if facts.query.purpose is not Purpose.TREATMENT:
        missing.append("purpose.treatment")
    if not any(evidence.type == "REFERRAL" for evidence in facts.query.evidence):
        missing.append("treatment.referral")
    kinds = facts.query.kinds & {Kind.REFERRAL}
    if not kinds:
        missing.append("kind.referral")
    return Finding(missing=missing) if missing else Finding((Permission(frozenset(kinds), facts.query.period),))


def _own_document(facts: Facts) -> Finding:
    missing = _by_facility(facts, Basis.LAW_19_1_DD)
    own = {evidence.resource for evidence in facts.query.evidence if evidence.type == "OWN_DOCUMENT"}
    if not facts.query.resources or not own.issuperset(facts.query.resources):
        missing.append("resources.own_documents_only")
    return Finding(missing=missing) if missing else Finding((Permission(facts.query.kinds, ALWAYS),))


RULES: Sequence[Rule] = (
    Rule("own-data", "Law 91/2025 art. 4", _own_data),
    Rule("consent", "Law 91/2025 art. 9 and 26.2", _consent),
    Rule("referral", "Law 91/2025 art. 19.1 đ with TT 01/2025/TT-BYT art. 12", _referral),
    Rule("own-document", "Law 91/2025 art. 19.1 đ with Law 15/2023 art. 69", _own_document),
)

CHANGES: dict[str, Change] = {
    "consent.active": Change("OBTAIN_CONSENT", "ask the person for consent with RequestConsent"),
    "consent.purpose": Change("OBTAIN_CONSENT_FOR_PURPOSE", "ask the person for consent for this purpose"),
    "consent.not_revoked": Change("OBTAIN_NEW_CONSENT", "the person withdrew the consent; only a new one permits"),
    "consent.not_expired": Change("RENEW_CONSENT", "the consent has ended; ask the person for a new one"),
    "consent.kinds_and_period": Change("WIDEN_CONSENT", "ask the person for consent that covers these kinds and dates"),
    "treatment.evidence": Change("SHOW_TREATMENT", "register the person's arrival, a referral or an appointment first"),
    "basis.consent": Change("CLAIM_CONSENT", "name consent as the legal basis where there is one"),
}
_TELLING = tuple(CHANGES)


def rule_on(facts: Facts) -> Ruling:
    """Applies every rule. Sensitive kinds are cut from everything but the person's own reading, a consent that names facility and kind, and
    the facility's own documents."""
    permissions: list[Permission] = []
    results: list[RuleResult] = []
    for rule in RULES:
        finding = rule.judge(facts)
        permissions.extend(finding.permissions)
        effect = Effect.PERMIT if finding.permissions else Effect.NOT_APPLICABLE
        results.append(RuleResult(rule.id, effect, rule.article, tuple(finding.missing)))
    covered = frozenset(kind for permission in permissions for kind in permission.kinds)
    withheld = [
        (kind, "SENSITIVE_KIND" if kind in SENSITIVE else "KIND_NOT_PERMITTED")
        for kind in sorted(facts.query.kinds - covered, key=lambda kind: kind.value)
    ]
    missing = {fact for result in results for fact in result.missing}
    changes = [CHANGES[fact] for fact in _TELLING if fact in missing] if withheld else []
    if withheld and permissions:
        changes = [CHANGES["consent.kinds_and_period"]]
    return Ruling(
        effect=Effect.PERMIT if permissions else Effect.DENY,
        permissions=tuple(permissions),
        withheld=tuple(withheld),
        rules=tuple(results),
        would_change=tuple(changes),
        policy_version=POLICY_VERSION,
    )
