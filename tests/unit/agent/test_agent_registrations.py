"""Wristbands that are issued while the gateway cannot be reached."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main
from lienthong.agent.profile import Profile, save_profile
from lienthong.agent.registrations import Registration, Registrations
from lienthong.client import wristband
from lienthong.client.temporary_identifier import parse

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def issue(registrations: Registrations, now: datetime = NOW) -> Registration:
    return registrations.issue("01001", "emergency", "male", 40, now, now)


def test_a_wristband_waits_until_it_is_sent(tmp_path: Path) -> None:
    made = issue(Registrations(tmp_path / "spool"))
    assert parse(made.temporary_identifier).facility == "01001"
    assert wristband.parse(made.alias) == made.alias
    again = Registrations(tmp_path / "spool")
    assert again.pending() == [made]
    assert again.sent(made, "persons/1", "Ghế Sóc") == replace(made, person="persons/1", alias="Ghế Sóc")
    assert Registrations(tmp_path / "spool").pending() == []


def test_no_alias_comes_twice_within_90_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registrations = Registrations(tmp_path)
    used: list[set[str]] = []
    real = wristband.issue

    def watched(taken: set[str]) -> str:
        used.append(set(taken))
        return real(taken)

    monkeypatch.setattr(wristband, "issue", watched)
    first, second = issue(registrations), issue(registrations)
    issue(registrations, NOW + timedelta(days=90))
    assert used == [set(), {first.alias}, set()]
    assert first.alias != second.alias


def test_desks_that_issue_at_once_share_no_wristband(tmp_path: Path) -> None:
    registrations = Registrations(tmp_path)
    desks = [threading.Thread(target=lambda: [issue(registrations) for _ in range(20)]) for _ in range(4)]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join()
    made = registrations.pending()
    assert len(made) == len({one.alias for one in made}) == len({one.temporary_identifier for one in made}) == 80


def test_the_command_needs_no_gateway_and_keeps_no_patient_number(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    profile = Profile(
        facility="01001",
        gateway="127.0.0.1:1",
        authority=nowhere,
        client_certificate=nowhere,
        client_key=nowhere,
        token_endpoint="https://127.0.0.1:1",  # noqa: S106 - no secret
        policy=nowhere,
        spool=tmp_path / "spool",
        signing_keystore=nowhere,
    )
    path = tmp_path / "profile.json"
    save_profile(profile, path)
    command = ["--profile", str(path), "person", "register-provisional", "--offline", "--sex", "female", "--age", "30"]
    done = CliRunner().invoke(main, [*command, "--arrived", "2026-11-23T08:05+07:00"])
    assert done.exit_code == 0, done.output
    (made,) = Registrations(tmp_path / "spool").pending()
    assert done.output == f"{made.temporary_identifier} {made.alias}\n"
    assert made.arrived == datetime(2026, 11, 23, 1, 5, tzinfo=UTC)
    refused = CliRunner().invoke(main, [*command, "--mrn", "BN1"])
    assert refused.exit_code == 1
    assert CliRunner().invoke(main, [*command, "--arrived", "yesterday"]).exit_code == 2
    # What was made offline is not lost by a gateway that does not answer.
    assert CliRunner().invoke(main, ["--profile", str(path), "person", "upload"]).exit_code == 1
    assert Registrations(tmp_path / "spool").pending() == [made]
