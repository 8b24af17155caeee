"""Inner tables, and signature files that the user names."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from lienthong.agent.inner_table import inner_table
from lienthong.agent.sidecars import SidecarInvalid, named
from lienthong.agent.signing import DocumentUnsignable

ENVELOPE = b"<GIAMDINHHS><FILEHOSO><LOAIHOSO>XML13</LOAIHOSO><NOIDUNGFILE>%s</NOIDUNGFILE></FILEHOSO></GIAMDINHHS>"


def test_the_inner_table_is_what_the_envelope_encodes() -> None:
    inner = "<CHI_TIEU><HO_TEN>Nguyễn</HO_TEN></CHI_TIEU>".encode()
    encoded = base64.encodebytes(inner)
    assert inner_table(ENVELOPE % encoded, "XML13") == inner
    for document, part in (
        (ENVELOPE % encoded, "XML14"),
        (ENVELOPE % b"*", "XML13"),
        (ENVELOPE % b"", "XML13"),
        (b"<G>" + ENVELOPE % encoded + ENVELOPE % encoded + b"</G>", "XML13"),
        (b"not XML", "XML13"),
    ):
        with pytest.raises(DocumentUnsignable):
            inner_table(document, part)


def test_a_signature_file_is_known_by_its_ending(tmp_path: Path) -> None:
    document = tmp_path / "a.xml"
    assert named(tmp_path / "a.xml.XML13.p7s", document).part == "XML13"
    assert named(tmp_path / "other.jws", document).form == "JWS_DETACHED"
    with pytest.raises(SidecarInvalid, match="ends in"):
        named(tmp_path / "other.txt", document)
