"""The canonical person as bytes, so that candidates are compared without normalising them again. The store seals them with the entry's key."""

from __future__ import annotations

from functools import lru_cache

from services.identity.model import BirthDate, Sex
from services.identity.normalise.names import Name, Token
from services.identity.normalise.person import NormalPerson

_FIELD, _TOKEN, _PART = "\x1e", "\x1f", "\x1d"
_VERSION = "1"
_SEXES = {Sex.MALE: "M", Sex.FEMALE: "F", None: "", Sex.UNDETERMINED: ""}
_SEX_OF = {"M": Sex.MALE, "F": Sex.FEMALE, "": None}


class FeaturesUnreadable(ValueError):
    """The bytes are of another version; the entry's features have to be made anew."""


def pack(person: NormalPerson) -> bytes:
    """The person in some 40 to 120 bytes, UTF-8."""
    birth = person.birth
    fields = (
        _VERSION,
        _name_out(person.name),
        "" if birth is None else f"{birth.year:04}{birth.month:02}{birth.day:02}{'e' if birth.estimated else ''}",
        _SEXES[person.sex],
        person.phone or "",
        person.province or "",
        person.ward or "",
        _name_out(person.mother),
        person.nationality or "",
    )
    return _FIELD.join(fields).encode()


def unpack(packed: bytes) -> NormalPerson:
    """The person of `pack`. Raises FeaturesUnreadable."""
    fields = packed.decode().split(_FIELD)
    if fields[0] != _VERSION:
        raise FeaturesUnreadable(f"version {fields[0]}")
    _, name, birth, sex, phone, province, ward, mother, nationality = fields
    return NormalPerson(
        name=_name_in(name),
        birth=_birth_in(birth) if birth else None,
        sex=_SEX_OF[sex],
        phone=phone or None,
        province=province or None,
        ward=ward or None,
        mother=_name_in(mother) if mother else Name(()),
        nationality=nationality or None,
    )


def _name_out(name: Name) -> str:
    if not (name.tokens or name.newborn):
        return ""
    flags = f"{int(name.marks)}{int(name.newborn)}{int(name.foreign)}"
    tokens = (
        f"{token.plain}{_PART}{token.marked}{_PART}{int(token.short)}{int(token.repaired)}" for token in name.tokens
    )
    return _TOKEN.join((flags, *tokens))


# Names and dates recur: what has been read before is not read again. Bounded, and gone with the process.
@lru_cache(maxsize=65_536)
def _name_in(text: str) -> Name:
    if not text:
        return Name(())
    flags, *tokens = text.split(_TOKEN)
    return Name(tuple(map(_token_in, tokens)), flags[0] == "1", flags[1] == "1", flags[2] == "1")


@lru_cache(maxsize=65_536)
def _token_in(text: str) -> Token:
    plain, marked, flags = text.split(_PART)
    return Token(marked, plain, flags[0] == "1", flags[1] == "1")


@lru_cache(maxsize=65_536)
def _birth_in(text: str) -> BirthDate:
    return BirthDate(int(text[:4]), int(text[4:6]), int(text[6:8]), text.endswith("e"))
