"""Offline verification of a person's copy of their data: a sealed ASiC-E container of originals with their receipts, of any size."""

from __future__ import annotations

import hashlib
import hmac
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lienthong.client.evidence import container
from lienthong.client.evidence.certificates import fingerprint
from lienthong.client.evidence.errors import (
    ContainerInvalid,
    MemberAltered,
    MemberMissing,
    MemberUnlisted,
    ReceiptInvalid,
    SealInvalid,
)
from lienthong.client.evidence.package import EvidenceTrust, check_seal
from lienthong.client.tlog.receipt import Receipt, ReceiptError, verify_receipt

SUMMARY = "tom-tat.pdf"
"""The file that tells an export from other containers."""
_DOCUMENT, _RECEIPT = "/document.xml", "/receipt.json"
_MOST_MEMBERS = 200_000
_LARGEST_MEMBER = 64 * 1024 * 1024
_PIECE = 1 << 20


@dataclass(frozen=True)
class ExportReport:
    """What was shown: every file is as it was sealed, and each of `documents` was accepted by the system as its receipt proves."""

    files: int
    documents: int
    sealed_at: datetime
    seal_certificate: str

    def __str__(self) -> str:
        return (
            f"{self.files} files as they were sealed at {self.sealed_at.isoformat(timespec='seconds')} under certificate"
            f" {self.seal_certificate[:16]}; {self.documents} documents, each with a receipt that holds"
        )


def is_export(path: Path) -> bool:
    """Whether a file is a container that holds a summary."""
    try:
        with zipfile.ZipFile(path) as archive:
            return SUMMARY in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def verify_export(path: Path, trust: EvidenceTrust, *, now: datetime | None = None) -> ExportReport:
    """Verifies a file; one of its members at a time is in memory. Raises EvidenceError, whose `reason` names the first thing found wrong."""
    at = now or datetime.now(UTC)
    try:
        with zipfile.ZipFile(path) as archive:
            return _verify(archive, trust, at)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ContainerInvalid("not a ZIP file that can be read") from error


def _verify(archive: zipfile.ZipFile, trust: EvidenceTrust, at: datetime) -> ExportReport:
    infos = {info.filename: info for info in archive.infolist()}
    if not 1 <= len(archive.infolist()) <= _MOST_MEMBERS:
        raise ContainerInvalid("too many files")
    if len(infos) != len(archive.infolist()):
        raise MemberUnlisted("a file stands twice", "")
    first = archive.infolist()[0]
    if first.filename != "mimetype" or archive.read(first) != container.MEDIA_TYPE:
        raise ContainerInvalid("does not begin with the media type of ASiC-E")
    protected = {name: _read(archive, infos, name) for name in (container.MANIFEST, container.SEAL)}
    seal, sealed_at = check_seal(protected, trust, at)
    listing = container.read_listing(protected[container.MANIFEST], container.MANIFEST)
    if listing.protected_by != container.SEAL:
        raise SealInvalid("the manifest names another seal", container.MANIFEST)
    for name, digest in listing.digests.items():
        if not hmac.compare_digest(_digest(archive, infos, name, listing.digest), digest):
            raise MemberAltered("not what the manifest says", name)
    for name in infos:
        if name not in {"mimetype", container.MANIFEST, container.SEAL} and name not in listing.digests:
            raise MemberUnlisted("not named by the manifest", name)
    documents = [name for name in infos if name.startswith("originals/") and name.endswith(_DOCUMENT)]
    for name in documents:
        _check_receipt(archive, infos, name, trust, at)
    return ExportReport(len(listing.digests), len(documents), sealed_at, fingerprint(seal))


def _check_receipt(
    archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str, trust: EvidenceTrust, at: datetime
) -> None:
    receipt = name.removesuffix(_DOCUMENT) + _RECEIPT
    try:
        said = Receipt.from_json(_read(archive, infos, receipt).decode("utf-8", "replace"))
        verify_receipt(said, trust.receipts, document=_read(archive, infos, name), now=at)
    except ReceiptError as error:
        raise ReceiptInvalid(f"{receipt}: {error}", error.reason) from error


def _read(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in infos:
        raise MemberMissing("not there", name)
    if infos[name].file_size > _LARGEST_MEMBER:
        raise ContainerInvalid("a file is too large")
    return archive.read(infos[name])


def _digest(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str, algorithm: str) -> bytes:
    if name not in infos:
        raise MemberMissing("named by the manifest and not there", name)
    made = hashlib.new(algorithm)
    with archive.open(infos[name]) as opened:
        while piece := opened.read(_PIECE):
            made.update(piece)
    return made.digest()
