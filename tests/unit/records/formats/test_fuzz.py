"""No input makes the parser do anything but answer: an episode, or DocumentUnusable."""

from __future__ import annotations

from xml.sax.saxutils import escape

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.records.formats import DocumentUnusable, HealthBookEntry, ParsedDocument
from services.records.formats.xml130 import Xml130Format
from tests.unit.records.formats.documents import sample, with_field, with_table

VALID = sample(11, referral_to="01001", facility="27001", follow_up=True)
OLD = sample(12, spec="4750", referral_to="01001", facility="27001", follow_up=True)
QUICK = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
PERSON_FIELDS = ("HO_TEN", "SO_CCCD", "NGAY_SINH", "GIOI_TINH", "MATINH_CU_TRU", "MA_THE_BHYT", "MA_BN")
STAY_FIELDS = ("MA_LK", "NGAY_VAO", "NGAY_RA", "SO_NGAY_DTRI", "MA_LOAI_KCB", "NGAY_TAI_KHAM", "MA_NOI_DEN")
OTHER_FIELDS = ("T_BHTT", "T_TONGCHI_BH", "MA_BENH_KT")
SCALARS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)
DIGITS = st.text("0123456789.;-+eE ٣", max_size=16)


def parse(content: bytes) -> None:
    outcome = attempt(content)
    if isinstance(outcome, DocumentUnusable):
        assert outcome.rejection.isupper()
        assert outcome.field.startswith("GIAMDINHHS")
    elif outcome.health_book_entry is not None:
        assert HealthBookEntry.from_json(outcome.health_book_entry.to_json()) == outcome.health_book_entry


def attempt(content: bytes) -> ParsedDocument | DocumentUnusable:
    try:
        return Xml130Format().parse(content)
    except DocumentUnusable as refusal:
        return refusal


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes(content: bytes) -> None:
    parse(content)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_as_the_root(content: bytes) -> None:
    parse(b"<GIAMDINHHS>" + content + b"</GIAMDINHHS>")


@QUICK
@given(st.sampled_from([VALID, OLD]), st.data())
def test_damaged_envelopes(content: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 12))
    parse(content[:start] + data.draw(st.binary(max_size=12)) + content[start + length :])


@QUICK
@given(st.sampled_from(["XML1", "XML2", "XML4", "XML13", "XML14"]), st.data())
def test_damaged_tables(table: str, data: st.DataObject) -> None:
    def damage(xml: str) -> str:
        start = data.draw(st.integers(0, len(xml) - 1))
        return xml[:start] + data.draw(SCALARS) + xml[start + data.draw(st.integers(0, 9)) :]

    parse(with_table(VALID, table, damage))


@QUICK
@given(st.sampled_from(PERSON_FIELDS + STAY_FIELDS + OTHER_FIELDS), st.one_of(SCALARS, DIGITS))
def test_any_value_in_a_field_of_the_summary(field: str, text: str) -> None:
    parse(with_field(VALID, "XML1", field, escape(text)))


@QUICK
@given(st.sampled_from(["NGAY_HEN_KL", "SO_GIAYHEN_KL", "NGAY_CT"]), DIGITS)
def test_any_value_in_a_slip(field: str, text: str) -> None:
    parse(with_field(OLD, "XML14", field, text))
