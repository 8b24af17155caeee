"""The inner tables of a GIAMDINHHS envelope: what a practitioner signs by itself, such as the referral XML13."""

from __future__ import annotations

import base64
import binascii

from lxml import etree

from lienthong.agent.signing.signer import DocumentUnsignable


def inner_table(document: bytes, part: str) -> bytes:
    """The decoded bytes of one inner table, such as `XML13`: exactly what the system decodes too.

    Raises DocumentUnsignable when the document is no envelope with just one table of this name.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, collect_ids=False
    )
    try:
        root = etree.fromstring(document, parser)
    except (etree.LxmlError, ValueError, LookupError):
        raise DocumentUnsignable("not well-formed XML") from None
    found = [file for file in root.iter("FILEHOSO") if (file.findtext("LOAIHOSO") or "").strip().upper() == part]
    if len(found) != 1:
        raise DocumentUnsignable(f"the document has {'more than one' if found else 'no'} table {part}")
    text = "".join((found[0].findtext("NOIDUNGFILE") or "").split())
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentUnsignable(f"table {part} is not base64") from error
    if not content:
        raise DocumentUnsignable(f"table {part} is empty")
    return content
