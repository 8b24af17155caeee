"""The agent's bookkeeping."""

from __future__ import annotations

from pathlib import Path

import pytest
from lienthong.agent.spool import Spool, SpoolEntry, SpoolState
from lienthong.client.tlog.receipt import Receipt

ACCEPTED = SpoolEntry("a", "00" * 32, SpoolState.ACCEPTED, "submissions/1", "trace", "")
REJECTED = SpoolEntry("b", "11" * 32, SpoolState.REJECTED, "", "trace", "SIGNATURE_INVALID")


def test_entries_are_kept_between_runs(tmp_path: Path) -> None:
    Spool(tmp_path / "spool").record([ACCEPTED, REJECTED])
    spool = Spool(tmp_path / "spool")
    assert (spool.find("a"), spool.find("b"), spool.find("c")) == (ACCEPTED, REJECTED, None)
    assert spool.entries() == [REJECTED, ACCEPTED]
    assert spool.entries(limit=1) == [REJECTED]
    assert spool.accepted() == {"a": "00" * 32}
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_a_later_answer_takes_the_place_of_the_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.record([REJECTED])
    mended = SpoolEntry("b", "22" * 32, SpoolState.ACCEPTED, "submissions/2", "other", "")
    spool.record([mended])
    assert spool.entries() == [mended]


def test_entries_of_one_answer_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    broken = SpoolEntry("c", None, SpoolState.PENDING, "", "", "")  # type: ignore[arg-type] # breaks the second row
    with pytest.raises(Exception, match="NOT NULL"):
        spool.record([ACCEPTED, broken])
    assert spool.entries() == []


def test_a_complete_receipt_takes_the_place_of_the_promise(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    promise = Receipt(entry=b"{}", salt=bytes(32), promise="promise\n", tlog_proof=None, trace_id="t")
    complete = Receipt(entry=b"{}", salt=bytes(32), promise="promise\n", tlog_proof="proof\n", trace_id="t")
    path = spool.keep_receipt("submissions/1", promise)
    assert path == spool.receipt_path("submissions/1") == tmp_path / "receipts" / "1.receipt.json"
    assert spool.keep_receipt("submissions/1", complete) == path
    assert Receipt.from_json(path.read_text("utf-8")) == complete
    assert [one.name for one in spool.receipts.iterdir()] == ["1.receipt.json"]
