"""Which codes are of a sensitive class, at the edges of every span."""

from __future__ import annotations

import pytest

from services.records.formats.document import ContentKind
from services.records.formats.xml130.episode import codes_in
from services.records.sensitivity import SensitivityClass, classes_of

HIV, PSYCHIATRIC, REPRODUCTIVE = SensitivityClass.HIV, SensitivityClass.PSYCHIATRIC, SensitivityClass.REPRODUCTIVE


@pytest.mark.parametrize(
    ("code", "classes"),
    [
        ("B19", set()),
        ("B20", {HIV}),
        ("b24", {HIV}),
        ("B24.9", {HIV}),
        ("B25", set()),
        ("F02.4", {HIV, PSYCHIATRIC}),
        ("F024", {HIV, PSYCHIATRIC}),
        ("O98.7", {HIV}),
        ("O98.6", set()),
        ("R75", {HIV}),
        ("Z20.6", {HIV}),
        ("Z20.5", set()),
        ("Z21", {HIV}),
        ("F00", {PSYCHIATRIC}),
        (" F99 ", {PSYCHIATRIC}),
        ("E99", set()),
        ("G00", set()),
        ("X60", {PSYCHIATRIC}),
        ("X84.9", {PSYCHIATRIC}),
        ("X59", set()),
        ("X85", set()),
        ("Z91.5", {PSYCHIATRIC}),
        ("Z91.4", set()),
        ("A49", set()),
        ("A50", {REPRODUCTIVE}),
        ("A64", {REPRODUCTIVE}),
        ("A65", set()),
        ("N46", {REPRODUCTIVE}),
        ("N97.9", {REPRODUCTIVE}),
        ("O00", {REPRODUCTIVE}),
        ("O08", {REPRODUCTIVE}),
        ("O09", set()),
        ("Z30", {REPRODUCTIVE}),
        ("Z31.9", {REPRODUCTIVE}),
        ("Z32", set()),
        ("Z64.0", {REPRODUCTIVE}),
        ("Z64.1", set()),
        ("Z64", set()),
        ("F", set()),
        ("", set()),
    ],
)
def test_codes_at_the_edges(code: str, classes: set[SensitivityClass]) -> None:
    assert classes_of([code], ()) == classes


def test_the_hiv_table_is_enough() -> None:
    assert classes_of([], [ContentKind.ENCOUNTER_SUMMARY, ContentKind.HIV_CARE]) == {HIV}


def test_one_code_of_several_labels_the_document() -> None:
    assert classes_of(["I10", "F32", "N46"], ()) == {PSYCHIATRIC, REPRODUCTIVE}


def test_every_table_of_an_episode_is_looked_at() -> None:
    rows = {
        "XML1": ({"MA_BENH_CHINH": "I10", "MA_BENH_KT": "E11;F32.1", "CHAN_DOAN_RV": "Z21"},),
        "XML3": ({"MA_BENH": "N97"}, {"MA_BENH": ""}),
    }
    assert codes_in(rows) == {"I10", "E11", "F32.1", "N97"}
