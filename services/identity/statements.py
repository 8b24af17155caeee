"""What of all that was said of a person stands: per value by trust, then the newest. Pure.

National registry > chip or national ID app > identity steward > the newest of the others (identity design, section 5). A value that nobody
said anything newer about stays, so that a new phone number does not take the birth date away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from services.identity.model import Assurance, Demographics, Statement

_STEWARD = "STEWARD/"


def trust(statement: Statement) -> int:
    """How much a statement is trusted; more is better."""
    match statement.assurance:
        case Assurance.REGISTRY:
            return 3
        case Assurance.CHIP_OR_APP:
            return 2
        case Assurance.CARD_CODE | Assurance.TYPED:
            return 1 if statement.actor.startswith(_STEWARD) else 0


def current(statements: Iterable[Statement]) -> Demographics:
    """The demographics that stand."""
    ordered = sorted(statements, key=lambda one: (trust(one), one.at, one.id))
    values: dict[str, Any] = {}
    for statement in ordered:
        new = said(statement.demographics)
        # An estimate never takes the place of a date that was known.
        if "birth" in values and "birth" in new and new["birth"].estimated and not values["birth"].estimated:
            del new["birth"]
        values |= new
    return Demographics(**values)


def said(demographics: Demographics) -> dict[str, Any]:
    """The values that were said, by field."""
    named = {field.name: getattr(demographics, field.name) for field in fields(demographics)}
    return {name: value for name, value in named.items() if value is not None}


def changed(before: Demographics, after: Demographics) -> Sequence[str]:
    """Names of the fields that differ, sorted; never a value."""
    return sorted(name for name in said(before) | said(after) if getattr(before, name) != getattr(after, name))
