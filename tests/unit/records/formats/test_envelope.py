"""What makes a document unusable: each fault has its own reason and names its place; none of them costs much."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from lienthong.samples import BROKEN_KINDS, Generator

from services.records.formats import DocumentUnusable, format_of
from services.records.formats.xml130 import Limits, Xml130Format, parse_envelope, parse_episode
from tests.unit.records.formats.documents import sample, with_field, with_table

ROOT = Path(__file__).parents[4]
TABLE_1 = "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO[1]/NOIDUNGFILE"
EXPECTED = {
    "empty": ("NOT_XML", "GIAMDINHHS"),
    "not_xml": ("NOT_XML", "GIAMDINHHS"),
    "truncated": ("NOT_XML", "GIAMDINHHS"),
    "wrong_encoding": ("ENCODING_NOT_UTF8", "GIAMDINHHS"),
    "wrong_table_encoding": ("ENCODING_NOT_UTF8", TABLE_1),
    "xxe": ("DTD_FORBIDDEN", "GIAMDINHHS"),
    "entity_bomb": ("DTD_FORBIDDEN", "GIAMDINHHS"),
    "table_entity_bomb": ("DTD_FORBIDDEN", TABLE_1),
    "oversize": ("TOO_LARGE", "GIAMDINHHS"),
    "deep_nesting": ("NESTING_TOO_DEEP", "GIAMDINHHS"),
    "deep_table": ("NESTING_TOO_DEEP", TABLE_1),
    "comment": ("COMMENT_FORBIDDEN", "GIAMDINHHS"),
    "instruction": ("INSTRUCTION_FORBIDDEN", "GIAMDINHHS"),
    "other_root": ("ROOT_UNKNOWN", "GIAMDINHHS"),
    "bad_base64": ("BASE64_INVALID", TABLE_1),
    "unknown_table": ("TABLE_UNKNOWN", "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO[2]/LOAIHOSO"),
    "repeated_table": ("TABLE_REPEATED", "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO[2]/LOAIHOSO"),
    "wrong_table_root": ("TABLE_ROOT_MISMATCH", TABLE_1),
    "table_not_xml": ("NOT_XML", TABLE_1),
    "no_summary": ("SUMMARY_MISSING", "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO"),
    "no_table": ("EPISODE_EMPTY", "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO/HOSO/FILEHOSO"),
    "two_episodes": ("EPISODE_COUNT", "GIAMDINHHS/THONGTINHOSO/DANHSACHHOSO"),
    "no_episode_key": ("EPISODE_KEY_MISSING", "GIAMDINHHS/HOSO/XML1[1].MA_LK"),
    "two_episode_keys": ("EPISODE_KEY_CONFLICT", "GIAMDINHHS/HOSO/XML2[1].MA_LK"),
    "no_facility": ("FACILITY_MISSING", "GIAMDINHHS/THONGTINDONVI/MACSKCB"),
    "two_facilities": ("FACILITY_MISMATCH", "GIAMDINHHS/HOSO/XML1[1].MA_CSKCB"),
}


def refusal(content: bytes, limits: Limits | None = None) -> DocumentUnusable:
    with pytest.raises(DocumentUnusable) as caught:
        parse_episode(content, limits or Limits())
    return caught.value


def test_every_broken_kind_has_an_expectation() -> None:
    assert set(EXPECTED) == set(BROKEN_KINDS)


@pytest.mark.parametrize("kind", BROKEN_KINDS)
def test_broken_kind_gives_its_named_error_at_its_place(kind: str) -> None:
    error = refusal(Generator(7).broken(kind))
    assert (error.rejection, error.field) == EXPECTED[kind]
    (violation,) = error.violations
    assert (violation.reason, violation.field) == EXPECTED[kind]
    assert error.metadata == {"rejection": error.rejection}


HOSTILE = """
import resource, time
from lienthong.samples import Generator
from services.records.formats import DocumentUnusable
from services.records.formats.xml130 import parse_episode
kinds = ("entity_bomb", "table_entity_bomb", "deep_nesting", "xxe")
documents = {kind: Generator(7).broken(kind) for kind in kinds}
documents["wide"] = b"<GIAMDINHHS>" + b"<A/>" * 2_000_000 + b"</GIAMDINHHS>"
documents["unclosed"] = b"<GIAMDINHHS>" + b"<![CDATA[" * 800_000
parse_episode(Generator(7).episode().content)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for kind, content in documents.items():
    started = time.process_time()
    try:
        parse_episode(content)
    except DocumentUnusable:
        seconds = time.process_time() - started
        assert seconds < 0.5, (kind, seconds)
    else:
        raise AssertionError(kind)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
