"""Numbers that stand in the policy file and elsewhere too are the same."""

from __future__ import annotations

from datetime import timedelta

from services.consent import emergency
from services.consent.policy import policies


def test_an_emergency_access_lasts_as_long_everywhere() -> None:
    for policy in policies().values():
        assert timedelta(hours=policy.numbers.emergency_hours) == emergency.LONGEST
        assert timedelta(minutes=policy.numbers.emergency_unconfirmed_minutes) == emergency.CONFIRM_WITHIN
