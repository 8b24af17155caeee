"""What lies sealed in the identity database, and the blind indexes over it. The associated data bind each secret to
its row.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

from services.chassis.keyring import (
    Keyring,
    PersonKey,
    SealBroken,
    WrappedKey,
    Wrapping,
    open_sealed,
    seal,
    sealed_from_bytes,
)
from services.identity.matching.blocks import BlockKey
from services.identity.model import (
    Area,
    BirthDate,
    Demographics,
    Era,
    FilingKey,
    Identifier,
    IdentifierKey,
    IdentifierType,
    Sex,
)

T = TypeVar("T")
_FORMAT = 1
_VERSION_BYTES = 2
_FEATURES = b"identity|person_feature.packed"


class Vault:
    """Blinds with the role's keyring; seals and opens with the key of the person it is about."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def ask(self, work: Callable[[], T]) -> T:
        """Does work that blinds much: in a thread when the keys are elsewhere, so that other calls go on."""
        return await asyncio.to_thread(work) if self._keyring.remote else work()

    @property
    def blind_versions(self) -> tuple[int, ...]:
        """Versions of the blind key: the first is written, all are searched; two while the index is made anew."""
        return self._keyring.blind_versions

    def blind(self, key: IdentifierKey, version: int | None = None) -> bytes:
        """The 16 bytes an identifier is found by."""
        return self._keyring.blind(key.kind, key.value, version)

    def blind_filing(self, key: FilingKey, version: int | None = None) -> tuple[bytes, bytes]:
        """What a source record is found by: 16 bytes of the facility's patient number, and 16 that tell equal statements of documents;
        keyed, as what is said of a person can be guessed.
        """
        mrn = self._keyring.blind("SOURCE_MRN", f"{key.facility}:{key.local_mrn}", version)
        return mrn, self._keyring.blind("SAID", key.said.decode(), version)

    def blind_digests(self, digest: bytes) -> list[bytes]:
        """A request's digest, keyed, as requests hold guessable data; under each version."""
        return [self._keyring.blind("REQUEST", digest.hex(), version) for version in self.blind_versions]

    def block(self, key: BlockKey, version: int | None = None) -> int:
        """The 64 bits a block key is found by, under a key derived for its kind."""
        return int.from_bytes(self._keyring.blind(f"BLOCK_{key.kind}", key.value, version)[:8], "big", signed=True)

    def seal_features(self, person: PersonKey, packed: bytes) -> bytes:
        """Features of an entry, sealed: version of the person's key (u16), then as a wrapped key is, without a data key of their own. A search opens
        hundreds of them, and a second layer would cost it twice; they are written some ten times in a life, so random nonces do.
        """
        wrapped = person.wrap(packed, _FEATURES)
        return wrapped.version.to_bytes(2, "big") + wrapped.data

    def open_features(self, person: PersonKey, sealed: bytes) -> bytes:
        """Features of an entry, opened. Raises SealBroken."""
        if len(sealed) < _VERSION_BYTES:
            raise SealBroken("too short")
        return person.unwrap(WrappedKey(int.from_bytes(sealed[:2], "big"), sealed[2:]), _FEATURES)

    def draw(self, purpose: str, subject: str, version: int) -> float:
        """A number from 0 to below 1 that belongs to a subject, and that nobody without the key foretells."""
        return int.from_bytes(self._keyring.blind(purpose, subject, version)[:4], "big") / 2**32

    def seal_demographics(self, person: PersonKey, demographics: Demographics) -> bytes:
        """Demographics of a person, sealed."""
        birth, residence = demographics.birth, demographics.residence
        content = {
            "v": _FORMAT,
            "name": demographics.name,
            "birth": None if birth is None else [birth.year, birth.month, birth.day, birth.estimated],
            "sex": None if demographics.sex is None else demographics.sex.value,
            "phone": demographics.phone,
            "residence": None if residence is None else _area_out(residence),
            "mother": demographics.mother_name,
            "nationality": demographics.nationality,
        }
        return _seal(person, content, f"person.demographics|{person.person}")

    def open_demographics(self, person: PersonKey, sealed: bytes) -> Demographics:
        """Demographics of a person, opened."""
        content = _open(person, sealed, f"person.demographics|{person.person}")
        birth, sex, residence = content["birth"], content["sex"], content["residence"]
        return Demographics(
            name=content["name"],
            birth=None if birth is None else BirthDate(*birth),
            sex=None if sex is None else Sex(sex),
            phone=content["phone"],
            residence=None if residence is None else _area_in(residence),
            # Rows from before these were kept have neither.
            mother_name=content.get("mother"),
            nationality=content.get("nationality"),
        )

    def seal_time(self, person: PersonKey, place: str, at: datetime) -> bytes:
        """A time that is a fact about a person, such as that of birth (`provisional_person.birth`) or death, sealed."""
        return _seal(person, {"v": _FORMAT, "at": at.isoformat()}, f"{place}|{person.person}")

    def open_time(self, person: PersonKey, place: str, sealed: bytes) -> datetime:
        """A time that is a fact about a person, opened."""
        return datetime.fromisoformat(_open(person, sealed, f"{place}|{person.person}")["at"])

    def seal_identifier(self, person: PersonKey, key: IdentifierKey, identifier: Identifier) -> bytes:
        """An identifier as it was sent and the canonical value of its key, sealed."""
        content = {"v": _FORMAT, "value": identifier.value, "assigner": identifier.assigner, "key": key.value}
        return _seal(person, content, f"person_identifier.value|{person.person}|{key.kind}")

    def open_identifier(
        self, person: PersonKey, kind: str, type: IdentifierType, sealed: bytes
    ) -> tuple[Identifier, IdentifierKey]:
        """An identifier and its key, opened."""
        content = _open(person, sealed, f"person_identifier.value|{person.person}|{kind}")
        return Identifier(type, content["value"], content["assigner"]), IdentifierKey(kind, content["key"])

    def seal_said(self, person: PersonKey, key: FilingKey) -> bytes:
        """What a document said, sealed."""
        content = {"v": _FORMAT, "mrn": key.local_mrn, "said": key.said.decode()}
        return _seal(person, content, f"source_record.said|{key.facility}")

    def open_said(self, person: PersonKey, facility: str, sealed: bytes) -> FilingKey:
        """What a document said, opened."""
        content = _open(person, sealed, f"source_record.said|{facility}")
        return FilingKey(facility, content["mrn"], content["said"].encode())


def _area_out(area: Area) -> list[str | None]:
    return [area.era.value, area.province_code, area.ward_code, area.ward_date.isoformat() if area.ward_date else None]


def _area_in(content: list[str | None]) -> Area:
    """Rows from before wards were kept hold two values."""
    era, province, ward, day = [*content, None, None][:4]
    return Area(str(province), Era(era), ward, date.fromisoformat(day) if day else None)


def _seal(key: Wrapping, content: dict[str, Any], place: str) -> bytes:
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return seal(key, plain, f"identity|{place}".encode()).to_bytes()


def _open(key: Wrapping, sealed: bytes, place: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        open_sealed(key, sealed_from_bytes(bytes(sealed)), f"identity|{place}".encode())
    )
    return content
