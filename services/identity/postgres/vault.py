"""What lies sealed in the identity database, and the blind indexes over it. The associated data bind each secret to
its row.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from services.chassis.keyring import Keyring, open_sealed, seal, sealed_from_bytes
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

_FORMAT = 1


class Vault:
    """Seals, opens and blinds with the role's keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def blind(self, key: IdentifierKey) -> bytes:
        """The 16 bytes an identifier is found by."""
        return self._keyring.blind(key.kind, key.value)

    def blind_mrn(self, key: FilingKey) -> bytes:
        """The 16 bytes a facility's patient number is found by among the source records."""
        return self._keyring.blind("SOURCE_MRN", f"{key.facility}:{key.local_mrn}")

    def blind_said(self, said: bytes) -> bytes:
        """Tells equal statements of documents; keyed, as what is said of a person can be guessed."""
        return self._keyring.blind("SAID", said.decode())

    def blind_digest(self, digest: bytes) -> bytes:
        """A request's digest, keyed, as requests hold guessable data."""
        return self._keyring.blind("REQUEST", digest.hex())

    def seal_demographics(self, person: UUID, demographics: Demographics) -> bytes:
        """Demographics of a person, sealed."""
        birth, residence = demographics.birth, demographics.residence
        content = {
            "v": _FORMAT,
            "name": demographics.name,
            "birth": None if birth is None else [birth.year, birth.month, birth.day, birth.estimated],
            "sex": None if demographics.sex is None else demographics.sex.value,
            "phone": demographics.phone,
            "residence": None if residence is None else [residence.era.value, residence.province_code],
        }
        return self._seal(content, f"person|{person}")

    def open_demographics(self, person: UUID, sealed: bytes) -> Demographics:
        """Demographics of a person, opened."""
        content = self._open(sealed, f"person|{person}")
        birth, sex, residence = content["birth"], content["sex"], content["residence"]
        return Demographics(
            name=content["name"],
            birth=None if birth is None else BirthDate(*birth),
            sex=None if sex is None else Sex(sex),
            phone=content["phone"],
            residence=None if residence is None else Area(residence[1], Era(residence[0])),
        )

    def seal_identifier(self, person: UUID, key: IdentifierKey, identifier: Identifier) -> bytes:
        """An identifier as it was sent and the canonical value of its key, sealed."""
        content = {"v": _FORMAT, "value": identifier.value, "assigner": identifier.assigner, "key": key.value}
        return self._seal(content, f"person_identifier|{person}|{key.kind}")

    def open_identifier(
        self, person: UUID, kind: str, type: IdentifierType, sealed: bytes
    ) -> tuple[Identifier, IdentifierKey]:
        """An identifier and its key, opened."""
        content = self._open(sealed, f"person_identifier|{person}|{kind}")
        return Identifier(type, content["value"], content["assigner"]), IdentifierKey(kind, content["key"])

    def seal_said(self, key: FilingKey) -> bytes:
        """What a document said, sealed."""
        content = {"v": _FORMAT, "mrn": key.local_mrn, "said": key.said.decode()}
        return self._seal(content, f"source_record|{key.facility}")

    def _seal(self, content: dict[str, Any], aad: str) -> bytes:
        plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return seal(self._keyring, plain, aad.encode()).to_bytes()

    def _open(self, sealed: bytes, aad: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(open_sealed(self._keyring, sealed_from_bytes(bytes(sealed)), aad.encode()))
        return content
