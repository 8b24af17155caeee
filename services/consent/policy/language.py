"""Policy files: versioned TOML, read strictly. What is not understood is an error that names where it stands."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from services.consent.model import Change, Kind
from services.consent.policy.permissions import BUILDERS
from services.consent.policy.predicates import PREDICATES, Numbers

_KEYS = {"version", "valid_from", "numbers", "kinds", "evidence", "rule", "change"}
_PERMIT_KEYS = {"id", "effect", "article", "when", "permits", "kinds", "obligations"}
_FORBID_KEYS = {"id", "effect", "article", "concerns", "unless"}
_EVIDENCE = {"REFERRAL", "APPOINTMENT", "CHECK_IN", "OWN_DOCUMENT", "OWN_REGISTRATION", "REVIEW_TASK"}
# What builders say is missing, where no named fact of the query does.
GAPS = frozenset(
    {
        "consent.active",
        "consent.purpose",
        "consent.not_revoked",
        "consent.not_expired",
        "consent.not_exhausted",
        "consent.agreed_by_all",
        "consent.guardian_in_office",
        "consent.practitioner",
        "consent.care_level",
        "consent.kinds_and_period",
        "treatment.evidence",
        "emergency.wide",
    }
)


class PolicyUnreadable(Exception):
    """The file says something that is not understood; the text names the place."""


@dataclass(frozen=True)
class PermitRule:
    """Permits what its builder makes of the facts when all of `when` are true."""

    id: str
    article: str
    when: tuple[str, ...]
    permits: str
    kinds: frozenset[Kind] = frozenset()
    obligations: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForbidRule:
    """Forbids where all of `concerns` are true and none of `unless` is."""

    id: str
    article: str
    concerns: tuple[str, ...]
    unless: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """One file. `changes` are by missing fact, the most telling first, as they stand in the file."""

    version: str
    valid_from: datetime
    numbers: Numbers
    permits: tuple[PermitRule, ...]
    forbids: tuple[ForbidRule, ...]
    changes: Mapping[str, Change]


def load(path: Path) -> Policy:
    """Reads a file. Raises PolicyUnreadable."""
    try:
        return parse(tomllib.loads(path.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise PolicyUnreadable(f"{path.name}: {error}") from error


def parse(raw: Mapping[str, Any]) -> Policy:
    """The policy of a parsed file. Raises PolicyUnreadable."""
    _only(raw, _KEYS, "the file", required=_KEYS)
    rules = [_rule(one, f"rule[{at}]") for at, one in enumerate(raw["rule"])]
    ids = [rule.id for rule in rules]
    if len(set(ids)) != len(ids):
        raise PolicyUnreadable("rule: two have one id")
    valid_from = raw["valid_from"]
    if not isinstance(valid_from, datetime) or valid_from.tzinfo is None:
        raise PolicyUnreadable("valid_from: a time with its offset")
    changes = {}
    for fact, change in raw["change"].items():
        if fact not in PREDICATES and fact not in GAPS:
            raise PolicyUnreadable(f"change.{fact}: no such fact")
        if not isinstance(change, list) or len(change) != 2 or not all(isinstance(it, str) and it for it in change):
            raise PolicyUnreadable(f"change.{fact}: a code and a text")
        changes[fact] = Change(*change)
    unexplained = sorted(GAPS - changes.keys())
    if unexplained:
        raise PolicyUnreadable(f"change: {', '.join(unexplained)}")
    return Policy(
        version=_text(raw["version"], "version"),
        valid_from=valid_from,
        numbers=_numbers(raw),
        permits=tuple(rule for rule in rules if isinstance(rule, PermitRule)),
        forbids=tuple(rule for rule in rules if isinstance(rule, ForbidRule)),
        changes=changes,
    )


def _numbers(raw: Mapping[str, Any]) -> Numbers:
    wanted = {one.name for one in fields(Numbers)} - {"emergency_summary", "treatment"}
    _only(raw["numbers"], wanted, "numbers", required=wanted)
    for name, value in raw["numbers"].items():
        if type(value) is not int or value <= 0:
            raise PolicyUnreadable(f"numbers.{name}: a whole number above zero")
    _only(raw["kinds"], {"emergency_summary"}, "kinds", required={"emergency_summary"})
    _only(raw["evidence"], {"treatment"}, "evidence", required={"treatment"})
    treatment = _texts(raw["evidence"]["treatment"], "evidence.treatment")
    if not set(treatment) <= _EVIDENCE:
        raise PolicyUnreadable("evidence.treatment: an unknown type")
    return Numbers(
        **raw["numbers"],
        emergency_summary=_kinds(raw["kinds"]["emergency_summary"], "kinds.emergency_summary"),
        treatment=frozenset(treatment),
    )


def _rule(raw: Mapping[str, Any], place: str) -> PermitRule | ForbidRule:
    effect = raw.get("effect")
    if effect == "FORBID":
        _only(raw, _FORBID_KEYS, place, required=_FORBID_KEYS)
        return ForbidRule(
            _text(raw["id"], f"{place}.id"),
            _text(raw["article"], f"{place}.article"),
            _facts(raw["concerns"], f"{place}.concerns"),
            _facts(raw["unless"], f"{place}.unless"),
        )
    if effect != "PERMIT":
        raise PolicyUnreadable(f"{place}.effect: PERMIT or FORBID")
    _only(raw, _PERMIT_KEYS, place, required=_PERMIT_KEYS - {"kinds", "obligations"})
    if raw["permits"] not in BUILDERS:
        raise PolicyUnreadable(f"{place}.permits: no such way")
    if (raw["permits"] == "kinds") != ("kinds" in raw):
        raise PolicyUnreadable(f'{place}.kinds: with `permits = "kinds"`, and only there')
    return PermitRule(
        _text(raw["id"], f"{place}.id"),
        _text(raw["article"], f"{place}.article"),
        _facts(raw["when"], f"{place}.when"),
        raw["permits"],
        _kinds(raw.get("kinds", ["CHECK_IN"]), f"{place}.kinds") if "kinds" in raw else frozenset(),
        _texts(raw["obligations"], f"{place}.obligations") if "obligations" in raw else (),
    )


def _facts(values: Any, place: str) -> tuple[str, ...]:
    facts = _texts(values, place)
    for fact in facts:
        if fact not in PREDICATES:
            raise PolicyUnreadable(f"{place}: no fact {fact}")
    return facts


def _kinds(values: Any, place: str) -> frozenset[Kind]:
    try:
        return frozenset(Kind(one) for one in _texts(values, place))
    except ValueError as error:
        raise PolicyUnreadable(f"{place}: an unknown kind") from error


def _texts(values: Any, place: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not values or len(set(values)) != len(values):
        raise PolicyUnreadable(f"{place}: a list of at least one, each once")
    return tuple(_text(one, place) for one in values)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyUnreadable(f"{place}: a text")
    return value


def _only(raw: Any, known: set[str], place: str, *, required: Sequence[str] | set[str]) -> None:
    if not isinstance(raw, Mapping):
        raise PolicyUnreadable(f"{place}: a table")
    wrong = sorted(raw.keys() - known) + sorted(set(required) - raw.keys())
    if wrong:
        raise PolicyUnreadable(f"{place}: {', '.join(wrong)}")
