"""The generator: repeatable bytes, persons like real ones in the mass, documents that add up."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from lienthong.samples import BROKEN_KINDS, BY_CODE, FACILITIES, CareLevel, Generator, Person
from lienthong.samples.__main__ import main
from lienthong.samples.resources import conditions, table

from services.records.formats.xml130 import parse_episode

ROOT = Path(__file__).parents[3]
DIGEST = """
import hashlib
from lienthong.samples import BROKEN_KINDS, Generator
generator, digest = Generator(42), hashlib.sha256()
for spec in ("4750", "3176"):
    digest.update(generator.episode(spec=spec, referral_to="01001", follow_up=True).content)
for kind in BROKEN_KINDS[:5]:
    digest.update(generator.broken(kind))
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def people() -> list[Person]:
    generator = Generator(2024)
    return [generator.person() for _ in range(4000)]


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    def digest(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "client"), "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], env=environment, capture_output=True, check=True, text=True
        )
        return done.stdout

    assert digest("1") == digest("2")
    assert len(digest("3")) == 65


def test_other_seeds_give_other_documents() -> None:
    contents = {hashlib.sha256(Generator(seed).episode().content).digest() for seed in range(50)}
    assert len(contents) == 50


def test_family_names_have_the_countrys_skew(people: list[Person]) -> None:
    share = {name: count / len(people) for name, count in Counter(one.full_name.split()[0] for one in people).items()}
    assert 0.28 < share["Nguyễn"] < 0.36
    assert 0.09 < share["Trần"] < 0.14
    assert share["Nguyễn"] > share["Trần"] > share["Lê"] > share["Phạm"]


def test_given_names_are_as_diverse_as_the_countrys(people: list[Person]) -> None:
    counts = Counter(one.full_name.split()[-1] for one in people)
    effective = 1 / sum((count / len(people)) ** 2 for count in counts.values())
    assert 110 < effective < 150
    syllables = Counter(len(one.full_name.split()) for one in people)
    assert 0.78 < syllables[3] / len(people) < 0.87
    assert 0.12 < syllables[4] / len(people) < 0.2


def test_names_differ_by_region(people: list[Person]) -> None:
    south = [one for one in people if one.citizen_number[1:3] in ("79", "80", "82", "83", "86", "87", "89", "91", "92")]
    north = [one for one in people if one.citizen_number[1:3] in ("01", "25", "30", "31", "33", "34", "36")]

    def share(group: list[Person], name: str) -> float:
        return sum(one.full_name.startswith(f"{name} ") for one in group) / len(group)

    assert share(south, "Huỳnh") > 10 * share(north, "Huỳnh")
    assert share(north, "Vũ") > 2 * share(south, "Vũ")


def test_numbers_agree_with_the_person(people: list[Person]) -> None:
    provinces = {row["old_code"] for row in table("provinces")}
    for one in people[:500]:
        number = one.citizen_number
        assert len(number) == 12
        assert number[1:3] in provinces
        assert (int(number[3]) % 2 == 0) == (one.sex == "1")
        assert 1900 + int(number[3]) // 2 * 100 + int(number[4:6]) == one.birth.year
        assert one.insurance_card[-10:] == one.social_insurance_number
        assert one.birth_text.startswith(str(one.birth.year))
        assert one.registered_facility in BY_CODE
        assert len(one.phone) == 10
    assert any(one.birth_text.endswith("00000000") for one in people)


def test_amounts_add_up() -> None:
    for seed in range(20):
        episode = Generator(seed).episode()
        rows = parse_episode(episode.content).rows
        summary = rows["XML1"][0]
        for name in ("T_BNTT", "T_BNCCT", "T_BHTT"):
            parts = sum(Decimal(row[name]) for part in ("XML2", "XML3") for row in rows[part])
            assert parts == Decimal(summary[name])
        for row in rows["XML2"]:
            assert Decimal(row["THANH_TIEN_BV"]) == Decimal(row["SO_LUONG"]) * Decimal(row["DON_GIA"])
            assert Decimal(row["THANH_TIEN_BH"]) == Decimal(row["T_BHTT"]) + Decimal(row["T_BNCCT"])


def test_sizes_are_those_of_the_field() -> None:
    sizes = sorted(len(Generator(seed).episode().content) for seed in range(100))
    assert sizes[0] > 8_000
    assert 15_000 < sizes[50] < 40_000
    assert sizes[-1] < 60_000


def test_pictures_fit_person_and_drugs() -> None:
    for seed in range(60):
        episode = Generator(seed).episode()
        parsed = parse_episode(episode.content)
        picture = next(one for one in conditions() if one["code"] == parsed.main_diagnosis)
        assert str(picture.get("sex", episode.person.sex)) == episode.person.sex
        low, high = picture["ages"]
        assert low <= episode.person.age(episode.ended.date()) <= high


def test_one_person_keeps_number_and_facts_over_episodes() -> None:
    generator = Generator(3)
    person = generator.person()
    first, second = generator.episode(person, "01001"), generator.episode(person, "01001")
    elsewhere = generator.episode(person, "27001")
    numbers = [parse_episode(one.content).summary["MA_BN"] for one in (first, second, elsewhere)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert first.document_id != second.document_id


def test_every_age_finds_a_picture() -> None:
    for low, high in ((0, 6), (6, 18), (18, 60), (60, 95)):
        for sex in (1, 2):
            for age in range(low, high):
                assert any(
                    one["ages"][0] <= age <= one["ages"][1] and one.get("sex", sex) == sex for one in conditions()
                )


def test_the_end_may_be_given() -> None:
    episode = Generator(1).episode(ended=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert parse_episode(episode.content).summary["NGAY_RA"] == "202603041206"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"spec": "130"}, "spec"),
        ({"facility": "99999"}, "99999"),
        ({"facility": "01001", "referral_to": "01001"}, "itself"),
        ({"ended": datetime(1890, 1, 1, tzinfo=UTC)}, "born"),
    ],
)
def test_wrong_wishes_are_named(arguments: dict[str, object], text: str) -> None:
    person = Generator(1).person()
    with pytest.raises(ValueError, match=text):
        Generator(1).episode(person, **arguments)  # type: ignore[arg-type]  # wishes are episode's own keywords


def test_unknown_break_is_named() -> None:
    with pytest.raises(ValueError, match="no_such_kind"):
        Generator(1).broken("no_such_kind")


def test_facilities_have_three_levels_and_true_provinces() -> None:
    assert {one.level for one in FACILITIES} == set(CareLevel)
    pairs = {row["old_code"]: row["new_code"] for row in table("provinces")}
    for one in FACILITIES:
        assert one.code[:2] == one.province_63
        assert pairs[one.province_63] == one.province_34
        assert not one.parent or one.parent in BY_CODE


def test_command_line_writes_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--count", "3", "--out", str(tmp_path), "--refer-to", "01001", "--follow-up"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for path in tmp_path.iterdir():
        assert parse_episode(path.read_bytes()).referral is not None
    assert main(["--count", "1", "--out", str(tmp_path / "broken"), "--broken", BROKEN_KINDS[1]]) == 0
    assert (tmp_path / "broken" / f"{BROKEN_KINDS[1]}-0001.xml").exists()
