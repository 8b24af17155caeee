"""What a facility puts on a wristband: temporary identifiers and aliases, adopted when they were issued offline."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from lienthong.client import wristband
from lienthong.client.temporary_identifier import TemporaryIdentifier, TemporaryIdentifierInvalid, issue, parse

from services.chassis.errors import FieldViolation
from services.identity.errors import TemporaryIdentifierRefused
from services.identity.model import (
    Assurance,
    Demographics,
    Identifier,
    IdentifierType,
    Person,
    PersonIdentifier,
    invalid,
)
from services.identity.ports import Transaction
from services.identity.resolution import Asked, ask
from services.identity.service.entries import Entries, local_mrn

ALIAS_LIFE = timedelta(days=90)
"""For so long no other patient of the facility is called so."""
_TRIES = 8


def own_temporary(text: str, facility: str) -> TemporaryIdentifier:
    """A temporary identifier that the facility issued. Raises TemporaryIdentifierRefused."""
    violation = "a temporary identifier of the calling facility"
    try:
        number = parse(text)
    except TemporaryIdentifierInvalid as invalid:
        raise TemporaryIdentifierRefused(
            "not a temporary identifier",
            violations=(FieldViolation("temporary_identifier", violation, f"TEMPORARY_{invalid.reason}"),),
        ) from None
    if number.facility != facility:
        raise TemporaryIdentifierRefused(
            "issued by another facility",
            violations=(FieldViolation("temporary_identifier", violation, "TEMPORARY_OF_OTHER_FACILITY"),),
        )
    return number


def local_numbers(facility: str, temporary: str, mrn: str) -> Asked:
    """The numbers that a facility gave a patient itself, wristband first, in canonical form. Raises
    TemporaryIdentifierRefused, and InvalidArgument for a patient number that cannot be one.
    """
    band = [Identifier(IdentifierType.TEMPORARY, str(own_temporary(temporary, facility)))] if temporary else []
    asked = ask(band + ([local_mrn(facility, mrn)] if mrn else []), Demographics())
    if any(one.key is None for one in asked.identifiers):
        raise invalid("local_mrn", "1 to 100 characters", "LOCAL_MRN_MALFORMED")
    return asked


def issued(entries: Entries, facility: str) -> tuple[PersonIdentifier, ...]:
    """A new temporary identifier of the facility."""
    number = Identifier(IdentifierType.TEMPORARY, str(issue(facility)))
    return entries.identifiers(ask([number], Demographics()).identifiers, Assurance.TYPED)


def printed(person: Person, facility: str) -> str:
    """The temporary identifier that the facility gave the person, as it is printed; the newest where there are several, empty for none."""
    given = [
        held.identifier.value
        for held in person.identifiers
        if held.identifier.type is IdentifierType.TEMPORARY and held.identifier.assigner == facility
    ]
    return given[-1] if given else ""


def own_alias(text: str) -> str:
    """An alias as it is printed; empty for none. Raises InvalidArgument for what is not of the lists."""
    if not text:
        return ""
    try:
        return wristband.parse(text)
    except wristband.AliasInvalid:
        raise invalid("alias", "two words of the lists that are shipped", "ALIAS_INVALID") from None


async def take_alias(transaction: Transaction, facility: str, wanted: str, person: UUID, now: datetime) -> str:
    """The alias of a person from now on: the wanted one, which InvalidArgument refuses when another patient of the facility is called so, or
    one that is free. Empty when all are used up: nobody is turned away for want of words.
    """
    until = now + ALIAS_LIFE
    if wanted:
        if not await transaction.take_alias(facility, wanted, person, now, until):
            raise invalid("alias", "one that no other patient of the facility has had for 90 days", "ALIAS_TAKEN")
        return wanted
    # Others may take the same one meanwhile; each try sees what they have taken.
    for _ in range(_TRIES):
        try:
            alias = wristband.issue(await transaction.used_aliases(facility, now))
        except wristband.AliasesUsedUp:
            return ""
        if await transaction.take_alias(facility, alias, person, now, until):
            return alias
    return ""
