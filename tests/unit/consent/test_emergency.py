"""How long an emergency access lasts, who may use it, and which of several a decision rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.consent.emergency import CONFIRM_WITHIN, LONGEST, EmergencyAccess, Reason, State, grant_of, open_grant
from services.consent.policy import policy_at

OPENED = datetime(2026, 3, 1, 22, 15, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
DOCTOR, SECOND = "000001/BYT-CCHN", "000002/BYT-CCHN"
ACCESS = EmergencyAccess(UUID(int=1), UUID(int=9), "01001", DOCTOR, Reason.UNCONSCIOUS, OPENED)
CONFIRMED = replace(ACCESS, confirmed_at=OPENED + timedelta(minutes=5), confirmed_by=SECOND)
WIDENED = replace(CONFIRMED, widened_at=OPENED + timedelta(minutes=10))


@pytest.mark.parametrize(
    ("access", "after", "state"),
    [
        (ACCESS, timedelta(0), State.UNCONFIRMED),
        # A replica whose clock is behind.
        (ACCESS, timedelta(seconds=-2), State.UNCONFIRMED),
        (ACCESS, timedelta(minutes=30) - INSTANT, State.UNCONFIRMED),
        (ACCESS, timedelta(minutes=30), State.ENDED),
        (CONFIRMED, timedelta(minutes=30), State.CONFIRMED),
        (CONFIRMED, timedelta(hours=4) - INSTANT, State.CONFIRMED),
        (CONFIRMED, timedelta(hours=4), State.ENDED),
        (WIDENED, timedelta(hours=4), State.ENDED),
        (replace(CONFIRMED, ended_at=OPENED + timedelta(hours=1)), timedelta(hours=1) - INSTANT, State.CONFIRMED),
        (replace(CONFIRMED, ended_at=OPENED + timedelta(hours=1)), timedelta(hours=1), State.ENDED),
        (replace(ACCESS, ended_at=OPENED), timedelta(0), State.ENDED),
    ],
)
def test_state_at_every_bound(access: EmergencyAccess, after: timedelta, state: State) -> None:
    assert access.state(OPENED + after) is state
    assert access.is_open(OPENED + after) is (state is not State.ENDED)


def test_the_review_is_due_three_days_after_the_opening() -> None:
    assert ACCESS.review_due_at == datetime(2026, 3, 4, 22, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("access", "licence", "organization", "usable"),
    [
        (ACCESS, DOCTOR, "01001", True),
        (ACCESS, DOCTOR, "79001", False),
        (ACCESS, SECOND, "01001", False),
        (CONFIRMED, SECOND, "01001", True),
        (CONFIRMED, SECOND, "79001", False),
        (ACCESS, "", "01001", False),
        (ACCESS, None, "01001", False),
        (ACCESS, DOCTOR, None, False),
    ],
)
def test_only_who_opened_or_confirmed_it_at_its_facility_may_use_it(
    access: EmergencyAccess, licence: str | None, organization: str | None, usable: bool
) -> None:
    found = open_grant([access], licence, organization, OPENED + timedelta(minutes=6))
    assert (found is not None) is usable


def test_a_further_opening_takes_nothing_away() -> None:
    later = replace(ACCESS, id=UUID(int=2), opened_at=OPENED + timedelta(hours=1))
    life = replace(WIDENED, id=UUID(int=3), life_saving=True)
    at = OPENED + timedelta(hours=1, minutes=1)
    assert open_grant([later, WIDENED], DOCTOR, "01001", at) == WIDENED
    assert open_grant([life, WIDENED, later], DOCTOR, "01001", at) == life
    # What has ended by time gives way to what is open, however narrow.
    later = replace(later, confirmed_at=at)
    assert open_grant([later, life], DOCTOR, "01001", OPENED + timedelta(hours=4)) is later


def test_what_time_has_ended_is_named_and_what_was_ended_by_hand_is_not() -> None:
    at = OPENED + timedelta(hours=5)
    assert open_grant([ACCESS], DOCTOR, "01001", at) is ACCESS
    assert open_grant([replace(ACCESS, ended_at=OPENED + timedelta(minutes=1))], DOCTOR, "01001", at) is None
    assert grant_of(None) is None
    grant = grant_of(WIDENED)
    assert grant is not None
    assert (grant.id, grant.confirmed_at, grant.widened_at, grant.life_saving) == (
        WIDENED.id,
        WIDENED.confirmed_at,
        WIDENED.widened_at,
        False,
    )


def test_the_etag_changes_with_every_event() -> None:
    stages = [
        ACCESS,
        CONFIRMED,
        WIDENED,
        replace(WIDENED, life_saving=True),
        replace(WIDENED, ended_at=OPENED + timedelta(hours=1)),
        replace(WIDENED, reviewed_at=OPENED + timedelta(hours=9)),
    ]
    assert len({stage.etag for stage in stages}) == len(stages)


def test_texts_do_not_show() -> None:
    assert "bleeding" not in repr(replace(ACCESS, text="bleeding after a fall"))


def test_the_policy_keeps_to_the_same_times() -> None:
    numbers = policy_at(datetime(2026, 12, 1, tzinfo=UTC)).numbers
    assert timedelta(hours=numbers.emergency_hours) == LONGEST
    assert timedelta(minutes=numbers.emergency_unconfirmed_minutes) == CONFIRM_WITHIN
