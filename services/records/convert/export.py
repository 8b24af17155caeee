"""The files of an export."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson

from services.records.convert.package import receipt_member, signature_members
from services.records.convert.summary import summary
from services.records.export import Copied
from services.records.formats.asic import Member
from services.records.model import DocumentEntry, StoredContent

SUMMARY = "tom-tat.pdf"
BUNDLE = "fhir/bundle.json"
_SYSTEM = "https://lienthong.vn/fhir"


class ExportFiles:
    """`ExportForm`. `seal` makes a detached CMS signature, DER."""

    def __init__(self, seal: Callable[[bytes], bytes]) -> None:
        self._seal = seal

    def document(self, entry: DocumentEntry, stored: StoredContent) -> tuple[Copied, Sequence[Member]]:
        """The original byte for byte, its signatures, its receipt."""
        folder = f"originals/{entry.id}"
        original = Member(f"{folder}/document.xml", "application/xml", stored.content)
        # FHIR R4 has no other digest for an attachment; the manifest's is SHA-256.
        sha1 = hashlib.sha1(stored.content, usedforsecurity=False).digest()
        members = [original, *signature_members(stored, f"{folder}/"), receipt_member(stored, f"{folder}/")]
        return Copied(entry, original.name, sha1), members

    def overview(self, person: UUID, copied: Sequence[Copied], at: datetime) -> Sequence[Member]:
        """FHIR R4 and the readable summary."""
        return [
            Member(
                BUNDLE, "application/fhir+json", orjson.dumps(bundle(person, copied, at), option=orjson.OPT_INDENT_2)
            ),
            Member(SUMMARY, "application/pdf", summary(copied, at), root=True),
        ]

    def seal(self, manifest: bytes) -> bytes:
        """The system's seal."""
        return self._seal(manifest)


def bundle(person: UUID, copied: Sequence[Copied], at: datetime) -> dict[str, object]:
    """A FHIR R4 Bundle: the patient by name of the index only, a DocumentReference for each document, and where they come from."""
    patient = f"urn:uuid:{person}"
    entries: list[dict[str, object]] = [
        {
            "fullUrl": patient,
            "resource": {
                "resourceType": "Patient",
                "id": str(person),
                "identifier": [{"system": f"{_SYSTEM}/persons", "value": str(person)}],
            },
        }
    ]
    entries += [{"fullUrl": f"urn:uuid:{one.entry.id}", "resource": _reference(one, patient)} for one in copied]
    if copied:
        entries.append({"fullUrl": f"urn:uuid:{UUID(int=person.int ^ 1)}", "resource": _provenance(copied, at)})
    return {"resourceType": "Bundle", "type": "collection", "timestamp": _instant(at), "entry": entries}


def _reference(copied: Copied, patient: str) -> dict[str, object]:
    entry = copied.entry
    return {
        "resourceType": "DocumentReference",
        "id": str(entry.id),
        "identifier": [{"system": f"{_SYSTEM}/documents", "value": str(entry.id)}],
        "status": "current",
        "type": {"coding": [{"system": f"{_SYSTEM}/document-format", "code": entry.format}]},
        "category": [
            {"coding": [{"system": f"{_SYSTEM}/document-kind", "code": kind.value}]}
            for kind in sorted(entry.kinds, key=lambda one: one.value)
        ],
        "subject": {"reference": patient},
        "date": _instant(entry.received_at),
        "author": [{"identifier": {"system": f"{_SYSTEM}/organizations", "value": entry.facility}}],
        "content": [
            {
                "attachment": {
                    "contentType": "application/xml",
                    "url": copied.file,
                    "size": entry.size,
                    "hash": base64.b64encode(copied.sha1).decode(),
                }
            }
        ],
        "context": {"period": {"start": _instant(entry.care_start), "end": _instant(entry.care_end)}},
    }


def _provenance(copied: Sequence[Copied], at: datetime) -> dict[str, object]:
    return {
        "resourceType": "Provenance",
        "target": [{"reference": f"urn:uuid:{one.entry.id}"} for one in copied],
        "recorded": _instant(at),
        "agent": [{"who": {"display": "Liên Thông"}}],
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
