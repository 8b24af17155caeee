"""The lists of communes are made from public tables, and bad rows stop that."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.identity import commune_lists
from services.identity.commune_lists import main, read

PRESENT = "code,province_code\n00004,01\n00008,01\n09169,24\n"
FORMER = "code,province_code,successor\n00013,01,00004\n00016,01,00004\n00016,01,00008\n09163,27,09169\n"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Both tables, and where the lists go."""
    present, former, into = tmp_path / "present.csv", tmp_path / "former.csv", tmp_path / "into"
    present.write_text(PRESENT, encoding="utf-8")
    former.write_text(FORMER, encoding="utf-8")
    into.mkdir()
    return present, former, into


def test_a_divided_commune_has_no_successor(
    tables: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    present, former, into = tables
    assert main([str(present), str(former), "--source", "a decree", "--into", str(into)]) == 0
    assert capsys.readouterr().out == "3 communes, 3 of before, 1 of them divided\n"
    lines = (into / "wards_63.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# a decree"
    assert lines[2:] == ["code,province_code,successor", "00013,01,00004", "00016,01,", "09163,27,09169"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("13,01,00004", "CODE_MALFORMED"),
        ("00019,03,00004", "PROVINCE_UNKNOWN"),
        ("00013,02,00004", "COMMUNE_TWICE"),
        ("00019,01,99999", "SUCCESSOR_UNKNOWN"),
        ("00019,27,00004", "SUCCESSOR_IN_ANOTHER_PROVINCE"),
    ],
)
def test_a_bad_row_is_told_and_nothing_written(
    tables: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str], row: str, reason: str
) -> None:
    present, former, into = tables
    former.write_text(FORMER + row + "\n", encoding="utf-8")
    assert main([str(present), str(former), "--source", "a decree", "--into", str(into)]) == 1
    assert capsys.readouterr().err == f"former:6: {reason}\n"
    assert not list(into.iterdir())


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("code\n00004\n", 1, "COLUMN_MISSING"),
        ("code,province_code\n00004,27\n", 2, "PROVINCE_UNKNOWN"),
        ("code,province_code\n00004,01\n00004,24\n", 3, "COMMUNE_TWICE"),
    ],
)
def test_a_bad_list_in_force_is_told(tables: tuple[Path, Path, Path], text: str, line: int, reason: str) -> None:
    present, former, _ = tables
    present.write_text(text, encoding="utf-8")
    faults = read(present, former)[1]
    assert (faults[0].file, faults[0].line, faults[0].reason) == ("present", line, reason)


def test_the_lists_that_ship_are_their_own_import() -> None:
    present, former = commune_lists.DATA / "wards_34.csv", commune_lists.DATA / "wards_63.csv"
    lists, faults = read(present, former)
    assert faults == []
    assert (len(lists.present), len(lists.former)) == (3321, 10035)
    shipped = [line for line in former.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert shipped[1:] == [f"{code},{province},{to}" for code, (province, to) in sorted(lists.former.items())]
