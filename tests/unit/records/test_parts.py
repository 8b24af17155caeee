"""Cutting the health book's view by kind, and the papers' way through the outbox."""

from __future__ import annotations

import json
from datetime import date

import pytest

from services.records.formats.document import ContentKind, FollowUpSlip
from services.records.service.parts import HEALTH_BOOK_KINDS, cut, join
from services.records.service.slips import Slip, slip_from_json, slip_to_json, slips_of
from tests.fakes.records_samples import accepted, episode, parsed


@pytest.mark.parametrize("seed", range(1, 6))
def test_all_parts_make_the_whole(seed: int) -> None:
    document = parsed(episode(seed, referral_to="79001", follow_up=seed % 2 == 0))
    parts = cut(document)
    assert parts.keys() <= HEALTH_BOOK_KINDS & frozenset(document.kinds)
    assert join(parts) == document.health_book_entry


def test_each_part_holds_its_own_and_nothing_more() -> None:
    document = parsed(episode(2, referral_to="79001", follow_up=True))
    whole = document.health_book_entry
    assert whole is not None
    parts = {kind: json.loads(part) for kind, part in cut(document).items()}
    assert parts[ContentKind.PRESCRIPTION].keys() == {"drugs"}
    assert parts[ContentKind.RECORD_SUMMARY].keys() == {"summary"}
    assert parts[ContentKind.FOLLOW_UP] == {"next_visit": whole.next_visit}
    core = parts[ContentKind.ENCOUNTER_SUMMARY]
    assert not core.keys() & {"drugs", "results", "summary", "procedures", "next_visit"}


def test_no_parts_make_an_empty_entry() -> None:
    book = join({})
    assert (book.facility, book.main_diagnosis, book.drugs, book.summary, book.next_visit) == ("", "", (), None, "")


def test_papers_survive_the_outbox() -> None:
    one = accepted(episode(5, referral_to="79001", follow_up=True))
    slips = slips_of(one)
    assert [slip_from_json(slip_to_json(slip)) for slip in slips] == slips
    lone = Slip(one.id, one.filing.person, "01001", FollowUpSlip("H1", date(2026, 12, 1)))
    assert slip_from_json(slip_to_json(lone)) == lone
    assert slips_of(accepted(episode(5, referral_to="79001"), held=True)) == []
