"""Applying a policy to facts. Pure: the same facts and the same file always give the same ruling, so a stored input can be replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

from services.consent.facts import Facts
from services.consent.model import CLASS_OF, Change, Effect, Kind, Permission, RuleResult, Ruling, SensitivityClass
from services.consent.policy.language import ForbidRule, PermitRule, Policy, load
from services.consent.policy.permissions import BUILDERS, EVERY_CLASS, Finding
from services.consent.policy.predicates import PREDICATES

_FILES = Path(__file__).resolve().parent.parent / "policies"


class PolicyUnknown(LookupError):
    """There is no file of that version, or none for that time."""


@cache
def policies() -> Mapping[str, Policy]:
    """Every file, by version."""
    read = [load(path) for path in sorted(_FILES.glob("*.toml"))]
    return {policy.version: policy for policy in sorted(read, key=lambda one: one.valid_from)}


def policy_at(at: datetime) -> Policy:
    """The newest file that is valid at a time; of two from the same moment the later version. Raises PolicyUnknown."""
    valid = [policy for policy in policies().values() if policy.valid_from <= at]
    if not valid:
        raise PolicyUnknown("no policy is valid yet")
    return max(valid, key=lambda one: (one.valid_from, one.version))


def policy_named(version: str) -> Policy:
    """The file of a version, for a replay. Raises PolicyUnknown."""
    try:
        return policies()[version]
    except KeyError:
        raise PolicyUnknown(version) from None


class _Known(dict[str, bool]):
    """Answers to the named facts; each is asked once."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        super().__init__()
        self._facts = facts
        self._numbers = policy.numbers

    def __missing__(self, fact: str) -> bool:
        known = self[fact] = PREDICATES[fact](self._facts, self._numbers)
        return known

    def missing(self, facts: Sequence[str]) -> tuple[str, ...]:
        return tuple([fact for fact in facts if not self[fact]])


def rule_on(facts: Facts, policy: Policy | None = None) -> Ruling:
    """Applies every rule of a policy, by default of the one that is valid at the time of the facts."""
    policy = policy or policy_at(facts.at)
    known = _Known(facts, policy)
    findings = [(rule, _permitted(rule, facts, policy, known)) for rule in policy.permits]
    forbidding = [(rule, known.missing(rule.unless)) for rule in policy.forbids if _forbids(rule, known)]
    results = [
        RuleResult(
            rule.id,
            Effect.PERMIT if finding.permissions else Effect.NOT_APPLICABLE,
            rule.article,
            () if finding.permissions else tuple(finding.missing),
        )
        for rule, finding in findings
    ]
    results += [RuleResult(rule.id, Effect.DENY, rule.article, missing) for rule, missing in forbidding]
    permitted = () if forbidding else tuple(part for _, finding in findings for part in finding.permissions)
    covered = frozenset(kind for part in permitted for kind in part.kinds)
    cut = facts.query.kinds - covered
    classes = EVERY_CLASS - _classes(permitted) if permitted else frozenset[SensitivityClass]()
    return Ruling(
        effect=Effect.PERMIT if permitted else Effect.DENY,
        permissions=permitted,
        withheld=tuple((kind, _why(kind, bool(forbidding))) for kind in _sorted(cut)),
        rules=tuple(results),
        would_change=_changes(policy, findings, forbidding, bool(permitted), bool(cut or classes)),
        policy_version=policy.version,
        withheld_classes=tuple((one, "CLASS_NOT_PERMITTED") for one in sorted(classes, key=lambda one: one.value)),
        obligations=tuple(
            sorted({it for rule, found in findings if permitted and found.permissions for it in rule.obligations})
        ),
    )


def _permitted(rule: PermitRule, facts: Facts, policy: Policy, known: _Known) -> Finding:
    missing = known.missing(rule.when)
    if any(fact not in policy.changes for fact in missing):
        return Finding(missing=missing)
    made = BUILDERS[rule.permits](facts, policy.numbers, rule.kinds)
    if not missing:
        return made
    # It does not permit; but whoever mends what is missing must not find that something else was.
    return Finding(missing=missing if made.permissions else (*missing, *made.missing))


def _forbids(rule: ForbidRule, known: _Known) -> bool:
    return not known.missing(rule.concerns) and len(known.missing(rule.unless)) == len(rule.unless)


def _classes(permitted: Sequence[Permission]) -> frozenset[SensitivityClass]:
    return frozenset(one for part in permitted for one in part.classes)


def _why(kind: Kind, forbidden: bool) -> str:
    if forbidden:
        return "FORBIDDEN"
    return "SENSITIVE_KIND" if kind in CLASS_OF else "KIND_NOT_PERMITTED"


def _sorted(kinds: frozenset[Kind]) -> list[Kind]:
    return sorted(kinds, key=lambda kind: kind.value)


def _changes(
    policy: Policy,
    findings: Sequence[tuple[PermitRule, Finding]],
    forbidding: Sequence[tuple[ForbidRule, Sequence[str]]],
    permitted: bool,
    cut: bool,
) -> tuple[Change, ...]:
    """What would have to become true: of every rule that forbids one way to lift it, and of the rules that could permit those that lack least.
    Who reads everything is told nothing; who reads a part is told what would widen it.
    """
    lifts = [policy.changes[fact] for _, missing in forbidding for fact in missing[:1] if fact in policy.changes]
    wanted: list[str] = []
    if permitted:
        wanted = [fact for _, finding in findings if finding.permissions for fact in finding.missing] if cut else []
    elif not any(finding.permissions for _, finding in findings):
        reachable = [
            finding.missing for _, finding in findings if all(fact in policy.changes for fact in finding.missing)
        ]
        # Several facts may become true by one step, such as opening an access.
        steps = [{policy.changes[fact].code for fact in missing} for missing in reachable]
        least = min(map(len, steps), default=0)
        wanted = [
            fact for missing, taken in zip(reachable, steps, strict=True) if len(taken) == least for fact in missing
        ]
    order = list(policy.changes)
    found = [policy.changes[fact] for fact in sorted(set(wanted), key=order.index)]
    return tuple(dict.fromkeys([*lifts, *found]))
