"""The signed envelope GIAMDINHHS (domain page §2.3) and the rows of the tables inside it."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from services.records.formats.document import DocumentUnusable, QualityFinding, Severity
from services.records.formats.xml130.markup import DEFAULT_LIMITS, Limits, Reader
from services.records.formats.xml130.tables import TableShape, table_shapes

ROOT = "GIAMDINHHS"
UNIT = f"{ROOT}/THONGTINDONVI/MACSKCB"
FILES = f"{ROOT}/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO"

Row = Mapping[str, str]

_FACILITY = re.compile(r"[0-9A-Z]{5}")
_WHITE = b" \t\r\n"
_OWN_SIGNATURE = ".//DU_PHONG/{http://www.w3.org/2000/09/xmldsig#}Signature"


@dataclass(frozen=True, slots=True)
class InnerTable:
    """One FILEHOSO: its table, its decoded XML and its place in the envelope, for errors."""

    name: str
    content: bytes
    field: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the outer document says. `created_on` (NGAYLAP) and `declared_count` (SOLUONGHOSO) are raw text."""

    facility: str
    created_on: str
    declared_count: str
    tables: tuple[InnerTable, ...]
    signed: bool


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows of the tables present, by table name in envelope order, and what was odd about their shape. `signed` are
    the tables that carry a signature of their own in DU_PHONG.
    """

    rows: Mapping[str, tuple[Row, ...]]
    findings: tuple[QualityFinding, ...]
    signed: frozenset[str] = frozenset()


def parse_envelope(content: bytes, limits: Limits = DEFAULT_LIMITS, reader: Reader | None = None) -> Envelope:
    """Read the outer document; the signature is judged elsewhere. Raises DocumentUnusable."""
    root = (reader or Reader(limits)).parse(content, ROOT, limits.size)
    if root.tag != ROOT:
        raise DocumentUnusable("ROOT_UNKNOWN", ROOT, f"the root element must be {ROOT}, without a namespace")
    facility = _text(_only(_only(root, "THONGTINDONVI", ROOT), "MACSKCB", f"{ROOT}/THONGTINDONVI"), UNIT)
    if not facility:
        raise DocumentUnusable("FACILITY_MISSING", UNIT, "the facility code is missing")
    if not _FACILITY.fullmatch(facility):
        raise DocumentUnusable("FACILITY_INVALID", UNIT, "the facility code must be 5 digits or capitals")
    head = f"{ROOT}/THONGTINHOSO"
    info = _only(root, "THONGTINHOSO", ROOT)
    episodes = _only(info, "DANHSACHHOSO", head).findall("HOSO")
    if len(episodes) != 1:
        raise DocumentUnusable(
            "EPISODE_COUNT", f"{head}/DANHSACHHOSO", f"exactly one HOSO a file; found {len(episodes)}"
        )
    signatures = root.findall("CHUKYDONVI")
    if len(signatures) > 1:
        raise DocumentUnusable("STRUCTURE_INVALID", f"{ROOT}/CHUKYDONVI", "the element stands more than once")
    return Envelope(
        facility=facility,
        created_on=(info.findtext("NGAYLAP") or "").strip(),
        declared_count=(info.findtext("SOLUONGHOSO") or "").strip(),
        tables=_tables(episodes[0], limits),
        signed=bool(signatures) and len(signatures[0]) > 0,
    )


def read_tables(envelope: Envelope, limits: Limits = DEFAULT_LIMITS, reader: Reader | None = None) -> TableRows:
    """Parse every inner table to rows of stripped field texts. Raises DocumentUnusable."""
    reader = reader or Reader(limits)
    rows: dict[str, tuple[Row, ...]] = {}
    findings: list[QualityFinding] = []
    signed: set[str] = set()
    total = 0
    for table in envelope.tables:
        root = reader.parse(table.content, table.field, limits.table_size)
        shape = table_shapes()[table.name]
        if shape.root is not None and root.tag != shape.root:
            raise DocumentUnusable("TABLE_ROOT_MISMATCH", table.field, f"the root of {table.name} must be {shape.root}")
        elements = _row_elements(root)
        total += len(elements)
        if total > limits.rows:
            raise DocumentUnusable("TOO_MANY_ROWS", table.field, f"more than {limits.rows} rows in all")
        rows[table.name] = tuple(_row(element, shape, index, findings) for index, element in enumerate(elements, 1))
        # The bytes are asked first: a table without the word need not be walked.
        if b"Signature" in table.content and root.find(_OWN_SIGNATURE) is not None:
            signed.add(table.name)
    return TableRows(rows, tuple(findings), frozenset(signed))


def row_field(table: str, row: int, field: str) -> str:
    """Name a field inside a table, such as `GIAMDINHHS/HOSO/XML2[3].NGAY_YL`; rows count from 1."""
    return f"{ROOT}/HOSO/{table}[{row}].{field}"


def _tables(episode: etree._Element, limits: Limits) -> tuple[InnerTable, ...]:
    found: dict[str, InnerTable] = {}
    for index, file in enumerate(episode.findall("FILEHOSO"), 1):
        place = f"{FILES}[{index}]"
        if index > limits.tables:
            raise DocumentUnusable("TOO_MANY_TABLES", place, f"more than {limits.tables} FILEHOSO")
        name = _text(_only(file, "LOAIHOSO", place), f"{place}/LOAIHOSO").upper()
        if name not in table_shapes():
            raise DocumentUnusable("TABLE_UNKNOWN", f"{place}/LOAIHOSO", "the table must be one of XML0 to XML15")
        if name in found:
            raise DocumentUnusable("TABLE_REPEATED", f"{place}/LOAIHOSO", f"{name} stands twice in one episode")
        body = f"{place}/NOIDUNGFILE"
        content = _decode(_content(_only(file, "NOIDUNGFILE", place), body), body, limits.table_size)
        found[name] = InnerTable(name, content, body)
    if not found:
        raise DocumentUnusable("EPISODE_EMPTY", FILES, "the episode holds no table")
    return tuple(found.values())


def _decode(text: str, field: str, size: int) -> bytes:
    # XML Schema's base64Binary allows white space, which senders use to wrap lines; nothing else beside the
    # alphabet is let through.
    try:
        encoded = text.encode("ascii").translate(None, _WHITE)
        if len(encoded) > size * 4 // 3 + 4:
            raise DocumentUnusable("TABLE_TOO_LARGE", field, f"the table is larger than {size} bytes")
        # The library's strict mode lets surplus padding through before Python 3.13.
        if len(encoded) % 4:
            raise binascii.Error("not whole groups of four")
        return binascii.a2b_base64(encoded, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise DocumentUnusable("BASE64_INVALID", field, "the content is not strict base64 (RFC 4648 §4)") from None


def _only(parent: etree._Element, name: str, place: str) -> etree._Element:
    """Return the single child of that name: two would let a verifier and a reader see different things."""
    found = parent.findall(name)
    if len(found) != 1:
        problem = "missing" if not found else "there more than once"
        raise DocumentUnusable("STRUCTURE_INVALID", f"{place}/{name}", f"the element is {problem}")
    return found[0]


def _text(element: etree._Element, field: str) -> str:
    return _content(element, field).strip()


def _content(element: etree._Element, field: str) -> str:
    if len(element):
        raise DocumentUnusable("STRUCTURE_INVALID", field, "the element must hold text only")
    return element.text or ""


def _row_elements(element: etree._Element) -> list[etree._Element]:
    """Find the rows by what they are, elements that hold a field with text; senders differ in how many lists they put
    around them.
    """
    if any(child.text and not len(child) and not child.text.isspace() for child in element):
        return [element]
    return [row for child in element if len(child) for row in _row_elements(child)]


def _row(element: etree._Element, shape: TableShape, index: int, findings: list[QualityFinding]) -> Row:
    row: dict[str, str] = {}
    for child in element:
        name = child.tag
        if name in row:
            findings.append(QualityFinding(shape.name, index, name, "row.shape", "FIELD_REPEATED", Severity.WARNING))
            continue
        # 3176-era senders put a signature element into DU_PHONG; other fields hold text only.
        if len(child) and name != "DU_PHONG":
            findings.append(
                QualityFinding(shape.name, index, name, "row.shape", "FIELD_HAS_ELEMENTS", Severity.WARNING)
            )
        text = child.text
        row[name] = text.strip() if text else ""
    return row
