"""The container as a verifier reads it: bounded, each file once, every file named by the manifest (ETSI EN 319 162-1)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lienthong.client.evidence.errors import (
    ContainerInvalid,
    MemberAltered,
    MemberMalformed,
    MemberMissing,
    MemberUnlisted,
)

MEDIA_TYPE = b"application/vnd.etsi.asic-e+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SEAL = "META-INF/signature.p7s"
RECORD_MANIFEST = "META-INF/ASiCEvidenceRecordManifest"
RECORD = "META-INF/evidencerecord"
LARGEST = 64 * 1024 * 1024
MOST_MEMBERS = 4_096
_ASIC = "{http://uri.etsi.org/02918/v1.2.1#}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}


@dataclass(frozen=True)
class Listing:
    """What a manifest says: the file of its signature or record, the name of its digest, and the digest of each file."""

    protected_by: str
    digest: str
    digests: Mapping[str, bytes]


def unpack(package: bytes) -> dict[str, bytes]:
    """Every file of the container but `mimetype`, by name. Raises ContainerInvalid, MemberUnlisted."""
    if len(package) > LARGEST:
        raise ContainerInvalid(f"larger than {LARGEST} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            return _members(archive)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ContainerInvalid("not a ZIP file that can be read") from error


def _members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = archive.infolist()
    if not 1 <= len(infos) <= MOST_MEMBERS or sum(info.file_size for info in infos) > LARGEST:
        raise ContainerInvalid("too many files or too much in them")
    kind = infos[0]
    if kind.filename != "mimetype" or kind.compress_type != zipfile.ZIP_STORED or archive.read(kind) != MEDIA_TYPE:
        raise ContainerInvalid("does not begin with the media type of ASiC-E, stored")
    found: dict[str, bytes] = {}
    for info in infos[1:]:
        if info.filename in found or info.filename == "mimetype":
            raise MemberUnlisted("stands twice", info.filename)
        found[info.filename] = archive.read(info)
    return found


def read_listing(content: bytes, member: str) -> Listing:
    """Reads a manifest. Raises MemberMalformed."""
    # No declaration of types or entities: what the parser is given is all there is.
    if b"<!" in content:
        raise MemberMalformed("a declaration that is not allowed", member)
    try:
        root = ET.fromstring(content)  # noqa: S314 - without declarations there is nothing to expand
        reference = root.find(f"{_ASIC}SigReference")
        if root.tag != f"{_ASIC}ASiCManifest" or reference is None:
            raise MemberMalformed("not a manifest", member)
        digests: dict[str, bytes] = {}
        names: set[str] = set()
        for one in root.iterfind(f"{_ASIC}DataObjectReference"):
            method, value = one.find(f"{_DS}DigestMethod"), one.findtext(f"{_DS}DigestValue")
            name = one.get("URI", "")
            algorithm = "" if method is None else _DIGESTS.get(method.get("Algorithm", ""), "")
            if not algorithm or value is None or name in digests:
                raise MemberMalformed("a reference that is not one file with its SHA-2 digest", member)
            names.add(algorithm)
            digests[name] = base64.b64decode(value, validate=True)
    except (ET.ParseError, binascii.Error, ValueError) as error:
        raise MemberMalformed("not a manifest", member) from error
    if len(names) != 1:
        raise MemberMalformed("no file, or several digests", member)
    return Listing(reference.get("URI", ""), names.pop(), digests)


def check_listed(listing: Listing, members: Mapping[str, bytes]) -> None:
    """Raises MemberMissing or MemberAltered unless the files that the manifest names are there as it says."""
    for name, digest in listing.digests.items():
        content = members.get(name)
        if content is None:
            raise MemberMissing("named by the manifest and not there", name)
        if not hmac.compare_digest(hashlib.new(listing.digest, content).digest(), digest):
            raise MemberAltered("not what the manifest says", name)


def check_complete(listing: Listing, members: Mapping[str, bytes]) -> None:
    """Raises MemberUnlisted unless the manifest names every file but itself and its seal."""
    for name in members:
        if name not in (MANIFEST, SEAL) and name not in listing.digests:
            raise MemberUnlisted("not named by the manifest", name)