# The encoding check holds the text of one document for a moment.
assert grown < 32 * 1024, grown
"""


def test_hostile_documents_cost_little() -> None:
    """In a process of its own, where the peak of memory is theirs alone."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    done = subprocess.run([sys.executable, "-c", HOSTILE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("content", "rejection"),
    [
        (b"<GIAMDINHHS xmlns='urn:x'/>", "ROOT_UNKNOWN"),
        (b"<GIAMDINHHS/>", "STRUCTURE_INVALID"),
        ("<GIAMDINHHS>é</GIAMDINHHS>".encode("latin-1"), "ENCODING_NOT_UTF8"),
        (b"\x00<GIAMDINHHS/>", "ENCODING_NOT_UTF8"),
        (b'<?xml version="1.0" encoding="utf-16"?><GIAMDINHHS/>', "ENCODING_NOT_UTF8"),
        (b'<?xml version="1.0" encoding="iso-8859-1"?><GIAMDINHHS/>', "ENCODING_NOT_UTF8"),
        (b"<GIAMDINHHS/><!DOCTYPE x>", "DTD_FORBIDDEN"),
        (b"<![CDATA[x]]><!DOCTYPE GIAMDINHHS []><GIAMDINHHS/>", "DTD_FORBIDDEN"),
        (b"<GIAMDINHHS><![CDATA[ never ends", "DTD_FORBIDDEN"),
        (b"<GIAMDINHHS>&unknown;</GIAMDINHHS>", "NOT_XML"),
        (b'<GIAMDINHHS><A a="<![CDATA["/></GIAMDINHHS>', "DTD_FORBIDDEN"),
        (b"<?xml-stylesheet href='x'?><GIAMDINHHS/>", "INSTRUCTION_FORBIDDEN"),
        (b"x<GIAMDINHHS/>", "NOT_XML"),
    ],
)
def test_outer_text(content: bytes, rejection: str) -> None:
    assert refusal(content).rejection == rejection


def test_depth_below_the_librarys_own_limit_is_refused_too() -> None:
    assert refusal(b"<GIAMDINHHS>" + b"<A>" * 100 + b"</A>" * 100 + b"</GIAMDINHHS>").rejection == "NESTING_TOO_DEEP"
    assert refusal(b"<GIAMDINHHS>" + b"<A>" * 99 + b"</A>" * 99 + b"</GIAMDINHHS>").rejection == "STRUCTURE_INVALID"


def test_limits_are_parameters() -> None:
    content = sample(3)
    assert refusal(content, Limits(size=len(content) - 1)).rejection == "TOO_LARGE"
    assert refusal(content, Limits(table_size=1000)).rejection == "TABLE_TOO_LARGE"
    assert refusal(content, Limits(tables=2)).rejection == "TOO_MANY_TABLES"
    assert refusal(content, Limits(rows=5)).rejection == "TOO_MANY_ROWS"
    assert refusal(content, Limits(markup=500)).rejection == "TOO_MANY_ELEMENTS"
    parse_episode(content, Limits(size=len(content)))


def test_markup_is_one_budget_for_all_tables() -> None:
    content = sample(3)
    largest = max(table.content.count(b"<") for table in parse_envelope(content).tables)
    error = refusal(content, Limits(markup=largest + 200))
    assert error.rejection == "TOO_MANY_ELEMENTS"


def test_utf8_mark_wrapped_base64_and_cdata_are_accepted() -> None:
    content = sample(4)
    assert not parse_episode(b"\xef\xbb\xbf" + content).findings
    table = parse_envelope(content).tables[0]
    encoded = base64.b64encode(table.content)
    wrapped = content.replace(encoded, base64.encodebytes(table.content).replace(b"\n", b"\r\n"))
    assert parse_episode(wrapped).patient == parse_episode(content).patient
    quoted = with_field(content, "XML1", "LY_DO_VV", "<![CDATA[Đau < 3 ngày & sốt]]>")
    assert parse_episode(quoted).summary["LY_DO_VV"] == "Đau < 3 ngày & sốt"


