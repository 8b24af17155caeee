"""ASiC-E container with a CAdES signature over its manifest (ETSI EN 319 162-1 V1.1.1 clause 4.4).

`mimetype` stands first, stored and not compressed (annex A.1); `META-INF/ASiCManifest.xml` names every other file with
its digest; `META-INF/signature.p7s` is a detached signature over the manifest's exact bytes. The same members give the
same bytes, the signature apart.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lxml import etree

MEDIA_TYPE = "application/vnd.etsi.asic-e+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SIGNATURE = "META-INF/signature.p7s"
_ASIC = "http://uri.etsi.org/02918/v1.2.1#"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_DIGESTS = {
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
}
# The first moment that the format can express: times of files say nothing here, the seal's time does.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Member:
    """One file; `root` marks the one that the others are about."""

    name: str
    media_type: str
    content: bytes = field(repr=False)
    root: bool = False


@dataclass(frozen=True)
class Listed:
    """A file as the manifest names it."""

    name: str
    media_type: str
    digest: bytes
    root: bool = False


def build_container(members: Sequence[Member], sign: Callable[[bytes], bytes]) -> bytes:
    """The container; `sign` makes a detached CMS signature over the manifest."""
    listing = manifest(members)
    return pack([*members, Member(MANIFEST, "text/xml", listing), Member(SIGNATURE, "", sign(listing))])


def record_names(number: int) -> tuple[str, str]:
    """Names of the manifest of an evidence record and of the record (EN 319 162-1 annex A.6)."""
    return f"META-INF/ASiCEvidenceRecordManifest{number}.xml", f"META-INF/evidencerecord{number}.ers"


def manifest(
    members: Sequence[Member],
    protected_by: str = SIGNATURE,
    media_type: str = "application/pkcs7-signature",
    digest: str = "sha256",
) -> bytes:
    """The manifest over the members, in their order; `protected_by` is the file of the signature or record over it."""
    listed = [Listed(one.name, one.media_type, hashlib.new(digest, one.content).digest(), one.root) for one in members]
    return manifest_of(listed, protected_by, media_type, digest)


def manifest_of(
    members: Sequence[Listed],
    protected_by: str = SIGNATURE,
    media_type: str = "application/pkcs7-signature",
    digest: str = "sha256",
) -> bytes:
    """The same over members of which only the digests are at hand."""
    root = etree.Element(f"{{{_ASIC}}}ASiCManifest", nsmap={"asic": _ASIC, "ds": _DS})
    etree.SubElement(root, f"{{{_ASIC}}}SigReference", URI=protected_by, MimeType=media_type)
    for member in members:
        reference = etree.SubElement(
            root, f"{{{_ASIC}}}DataObjectReference", URI=member.name, MimeType=member.media_type
        )
        if member.root:
            reference.set("Rootfile", "true")
        etree.SubElement(reference, f"{{{_DS}}}DigestMethod", Algorithm=_DIGESTS[digest])
        value = etree.SubElement(reference, f"{{{_DS}}}DigestValue")
        value.text = base64.b64encode(member.digest).decode()
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def pack(members: Sequence[Member]) -> bytes:
    """The ZIP file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        kind = zipfile.ZipInfo("mimetype", _NO_TIME)
        archive.writestr(kind, MEDIA_TYPE, zipfile.ZIP_STORED)
        for member in members:
            info = zipfile.ZipInfo(member.name, _NO_TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, member.content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


class ContainerStream:
    """A container that is given out while it is made: what was added is taken away in pieces, and only digests stay.

    `add` any number of files, `close` with the seal, and `take` in between.
    """

    def __init__(self) -> None:
        self._out = _Taken()
        self._archive = zipfile.ZipFile(self._out, "w")  # type: ignore[call-overload] # a writer without seek
        self._listed: list[Listed] = []
        self._archive.writestr(zipfile.ZipInfo("mimetype", _NO_TIME), MEDIA_TYPE, zipfile.ZIP_STORED)

    @property
    def size(self) -> int:
        """Bytes made so far."""
        return self._out.tell()

    def add(self, member: Member) -> None:
        """Adds a file."""
        self._listed.append(
            Listed(member.name, member.media_type, hashlib.sha256(member.content).digest(), member.root)
        )
        self._write(member.name, member.content)

    def close(self, sign: Callable[[bytes], bytes]) -> None:
        """Adds the manifest over every file and the seal over the manifest, and ends the container."""
        listing = manifest_of(self._listed)
        self._write(MANIFEST, listing)
        self._write(SIGNATURE, sign(listing))
        self._archive.close()

    def take(self) -> bytes:
        """What was made since the last time."""
        return self._out.take()

    def _write(self, name: str, content: bytes) -> None:
        info = zipfile.ZipInfo(name, _NO_TIME)
        info.external_attr = 0o644 << 16
        self._archive.writestr(info, content, zipfile.ZIP_DEFLATED)


class _Taken:
    """A file that is only ever written on, and from which what was written is taken away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
