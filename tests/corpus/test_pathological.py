"""No input makes a parser crash, hang or take the machine's memory: each is refused by name, in a process whose memory is limited."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.corpus.pathological import CASES


@pytest.mark.timeout(280)
def test_everything_is_refused_by_name_within_bounds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.pathological"], capture_output=True, text=True, timeout=240, check=False
    )
    outcomes = dict(line.split("\t")[:2] for line in done.stdout.splitlines())
    assert done.returncode == 0, f"after {list(outcomes)[-1:]}: {done.stderr[-2000:]}"
    assert outcomes.keys() == CASES.keys()
    assert [name for name, outcome in outcomes.items() if outcome == "accepted"] == []
