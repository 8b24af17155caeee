"""The hardened way from bytes to an element tree. The signed bytes come from outside, so every limit is checked before
work is done for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from services.records.formats.document import DocumentUnusable

_DECLARED = re.compile(rb"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_DECLARATION = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--|<!|<\?", re.DOTALL)
_XML_DECLARATION = re.compile(rb"<\?xml\s")
_FORBIDDEN = {
    b"<?": ("INSTRUCTION_FORBIDDEN", "a processing instruction"),
    b"<!--": ("COMMENT_FORBIDDEN", "an XML comment"),
    b"<!": ("DTD_FORBIDDEN", "a document type or entity declaration"),
}
_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one document. Sizes in bytes; `markup` counts `<` over the envelope and all tables, since each costs a
    node.
    """

    size: int = 8 * 1024 * 1024
    table_size: int = 4 * 1024 * 1024
    tables: int = 16
    depth: int = 100
    markup: int = 400_000
    rows: int = 20_000


DEFAULT_LIMITS = Limits()


class Reader:
    """Parses the pieces of one document within one budget of markup. Not shared between documents or threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._markup = 0
        # No DTD is ever reached (it is refused beforehand); the options say the same again to the library.
        self._parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
        )
        self._too_deep = etree.XPath("boolean(" + "/*" * (limits.depth + 1) + ")")

    def parse(self, content: bytes, field: str, size: int) -> etree._Element:
        """Parse UTF-8 XML without DTD, comment or processing instruction. Raises DocumentUnusable naming `field`."""
        if len(content) > size:
            raise DocumentUnusable("TOO_LARGE", field, f"{len(content)} bytes; the limit is {size}")
        _check_encoding(content, field)
        self._markup += content.count(b"<")
        if self._markup > self._limits.markup:
            raise DocumentUnusable("TOO_MANY_ELEMENTS", field, f"more than {self._limits.markup} tags in all")
        _check_declarations(content, field)
        try:
            root = etree.fromstring(content, self._parser)
        except etree.XMLSyntaxError as failure:
            # The stubs do not know `code`. The library stops at 256 levels and at 10 MB of text by itself.
            if getattr(failure, "code", None) == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
                raise self._nesting(field) from None
            # The library's text may quote the document; line and column do not.
            line, column = failure.position
            raise DocumentUnusable("NOT_XML", field, f"not well-formed XML at line {line}, column {column}") from None
        if root.getroottree().docinfo.internalDTD is not None:
            # Not reached while the scan above is right; what a DTD could do is worth a second lock.
            raise DocumentUnusable("DTD_FORBIDDEN", field, "a document type declaration")
        if self._too_deep(root):
            raise self._nesting(field)
        return root

    def _nesting(self, field: str) -> DocumentUnusable:
        return DocumentUnusable("NESTING_TOO_DEEP", field, f"elements nested deeper than {self._limits.depth}")


def _check_encoding(content: bytes, field: str) -> None:
    if content.startswith(_OTHER_MARKS) or b"\x00" in content[:4]:
        raise DocumentUnusable("ENCODING_NOT_UTF8", field, "the bytes are UTF-16 or UTF-32; only UTF-8 is accepted")
    text = content.removeprefix(_UTF8_MARK)
    if not text.lstrip().startswith(b"<"):
        raise DocumentUnusable("NOT_XML", field, "the content does not begin with a tag")
    declared = _DECLARED.match(text)
    if declared and declared[1].lower() not in (b"utf-8", b"utf8"):
        raise DocumentUnusable("ENCODING_NOT_UTF8", field, "the XML declaration names another encoding than UTF-8")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise DocumentUnusable("ENCODING_NOT_UTF8", field, f"byte {failure.start} is not valid UTF-8") from None


def _check_declarations(content: bytes, field: str) -> None:
    """Refuse DTD, comment and processing instruction by their opening bytes, before a parser sees them.

    `<` cannot stand in text or attributes, so outside CDATA each `<!` and `<?` is what it looks like. A CDATA
    section that never ends
    matches as a declaration, and is refused as one.
    """
    start = len(_UTF8_MARK) if content.startswith(_UTF8_MARK) else 0
    if _XML_DECLARATION.match(content, start):
        start += len(b"<?")
    for match in _DECLARATION.finditer(content, start):
        if reason := _FORBIDDEN.get(match[0]):
            rejection, what = reason
            raise DocumentUnusable(rejection, field, f"{what} at byte {match.start()}")
