"""The engine: what is found by which key, what each field adds, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.identity.matching import comparison, scoring
from services.identity.matching.blocks import MOST_KEYS, MOST_ROWS, query_keys, stored_keys, tiers
from services.identity.matching.decision import Scored, decide
from services.identity.matching.features import FeaturesUnreadable, pack, unpack
from services.identity.matching.model import load_model, model_of
from services.identity.matching.scoring import Scorer
from services.identity.model import Area, BirthDate, Demographics, Era, Outcome, Sex
from services.identity.normalise.person import NormalPerson, normal

MODEL = load_model()
SCORER = Scorer(MODEL)
N = 1_000_000
HOA = Demographics(
    "Nguyễn Thị Ngọc Hoa",
    BirthDate(1985, 3, 2),
    Sex.FEMALE,
    "0912345678",
    Area("27", Era.PROVINCES_63, "09163"),
)


def like(**changes: object) -> NormalPerson:
    return normal(replace(HOA, **changes))  # type: ignore[arg-type] # by name


def outcome(query: NormalPerson, *candidates: NormalPerson, emergency: bool = False) -> Outcome:
    scored = [Scored(at, SCORER.score(query, one, N)) for at, one in enumerate(candidates)]
    return decide(query, scored, MODEL, emergency=emergency).outcome


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, set("ABCFGWE")),
        ({"name": "Trần Thị Ngọc Hoa"}, set("AGWE")),
        ({"name": "Nguyễn Thị Ngọc Mận"}, set("BE")),
        ({"name": "Hoa Nguyễn Thị Ngọc"}, set("CE")),
        ({"name": "Nguyễn Hoa"}, set("ABFWE")),
        ({"name": "N. T. Ngọc Hoa"}, set("AGWE")),
        ({"birth": BirthDate(1985)}, set("CFGWE")),
        ({"birth": BirthDate(1985, 2, 3)}, set("CFGWE")),
        ({"birth": BirthDate(1958, 3, 2), "phone": None}, set()),
        ({"phone": "0987654321", "residence": None}, set("ABC")),
    ],
)
def test_what_an_entry_is_found_by(changes: dict[str, object], kinds: set[str]) -> None:
    held = set(stored_keys(normal(HOA)))
    assert {key.kind for key in stored_keys(like(**changes)) if key in held} == kinds


@pytest.mark.parametrize(
    "birth", [BirthDate(1985, 2, 3), BirthDate(1986, 3, 2), BirthDate(1995, 3, 2), BirthDate(1984, 3, 2)]
)
def test_a_slip_of_the_date_is_looked_for(birth: BirthDate) -> None:
    asked = {one.key for one in query_keys(like(birth=birth, phone=None), MODEL, N)}
    assert any(key.kind == "A" for key in asked & set(stored_keys(normal(HOA))))


def test_an_age_looks_through_nine_years() -> None:
    query = like(birth=None, phone=None)
    asked = {one.key for one in query_keys(query, MODEL, N, estimated_age=38, year=2026)}
    assert {key.kind for key in asked & set(stored_keys(normal(HOA)))} >= {"C", "W"}
    assert not {one.key for one in query_keys(query, MODEL, N)} & set(stored_keys(normal(HOA)))


def test_what_is_left_out_is_said() -> None:
    keys = query_keys(
        like(birth=BirthDate(1985), phone=None, residence=Area("01", Era.PROVINCES_34)), MODEL, 100_000_000
    )
    first, second, left_out = tiers(keys)
    assert left_out
    assert sum(one.rows for one in first + second) <= MOST_ROWS
    assert len(keys) <= MOST_KEYS


def test_no_keys_for_who_has_no_name() -> None:
    assert stored_keys(normal(Demographics("Vô danh 1", BirthDate(1980)))) == ()
    assert stored_keys(normal(Demographics())) == ()
    newborn = normal(Demographics("CB Nguyễn Thị Hoa", BirthDate(2026, 1, 3)))
    assert [key.kind for key in stored_keys(newborn)] == ["M"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Outcome.MATCH),
        ({"name": "NGUYEN THI NGOC HOA"}, Outcome.MATCH),
        ({"name": "Nguyễn Thị Ngọc Hòa", "birth": BirthDate(1985, 3, 2)}, Outcome.REVIEW),
        ({"name": "Nguyễn Thị Ngọc Mận"}, Outcome.NONE),
        ({"name": "Nguyễn Thị Ngọc Huệ"}, Outcome.REVIEW),
        ({"birth": BirthDate(2010, 5, 6)}, Outcome.NONE),
        ({"birth": BirthDate(1985, 2, 3)}, Outcome.MATCH),
        ({"phone": None, "residence": None}, Outcome.REVIEW),
        ({"name": "CB Nguyễn Thị Ngọc Hoa", "birth": BirthDate(2026, 3, 2)}, Outcome.NONE),
        ({"name": "Lê Văn Tám", "birth": BirthDate(1950, 7, 8), "phone": None}, Outcome.NONE),
    ],
)
def test_outcomes(changes: dict[str, object], expected: Outcome) -> None:
    assert outcome(like(**changes), normal(HOA)) is expected


def test_an_emergency_never_matches() -> None:
    assert outcome(normal(HOA), normal(HOA), emergency=True) is Outcome.REVIEW


def test_two_who_are_alike_are_not_told_apart_by_a_machine() -> None:
    assert outcome(normal(HOA), normal(HOA), normal(HOA)) is Outcome.REVIEW


def test_twins_are_looked_at_by_people() -> None:
    twins = replace(HOA, name="Nguyễn Thị Ngọc Anh"), replace(HOA, name="Nguyễn Thị Ngọc Ánh")
    assert outcome(normal(twins[0]), normal(twins[1])) is Outcome.REVIEW


def test_nobody_is_matched_without_a_name() -> None:
    assert outcome(like(name=None), normal(HOA)) is not Outcome.MATCH


def test_orders_of_names() -> None:
    highland = Demographics("H'Hen Niê", BirthDate(1992, 5, 15), Sex.FEMALE, "0912345678", HOA.residence)
    assert outcome(normal(replace(highland, name="Niê H'Hen")), normal(highland)) is Outcome.MATCH
    score = SCORER.score(like(name="Ngọc Hoa Nguyễn Thị"), normal(HOA), N)
    assert score.level(scoring.GIVEN) == "OTHER"


PERSONS = st.builds(
    lambda name, birth, sex, phone, area, mother: normal(Demographics(name, birth, sex, phone, area, mother)),
    st.none()
    | st.lists(
        st.sampled_from(["Nguyễn", "Trần", "Lê", "Văn", "Thị", "Ngọc", "Hoa", "Hòa", "Anh", "Ánh", "N.", "Y", "H'Hen"]),
        max_size=5,
    ).map(" ".join),
    st.none() | st.builds(BirthDate, st.integers(1900, 2026), st.integers(1, 12), st.integers(0, 28)),
    st.none() | st.sampled_from(Sex),
    st.none() | st.sampled_from(["0912345678", "0987654321"]),
    st.none()
    | st.builds(
        Area, st.sampled_from(["01", "79"]), st.just(Era.PROVINCES_34), st.none() | st.sampled_from(["00001", "00004"])
    ),
    st.none() | st.just("Lê Thị Lan"),
)


@given(PERSONS)
def test_features_round_trip(person: NormalPerson) -> None:
    assert unpack(pack(person)) == person
    with pytest.raises(FeaturesUnreadable):
        unpack(b"0" + pack(person)[1:])


@given(PERSONS, PERSONS)
@settings(max_examples=300)
def test_the_evidence_adds_up(query: NormalPerson, candidate: NormalPerson) -> None:
    score = SCORER.score(query, candidate, N)
    assert score.total == pytest.approx(sum(one.bits for one in score.fields))
    if score.veto:
        assert decide(query, [Scored(0, score)], MODEL).outcome is not Outcome.MATCH
        return
    # What one side lacks says nothing.
    for field, values in {
        scoring.PHONE: (query.phone, candidate.phone),
        scoring.SEX: (query.sex, candidate.sex),
        scoring.BIRTH: (query.birth, candidate.birth),
    }.items():
        assert (score.level(field) is not None) == (None not in values)


@given(PERSONS)
def test_another_phone_never_helps(person: NormalPerson) -> None:
    same = SCORER.score(person, person, N).total
    assert SCORER.score(replace(person, phone="0900000009"), person, N).total <= same


@given(PERSONS, st.integers(2, 10**8))
def test_more_people_make_it_less_likely(person: NormalPerson, population: int) -> None:
    base = replace(person, phone=None)
    assert SCORER.score(base, person, population * 2).total < SCORER.score(base, person, population).total


@pytest.mark.parametrize(
    ("left", "right", "near"),
    [
        ("hoa", "hoan", True),
        ("hoa", "hao", True),
        ("hoa", "hua", True),
        ("hoa", "hoa", False),
        ("hoa", "hue", False),
        ("an", "nga", False),
    ],
)
def test_one_edit(left: str, right: str, near: bool) -> None:
    assert comparison.one_edit(left, right) is near
    assert comparison.one_edit(right, left) is near


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        (BirthDate(1985, 3, 2), BirthDate(1985, 3, 2), "DAY"),
        (BirthDate(1985, 1, 1), BirthDate(1985, 3, 2), "PLACEHOLDER"),
        (BirthDate(1985, 2, 3), BirthDate(1985, 3, 2), "SWAPPED"),
        (BirthDate(1985), BirthDate(1985, 3, 2), "YEAR"),
        (BirthDate(1985, 3), BirthDate(1985, 3, 2), "MONTH"),
        (BirthDate(1985, 3, 9), BirthDate(1985, 3, 2), "DAY_OR_MONTH"),
        (BirthDate(1985, 4, 9), BirthDate(1985, 3, 2), "OTHER_DAY"),
        (BirthDate(1986, 3, 2), BirthDate(1985, 3, 2), "YEAR_SLIP"),
        (BirthDate(1995, 3, 2), BirthDate(1985, 3, 2), "DECADE_SLIP"),
        (BirthDate(1997, 3, 2), BirthDate(1985, 3, 2), "OTHER"),
        (BirthDate(1983, estimated=True), BirthDate(1985, 3, 2), "NEAR"),
        (BirthDate(1980, estimated=True), BirthDate(1985, 3, 2), "FAR"),
    ],
)
def test_birth_dates(left: BirthDate, right: BirthDate, level: str) -> None:
    assert comparison.birth(left, right) == comparison.birth(right, left) == level


def test_a_model_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="not whole"):
        model_of({"version": "x"})
    with pytest.raises(FileNotFoundError):
        load_model("fs-1900-01")
