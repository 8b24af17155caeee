"""`make bench-identity`: how often the matching engine is right, beside Splink on the same normalised input, in one run.

python -m bench.identity                 200,000 persons, about a minute
python -m bench.identity --persons 1000000
python -m bench.identity service         through gRPC with mTLS and PostgreSQL
python -m bench.identity loading         how fast a population is loaded, rows/s
python -m bench.identity learn           learns the model anew and writes it
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.identity.accuracy import Accuracy, accuracy, answers, decisions
from bench.identity.index import Index
from bench.identity.population import generate
from bench.identity.queries import JUDGE, NO_IDENTIFIER, queries
from services.identity.matching.model import MODEL, load_model
from services.identity.matching.scoring import Scorer

OUT = Path(__file__).parents[1] / "out"
SEED = 303
QUERIES = 6_500
_MODELS = Path(__file__).parents[2] / "services/identity/matching/models"


def main() -> None:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(prog="bench.identity")
    parser.add_argument("what", nargs="?", choices=("judge", "service", "loading", "learn"), default="judge")
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--no-peer", action="store_true", help="without Splink")
    given = parser.parse_args()
    if given.what == "learn":
        from bench.identity.learn import SEED as LEARN_SEED
        from bench.identity.learn import learn, write

        learned = learn(given.persons, given.queries, LEARN_SEED)
        write(learned, _MODELS / f"{MODEL}.json")
        print(f"{learned.pairs} pairs, {learned.rounds} rounds, a match from {learned.match_bits} bits")
        return
    if given.what == "service":
        from bench.identity.service import judge_service

        figures = judge_service(given.persons, given.queries, given.seed)
        _write(figures, f"identity-service-{given.persons}.json")
        print(json.dumps(figures, indent=1))
        return
    if given.what == "loading":
        from bench.identity.loading import judge_loading

        figures = judge_loading(given.persons, given.seed)
        _write(figures, f"identity-loading-{given.persons}.json")
        print(json.dumps(figures, indent=1))
        return
    figures = judge(given.persons, given.queries, given.seed, peer=not given.no_peer)
    _write(figures, f"identity-{given.persons}.json")
    report(figures)


def _write(figures: dict[str, Any], name: str) -> None:
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    print(f"bench/out/{name}")


def judge(persons: int, count: int, seed: int, *, peer: bool) -> dict[str, Any]:
    """All figures of one run."""
    begin = time.perf_counter()
    population = generate(persons, seed)
    index = Index(population)
    built = time.perf_counter() - begin
    model = load_model()
    scorer = Scorer(model)
    asked = list(queries(population, seed + 1, count, JUDGE))
    found = [index.search(one, scorer, model) for one in asked]
    plain = [one for one in found if one.query.scenario in NO_IDENTIFIER]
    milliseconds = np.array([one.seconds for one in plain]) * 1e3
    per_scenario = decisions(found, model)
    right = sum(one.matched_right for one in per_scenario.values())
    wrong = sum(one.matched_wrong for one in per_scenario.values())
    looked = sum(one.looked_at for one in plain)
    figures: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()},
        "persons": persons,
        "seed": seed,
        "queries": {"without a number": len(plain), "in all": len(found)},
        "model": model.version,
        "build_s": round(built, 1),
        "key_rows": index.rows,
        "engine": accuracy(answers(plain)).figures(),
        "engine_without_look_alikes": accuracy(
            answers(one for one in plain if one.query.scenario not in {"twin", "sibling", "namesake"})
        ).figures(),
        "automatic_precision": round(right / max(right + wrong, 1), 5),
        "matched_wrong": wrong,
        "review_share": round(sum(one.review for one in per_scenario.values()) / len(found), 4),
        "decisions": {scenario: vars(one) for scenario, one in per_scenario.items()},
        "ms": {
            "p50": round(float(np.percentile(milliseconds, 50)), 3),
            "p99": round(float(np.percentile(milliseconds, 99)), 3),
            "us_per_candidate": round(float(milliseconds.sum() * 1e3 / max(looked, 1)), 1),
        },
        "candidates": {"p50": _percentile(plain, 50), "p99": _percentile(plain, 99)},
    }
    if peer:
        from bench.identity import splink_peer

        other = splink_peer.run(index, [one.query for one in plain])
        peer_accuracy: Accuracy = accuracy(other.answers)
        figures["splink"] = {
            "version": importlib.metadata.version("splink"),
            "seconds": round(other.seconds, 1),
            "pairs": other.pairs,
            **peer_accuracy.figures(),
        }
        figures["f1_over_splink"] = round(figures["engine"]["f1"] - peer_accuracy.f1, 4)
    return figures


def _percentile(found: list[Any], share: int) -> int:
    return int(np.percentile([one.looked_at for one in found], share))


def report(figures: dict[str, Any]) -> None:
    """Prints the figures."""
    for name in ("engine", "engine_without_look_alikes", "splink"):
        if name in figures:
            print(f"{name:28}" + "  ".join(f"{key} {value}" for key, value in figures[name].items()))
    for key in (
        "f1_over_splink",
        "automatic_precision",
        "matched_wrong",
        "review_share",
        "ms",
        "candidates",
        "key_rows",
    ):
        if key in figures:
            print(f"{key:28}{figures[key]}")
    for scenario, row in figures["decisions"].items():
        print(f"  {scenario:16}" + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
