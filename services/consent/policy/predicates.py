"""The named facts of the policy files: small questions to the facts. What is not known is not true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.consent.facts import Facts, RestrictionKind
from services.consent.model import Basis, Kind, Period, Purpose


@dataclass(frozen=True)
class Numbers:
    """Numbers and lists of a policy file."""

    child_below_years: int
    child_agrees_from_years: int
    emergency_hours: int
    emergency_unconfirmed_minutes: int
    emergency_summary_days: int
    registry_silence_minutes: int
    emergency_summary: frozenset[Kind]
    treatment: frozenset[str]


Predicate = Callable[[Facts, Numbers], bool]
_FACILITY = frozenset({"FACILITY", "PRACTITIONER"})
_CONSENTABLE = frozenset({Purpose.TREATMENT, Purpose.PAYMENT})


def shows(facts: Facts, *types: str) -> bool:
    """Whether something of these types shows it at the time: told by the role that knows it, or verified by the one that asks."""
    if not facts.query.evidence and not facts.relations:
        return False
    asked = any(evidence.type in types for evidence in facts.query.evidence)
    return asked or any(one.evidence.type in types and inside(facts, one.period) for one in facts.relations)


def inside(facts: Facts, period: Period) -> bool:
    """Whether the time of the decision lies in the period: from its start on, before its end."""
    return (period.start is None or facts.at >= period.start) and (period.end is None or facts.at < period.end)


def treats(facts: Facts, numbers: Numbers) -> bool:
    """Whether anything shows treatment."""
    return shows(facts, *numbers.treatment)


def _is_a_facility(facts: Facts, _: Numbers) -> bool:
    return facts.requester.kind in _FACILITY and bool(facts.requester.organization)


def _names_a_licence(facts: Facts, _: Numbers) -> bool:
    return facts.requester.kind in _FACILITY and (
        facts.requester.kind == "PRACTITIONER" or facts.requester.licence is not None
    )


def _is_the_person(facts: Facts, _: Numbers) -> bool:
    return facts.requester.kind == "CITIZEN" and facts.requester.person == facts.query.person


def _is_a_guardian(facts: Facts, _: Numbers) -> bool:
    return facts.requester.kind == "CITIZEN" and facts.requester.person in facts.guardians


def _own_documents_only(facts: Facts, _: Numbers) -> bool:
    own = {evidence.resource for evidence in facts.query.evidence if evidence.type == "OWN_DOCUMENT"}
    return bool(facts.query.resources) and own.issuperset(facts.query.resources)


def _licence_valid(facts: Facts, _: Numbers) -> bool:
    registry = facts.registry
    return (
        facts.requester.licence is not None
        and registry.licence_period is not None
        and inside(facts, registry.licence_period)
        and facts.requester.organization in registry.licence_organizations
    )


def _registry_heard(facts: Facts, numbers: Numbers) -> bool:
    silence = facts.registry.silence(facts.at)
    return silence is not None and silence <= timedelta(minutes=numbers.registry_silence_minutes)


def _emergency_not_over(facts: Facts, numbers: Numbers) -> bool:
    grant = facts.emergency
    return grant is not None and facts.at < grant.opened_at + timedelta(hours=numbers.emergency_hours)


def _emergency_confirmed_in_time(facts: Facts, numbers: Numbers) -> bool:
    grant = facts.emergency
    if grant is None:
        return False
    due = grant.opened_at + timedelta(minutes=numbers.emergency_unconfirmed_minutes)
    return grant.confirmed_at is not None or facts.at < due


def _emergency_claimed(facts: Facts, _: Numbers) -> bool:
    return facts.query.basis is Basis.EMERGENCY_19_1_A and facts.query.purpose is Purpose.EMERGENCY_TREATMENT


def _restricts(facts: Facts, _: Numbers) -> bool:
    return any(one.kind is RestrictionKind.RESTRICT for one in facts.restrictions)


def _objects(facts: Facts, _: Numbers) -> bool:
    return any(one.kind is RestrictionKind.OBJECT and one.purpose is facts.query.purpose for one in facts.restrictions)


def _basis(basis: Basis) -> Predicate:
    return lambda facts, _: facts.query.basis is basis


def _purpose(purpose: Purpose) -> Predicate:
    return lambda facts, _: facts.query.purpose is purpose


def _kind(kind: Kind) -> Predicate:
    return lambda facts, _: kind in facts.query.kinds


def _shown(*types: str) -> Predicate:
    return lambda facts, _: shows(facts, *types)


PREDICATES: Mapping[str, Predicate] = {
    "requester.is_the_person": _is_the_person,
    "requester.is_a_guardian": _is_a_guardian,
    "requester.is_a_facility": _is_a_facility,
    "requester.is_a_practitioner": lambda facts, numbers: (
        facts.requester.kind == "PRACTITIONER" and _is_a_facility(facts, numbers)
    ),
    "requester.is_a_steward": lambda facts, _: facts.requester.kind == "STEWARD",
    "requester.is_an_auditor": lambda facts, _: facts.requester.kind == "AUDITOR",
    "requester.names_a_licence": _names_a_licence,
    "facility.active": lambda facts, _: facts.registry.organization_active is True,
    "licence.valid": _licence_valid,
    "registry.heard": _registry_heard,
    "basis.consent": _basis(Basis.CONSENT),
    "basis.own_data": _basis(Basis.OWN_DATA),
    "basis.law": _basis(Basis.LAW_19_1_DD),
    "basis.emergency": _basis(Basis.EMERGENCY_19_1_A),
    "purpose.patient_request": _purpose(Purpose.PATIENT_REQUEST),
    "purpose.treatment": _purpose(Purpose.TREATMENT),
    "purpose.emergency_treatment": _purpose(Purpose.EMERGENCY_TREATMENT),
    "purpose.operations": _purpose(Purpose.OPERATIONS),
    "purpose.consentable": lambda facts, _: facts.query.purpose in _CONSENTABLE,
    "kind.referral": _kind(Kind.REFERRAL),
    "kind.follow_up": _kind(Kind.FOLLOW_UP),
    "kind.check_in": _kind(Kind.CHECK_IN),
    "evidence.referral": _shown("REFERRAL"),
    "evidence.appointment": _shown("APPOINTMENT"),
    "evidence.review_task": _shown("REVIEW_TASK", "PERSON_LINK"),
    "evidence.registered_or_treated": lambda facts, numbers: shows(facts, "OWN_REGISTRATION") or treats(facts, numbers),
    "evidence.own_documents_only": _own_documents_only,
    "emergency.not_over": _emergency_not_over,
    "emergency.confirmed_in_time": _emergency_confirmed_in_time,
    "emergency.claimed": _emergency_claimed,
    "person.restricts": _restricts,
    "person.objects": _objects,
}
"""Every fact that a policy file may name."""
