"""Rows to the national XML: inner tables, base64, and the unsigned outer document GIAMDINHHS (domain page §2.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from lienthong.samples.resources import layout

Row = Mapping[str, str]

# Root, list and row element of each table; tables without a list hold one row in their root.
_SHAPES: Mapping[str, tuple[str, ...]] = {
    "XML1": ("TONG_HOP",),
    "XML2": ("CHITIEU_CHITIET_THUOC", "DSACH_CHI_TIET_THUOC", "CHI_TIET_THUOC"),
    "XML3": ("CHITIEU_CHITIET_DVKT_VTYT", "DSACH_CHI_TIET_DVKT", "CHI_TIET_DVKT"),
    "XML4": ("CHITIEU_CHITIET_DICHVUCANLAMSANG", "DSACH_CHI_TIET_CLS", "CHI_TIET_CLS"),
    "XML5": ("CHITIEU_CHITIET_DIENBIENLAMSANG", "DSACH_CHI_TIET_DIEN_BIEN_BENH", "CHI_TIET_DIEN_BIEN_BENH"),
    "XML7": ("CHI_TIEU_DU_LIEU_GIAY_RA_VIEN",),
    "XML8": ("CHI_TIEU_DU_LIEU_TOM_TAT_HO_SO_BENH_AN",),
    "XML13": ("CHI_TIEU_GIAYCHUYENTUYEN",),
    "XML14": ("CHI_TIEU_GIAYHEN_KHAMLAI",),
}
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
# Hospital systems built on one common library declare these on the root; canonicalisation must carry them.
_SCHEMA_NAMES = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"'


def table_xml(spec: str, table: str, rows: Sequence[Row]) -> bytes:
    """Write one inner table; a row's field that the annex does not know is a mistake of the caller (KeyError)."""
    names = layout(spec, table)
    for row in rows:
        if unknown := set(row) - set(names):
            raise KeyError(f"{table} of {spec} has no {sorted(unknown)}")
    shape = _SHAPES[table]
    bodies = ["".join(_field(name, row.get(name, "")) for name in names) for row in rows]
    if len(shape) == 1:
        (body,) = bodies
        return f"{_DECLARATION}<{shape[0]}>{body}</{shape[0]}>".encode()
    root, group, item = shape
    listed = "".join(f"<{item}>{body}</{item}>" for body in bodies)
    return f"{_DECLARATION}<{root}><{group}>{listed}</{group}></{root}>".encode()


def envelope_xml(
    facility: str, created_on: str, tables: Sequence[tuple[str, bytes]], *, schema_names: bool = False
) -> bytes:
    """Write the unsigned outer document; CHUKYDONVI is empty and last, where the signature goes."""
    files = "".join(
        f"<FILEHOSO><LOAIHOSO>{name}</LOAIHOSO><NOIDUNGFILE>{base64.b64encode(content).decode()}</NOIDUNGFILE></FILEHOSO>"
        for name, content in tables
    )
    return (
        f"{_DECLARATION}<GIAMDINHHS{_SCHEMA_NAMES if schema_names else ''}>"
        f"<THONGTINDONVI><MACSKCB>{escape(facility)}</MACSKCB></THONGTINDONVI>"
        f"<THONGTINHOSO><NGAYLAP>{created_on}</NGAYLAP><SOLUONGHOSO>1</SOLUONGHOSO>"
        f"<DANHSACHHOSO><HOSO>{files}</HOSO></DANHSACHHOSO></THONGTINHOSO>"
        f"<CHUKYDONVI></CHUKYDONVI></GIAMDINHHS>"
    ).encode()


def _field(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>" if text else f"<{name}/>"
