"""Splink 5 on the same normalised input, with blocking rules that cover what the engine's keys cover, and its own learning on the queries it is
judged by (which favours it).
"""

from __future__ import annotations

import csv
import logging
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.blocking_rule_library import CustomRule

from bench.identity.accuracy import Answer
from bench.identity.index import Index
from bench.identity.queries import Query
from services.identity.normalise.names import Name
from services.identity.normalise.person import NormalPerson, normal

_COLUMNS = (
    *(
        "unique_id",
        "family",
        "family_marked",
        "family_sound",
        "middle",
        "last_middle_sound",
        "given",
        "given_marked",
        "given_sound",
    ),
    *("sounds", "dob", "year", "month_day", "sex", "phone", "province", "ward"),
)
_BLOCKS = (
    block_on("given_sound", "dob"),
    block_on("family_sound", "dob"),
    block_on("sounds", "year"),
    block_on("family_sound", "given_sound", "year", "province"),
    block_on("last_middle_sound", "given_sound", "year", "province"),
    block_on("given_sound", "year", "ward"),
    block_on("phone"),
    block_on("given_sound", "family_sound", "month_day"),
    CustomRule(
        "l.given_sound = r.given_sound and l.year = r.year and substr(l.month_day, 1, 2) = substr(r.month_day, 3, 2)"
        " and substr(l.month_day, 3, 2) = substr(r.month_day, 1, 2) and l.month_day <> r.month_day"
    ),
)


_BEST = """
    select unique_id_l, unique_id_r, match_weight from (
        select *, row_number() over (
            partition by case when unique_id_l like 'q%' then unique_id_l else unique_id_r end order by match_weight desc
        ) as place from pairs
    ) where place = 1
"""


@dataclass(frozen=True)
class Peer:
    """Splink's best candidate per query, and what it took."""

    answers: Sequence[Answer]
    seconds: float
    pairs: int


def run(index: Index, asked: Sequence[Query]) -> Peer:
    """Links the queries to the population."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        people, questions = Path(folder) / "people.csv", Path(folder) / "queries.csv"
        _write(people, ((f"p{at}", index.person(at)) for at in range(index.count)))
        _write(questions, ((f"q{at}", normal(one.demographics)) for at, one in enumerate(asked)))
        connection = duckdb.connect()
        for table, path in (("people", people), ("questions", questions)):
            read = f"create table {table} as select * from read_csv(?, all_varchar = true, nullstr = '')"  # noqa: S608 - own names
            connection.execute(read, [str(path)])
        api = DuckDBAPI(connection=connection)
        linker = Linker([api.register("people"), api.register("questions")], _settings(), log_level=logging.ERROR)
        linker.training.estimate_probability_two_random_records_match(
            ["l.given = r.given and l.family = r.family and l.dob = r.dob and l.phone = r.phone"], recall=0.4
        )
        linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
        for rule in (block_on("given_sound", "dob"), block_on("phone"), block_on("sounds", "year")):
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
        predicted = linker.inference.predict(threshold_match_weight=-30)
        connection.execute(f"create view pairs as select * from {predicted.physical_name}")  # noqa: S608 - Splink's own name
        rows = connection.execute(_BEST).fetchall()
        (pairs,) = connection.execute("select count(*) from pairs").fetchall()[0]
    best = {}
    for left, right, weight in rows:
        question, person = (left, right) if left.startswith("q") else (right, left)
        best[int(question[1:])] = (int(person[1:]), float(weight))
    made = []
    for at, one in enumerate(asked):
        person, weight = best.get(at, (-1, float("-inf")))
        made.append(Answer(one.scenario, weight, person == one.truth, one.truth is not None))
    return Peer(made, time.perf_counter() - begin, int(pairs))


def _settings() -> SettingsCreator:
    return SettingsCreator(
        link_type="link_only",
        comparisons=[
            _syllable("given"),
            _syllable("family"),
            cl.CustomComparison(
                output_column_name="middle",
                comparison_levels=[
                    cll.NullLevel("middle"),
                    cll.ExactMatchLevel("middle", term_frequency_adjustments=True),
                    cll.ExactMatchLevel("last_middle_sound"),
                    cll.LevenshteinLevel("middle", 2),
                    cll.ElseLevel(),
                ],
            ),
            cl.CustomComparison(
                output_column_name="dob",
                comparison_levels=[
                    cll.NullLevel("year"),
                    cll.ExactMatchLevel("dob", term_frequency_adjustments=True),
                    _level("year_l = year_r and (month_day_l is null or month_day_r is null)", "year alone"),
                    _level("year_l = year_r and (month_day_l = '0101' or month_day_r = '0101')", "placeholder"),
                    _level(
                        "year_l = year_r and substr(month_day_l, 1, 2) = substr(month_day_r, 3, 2)"
                        " and substr(month_day_l, 3, 2) = substr(month_day_r, 1, 2)",
                        "exchanged",
                    ),
                    _level(
                        "year_l = year_r and (substr(month_day_l, 1, 2) = substr(month_day_r, 1, 2)"
                        " or substr(month_day_l, 3, 2) = substr(month_day_r, 3, 2))",
                        "day or month",
                    ),
                    _level("month_day_l = month_day_r and abs(year_l::int - year_r::int) in (1, 10)", "year slip"),
                    _level("year_l = year_r", "year"),
                    cll.ElseLevel(),
                ],
            ),
            cl.ExactMatch("sex"),
            cl.ExactMatch("phone").configure(term_frequency_adjustments=True),
            cl.ExactMatch("province").configure(term_frequency_adjustments=True),
            cl.ExactMatch("ward"),
        ],
        blocking_rules_to_generate_predictions=list(_BLOCKS),
        retain_intermediate_calculation_columns=False,
    )


def _syllable(role: str) -> cl.CustomComparison:
    return cl.CustomComparison(
        output_column_name=role,
        comparison_levels=[
            cll.NullLevel(role),
            cll.ExactMatchLevel(f"{role}_marked", term_frequency_adjustments=True),
            cll.ExactMatchLevel(role, term_frequency_adjustments=True),
            cll.ExactMatchLevel(f"{role}_sound"),
            cll.DamerauLevenshteinLevel(role, 1),
            cll.ElseLevel(),
        ],
    )


def _level(condition: str, label: str) -> cll.CustomLevel:
    return cll.CustomLevel(condition, label)


def _write(path: Path, persons: Iterable[tuple[str, NormalPerson]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_row(id, person) for id, person in persons)


def _row(id: str, person: NormalPerson) -> list[str]:
    name, birth = person.name, person.birth
    day = f"{birth.month:02}{birth.day:02}" if birth and birth.day else ""
    return [
        *(id, *_part(name, 0)),
        " ".join(token.plain for token in name.middle),
        name.middle[-1].phonetic if name.middle else "",
        *_part(name, -1),
        " ".join(sorted(token.phonetic for token in name.tokens)),
        f"{birth.year}{day}" if birth and day else "",
        str(birth.year) if birth else "",
        *(day, person.sex.value if person.sex else "", person.phone or "", person.province or "", person.ward or ""),
    ]


def _part(name: Name, at: int) -> tuple[str, str, str]:
    """Plain, marked and phonetic form of a syllable; the marked one only where the name was written with marks."""
    if name.empty:
        return "", "", ""
    token = name.tokens[at]
    return token.plain, token.marked if name.marks else "", token.phonetic