@pytest.mark.parametrize("text", ["QUJD=", "QUJDRA==QQ==", "QUJ", "QU-D", "QUJD\u00a0", "====", "QUJĐ"])
def test_base64_is_strict(text: str) -> None:
    content = sample(4)
    encoded = base64.b64encode(parse_envelope(content).tables[0].content)
    assert refusal(content.replace(encoded, text.encode())).rejection == "BASE64_INVALID"


@pytest.mark.parametrize("name", ["THONGTINDONVI", "THONGTINHOSO", "CHUKYDONVI"])
def test_a_part_that_stands_twice_is_refused(name: str) -> None:
    """Otherwise a signature could be checked over one copy and the other be read."""
    content = sample(4).replace(b"</GIAMDINHHS>", f"<{name}/></GIAMDINHHS>".encode())
    error = refusal(content)
    assert (error.rejection, error.field) == ("STRUCTURE_INVALID", f"GIAMDINHHS/{name}")


def test_signature_element_and_foreign_namespaces_do_no_harm() -> None:
    signature = (
        b'<CHUKYDONVI><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature></CHUKYDONVI>'
    )
    content = sample(4)
    assert not parse_envelope(content).signed
    signed = content.replace(b"<CHUKYDONVI></CHUKYDONVI>", signature)
    assert parse_envelope(signed).signed
    assert not parse_episode(signed).findings


def test_facility_signature_inside_a_reserve_field_is_left_alone() -> None:
    content = sample(4, referral_to="01001", facility="27001")
    inside = '<DU_PHONG><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature></DU_PHONG>'
    signed = with_table(content, "XML13", lambda xml: xml.replace("<DU_PHONG/>", inside))
    episode = parse_episode(signed)
    assert not episode.findings
    assert episode.referral is not None


def test_key_and_facility_must_have_their_shape() -> None:
    content = sample(4)
    assert refusal(with_field(content, "XML1", "MA_LK", "x" * 101)).rejection == "EPISODE_KEY_INVALID"
    assert refusal(with_field(content, "XML1", "MA_LK", "a\u200b\u0085b")).rejection == "EPISODE_KEY_INVALID"
    assert refusal(with_field(content, "XML1", "MA_CSKCB", None)).rejection == "FACILITY_MISSING"
    assert refusal(content.replace(b"<MACSKCB>", b"<MACSKCB>0")).rejection == "FACILITY_INVALID"
    conflict = refusal(with_field(content, "XML4", "MA_LK", "other", row=2))
    assert (conflict.rejection, conflict.field) == ("EPISODE_KEY_CONFLICT", "GIAMDINHHS/HOSO/XML4[2].MA_LK")


def test_summary_must_be_one_row() -> None:
    twice = with_table(
        sample(4),
        "XML1",
        lambda xml: xml.replace("<TONG_HOP>", "<TONG_HOP><A>").replace("</TONG_HOP>", "</A><A><B>1</B></A></TONG_HOP>"),
    )
    assert refusal(twice).rejection == "SUMMARY_INVALID"
    empty = with_table(sample(4), "XML1", lambda _: "<TONG_HOP/>")
    assert refusal(empty).rejection == "SUMMARY_INVALID"


def test_error_text_holds_nothing_of_the_document() -> None:
    broken = with_table(sample(4), "XML1", lambda xml: xml.replace("<HO_TEN>", "<HO_TEN>Bí Mật <Riêng Tư>"))
    error = refusal(broken)
    assert error.rejection == "NOT_XML"
    for text in (str(error), error.text, repr(error), *(one.description for one in error.violations)):
        assert "Bí" not in text
        assert "Riêng" not in text


def test_error_survives_a_process_border() -> None:
    error = refusal(b"")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (again.rejection, again.field, again.violations) == (error.rejection, error.field, error.violations)


def test_sniffing_finds_the_format() -> None:
    xml130 = Xml130Format()
    assert format_of(sample(4), [xml130]) is xml130
    assert format_of(b"<HoSoBenhAn/>", [xml130]) is None
    assert xml130.name == "XML130"
