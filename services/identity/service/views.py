"""What a facility may see of a person: masked numbers, and of somebody it did not register itself only what it has
sent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from services.identity.model import LOCAL, Demographics, Identifier, IdentifierKey, Person, PersonIdentifier

_SHOWN = 4


def mask(value: str) -> str:
    """The value with all but the last 4 characters starred; one of 8 or fewer starred whole, as 4 of it would tell
    too much.
    """
    shown = _SHOWN if len(value) > 2 * _SHOWN else 0
    return "*" * (len(value) - shown) + value[len(value) - shown :]


def masked(person: Person) -> Person:
    """The person with national numbers masked; what the facility gave out itself stays readable."""
    return replace(person, identifiers=tuple(_masked(held) for held in person.identifiers))


def _masked(held: PersonIdentifier) -> PersonIdentifier:
    shown = held.identifier
    if shown.type in LOCAL:
        return held
    return replace(held, identifier=Identifier(shown.type, mask(shown.value), shown.assigner))


def without_demographics(person: Person, sent: Collection[IdentifierKey]) -> Person:
    """The person with no demographics and only those identifiers that the caller has sent."""
    kept = tuple(held for held in person.identifiers if held.key in sent)
    return replace(person, demographics=Demographics(), identifiers=kept)
