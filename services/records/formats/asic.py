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
        value.text = base64.b64encode(hashlib.new(digest, member.content).digest()).decode()
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
