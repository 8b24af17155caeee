"""What a rule that applies permits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.consent.facts import Facts
from services.consent.model import (
    ALWAYS,
    CLASS_OF,
    AgreementRole,
    Consent,
    ConsentState,
    Kind,
    Period,
    Permission,
    SensitivityClass,
)
from services.consent.policy.predicates import Numbers, treats

EVERY_CLASS = frozenset(SensitivityClass)


@dataclass(frozen=True)
class Finding:
    """What a rule permits, or which facts it lacks; both where it permits a part only."""

    permissions: Sequence[Permission] = ()
    missing: Sequence[str] = ()


Builder = Callable[[Facts, Numbers, frozenset[Kind]], Finding]


def _all(facts: Facts, _: Numbers, kinds: frozenset[Kind]) -> Finding:
    return Finding((Permission(facts.query.kinds, facts.query.period, classes=EVERY_CLASS),))


def _all_times(facts: Facts, _: Numbers, kinds: frozenset[Kind]) -> Finding:
    return Finding((Permission(facts.query.kinds, ALWAYS, classes=EVERY_CLASS),))


def _kinds(facts: Facts, _: Numbers, kinds: frozenset[Kind]) -> Finding:
    shown = facts.query.kinds & kinds
    return Finding((Permission(shown, facts.query.period, classes=EVERY_CLASS),) if shown else ())


def _emergency(facts: Facts, numbers: Numbers, kinds: frozenset[Kind]) -> Finding:
    """The summary of the last years; everything once it was widened, sensitive classes only where they were asserted to save life."""
    grant = facts.emergency
    if grant is None:
        return Finding(missing=("emergency.not_over",))
    classes = EVERY_CLASS if grant.widened_at is not None and grant.life_saving else frozenset()
    if grant.widened_at is not None:
        shown = without_classes(facts.query.kinds, classes)
        return _cut(facts, Permission(shown, facts.query.period, classes=classes))
    recent = Period(facts.at - timedelta(days=numbers.emergency_summary_days), None)
    period = facts.query.period.meet(recent)
    summary = facts.query.kinds & numbers.emergency_summary
    if period is None or not summary:
        return Finding(missing=("emergency.wide",))
    return _cut(facts, Permission(summary, period, classes=classes))


def _cut(facts: Facts, permission: Permission) -> Finding:
    whole = permission.kinds == facts.query.kinds and permission.classes == EVERY_CLASS
    return Finding((permission,) if permission.kinds else (), () if whole else ("emergency.wide",))


def _consented(facts: Facts, numbers: Numbers, kinds: frozenset[Kind]) -> Finding:
    """What active consents that this requester may use cover. A consent whose reads are counted is used only for what others don't cover."""
    shown = treats(facts, numbers)
    usable = [one for one in facts.consents if gap(facts, one, treated=shown) is None]
    parts = [part for one in usable if (part := _part(facts, one)) is not None]
    counted = {one.id for one in usable if one.terms.frequency is not None}
    free = [part for part in parts if part.consent not in counted]
    needed = [part for part in parts if part.consent in counted and not any(_covers(one, part) for one in free)]
    permissions = free + needed
    if not permissions:
        gaps = [gap(facts, one, treated=shown) or "consent.kinds_and_period" for one in facts.consents]
        return Finding(missing=(_nearest(gaps),))
    covered = frozenset(kind for part in permissions for kind in part.kinds)
    classes = frozenset(one for part in permissions for one in part.classes)
    whole = covered == facts.query.kinds and classes == EVERY_CLASS
    return Finding(permissions, () if whole else ("consent.kinds_and_period",))


def _part(facts: Facts, consent: Consent) -> Permission | None:
    terms = consent.terms
    # Who may be anybody may not learn what a closed list of people may know (Law 71/2020/QH14 art. 30).
    named = terms.organization is not None
    classes = terms.classes | {CLASS_OF[kind] for kind in terms.kinds if kind in CLASS_OF} if named else frozenset()
    shown = without_classes(facts.query.kinds & terms.kinds, classes)
    period = facts.query.period.meet(terms.data_period)
    if not shown or period is None:
        return None
    return Permission(shown, period, consent.id, classes, consent.source)


def without_classes(kinds: frozenset[Kind], classes: frozenset[SensitivityClass]) -> frozenset[Kind]:
    """The kinds that tell of no sensitive class but these."""
    return frozenset(kind for kind in kinds if kind not in CLASS_OF or CLASS_OF[kind] in classes)


def _covers(one: Permission, other: Permission) -> bool:
    return (
        one.kinds >= other.kinds
        and one.classes >= other.classes
        and one.source in (None, other.source)
        and one.period.meet(other.period) == other.period
    )


# The nearest to a permission first: what tells most of what to do.
_NEAREST = (
    "consent.kinds_and_period",
    "treatment.evidence",
    "consent.not_exhausted",
    "consent.agreed_by_all",
    "consent.guardian_in_office",
    "consent.practitioner",
    "consent.care_level",
    "consent.not_revoked",
    "consent.not_expired",
    "consent.purpose",
    "consent.active",
)
_STATES = {
    ConsentState.REVOKED: "consent.not_revoked",
    ConsentState.EXPIRED: "consent.not_expired",
    ConsentState.EXHAUSTED: "consent.not_exhausted",
    ConsentState.AWAITING_AGREEMENT: "consent.agreed_by_all",
}


def _nearest(gaps: Sequence[str]) -> str:
    return min(gaps, key=_NEAREST.index, default="consent.active")


def gap(facts: Facts, consent: Consent, *, treated: bool) -> str | None:
    """The first fact that keeps this requester from using a consent; None when they may."""
    terms, requester = consent.terms, facts.requester
    if terms.organization is not None and terms.organization != requester.organization:
        return "consent.active"
    if terms.purpose is not facts.query.purpose:
        return "consent.purpose"
    uses = facts.uses.get(consent.id, 0)
    state = _STATES.get(consent.state(facts.at, uses))
    if state is not None:
        return state
    if terms.frequency is not None and uses >= terms.frequency.reads:
        return "consent.not_exhausted"
    if AgreementRole.GUARDIAN in consent.required and consent.guardian not in facts.guardians:
        return "consent.guardian_in_office"
    if terms.licence is not None and terms.licence != requester.licence:
        return "consent.practitioner"
    if terms.organization_class is not None and terms.organization_class != facts.registry.care_level:
        return "consent.care_level"
    return "treatment.evidence" if terms.organization is None and not treated else None


BUILDERS: Mapping[str, Builder] = {
    "all": _all,
    "all_times": _all_times,
    "kinds": _kinds,
    "consented": _consented,
    "emergency": _emergency,
}
"""What a rule of a policy file may name as its `permits`."""
