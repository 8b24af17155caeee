"""Verdicts in words: every name of the contract has some, times are counted down, nothing of a certificate's subject is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.agent import explanation
from lienthong.agent.explanation import LANGUAGES, explain
from lienthong.signing.v1 import verdict_pb2

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HASH = "ab" * 32


def at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def passed(**changes: object) -> verdict_pb2.Verdict:
    signature = verdict_pb2.SignatureVerdict(
        format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED,
        level=verdict_pb2.SIGNATURE_LEVEL_T,
        role=verdict_pb2.SIGNER_ROLE_PRACTITIONER,
        practitioner_licence="000001/BYT-CCHN",
        indication=verdict_pb2.INDICATION_TOTAL_PASSED,
        signer_certificate_sha256=HASH,
        signature_algorithm="ecdsa-p256-sha256",
        best_signature_time=at(NOW),
        best_time_source="TIMESTAMP",
        part="XML13",
        revocation=verdict_pb2.Revocation(source="OCSP", this_update=at(NOW), next_update=at(NOW + timedelta(days=1))),
        timestamps=[verdict_pb2.TimestampVerdict(time=at(NOW), valid=True)],
        checks=[
            verdict_pb2.Check(
                block=verdict_pb2.BUILDING_BLOCK_ACCEPTANCE_VALIDATION,
                state=verdict_pb2.CHECK_STATE_WARNING,
                reason="SIGNING_TIME_AHEAD",
            )
        ],
    )
    return verdict_pb2.Verdict(
        **{
            "indication": verdict_pb2.INDICATION_TOTAL_PASSED,
            "acceptable": True,
            "policy_version": "2026-11+0a1b2c3d",
            "trust_list_version": 7,
            "signatures": [signature],
            **changes,
        }  # type: ignore[arg-type] # by name
    )


def test_a_good_verdict_says_what_it_rests_on() -> None:
    said = explain(passed(), now=NOW)
    assert said.startswith(
        "The signature is valid.\nTOTAL_PASSED\nThe system accepts the document.\nThis is conclusive."
    )
    for fact in (
        "CMS_DETACHED (T) over XML13",
        "role: practitioner 000001/BYT-CCHN",
        HASH,
        "ecdsa-p256-sha256",
        "existed: 2026-11-23T08:00:00Z by a time-stamp",
        "not revoked, OCSP of 2026-11-23T08:00:00Z, next due 2026-11-24T08:00:00Z",
        "- policy: passed with a warning (SIGNING_TIME_AHEAD)",
        "policy 2026-11+0a1b2c3d, trust list 7",
    ):
        assert fact in said


@pytest.mark.parametrize(
    ("ends", "english", "vietnamese"),
    [
        (timedelta(hours=3, minutes=7), "for 3 h 07 min", "trong 3 h 07 min nữa"),
        (timedelta(0), "will be judged once more", "đánh giá lại lần cuối"),
    ],
)
def test_the_grace_period_is_counted_down(ends: timedelta, english: str, vietnamese: str) -> None:
    verdict = passed(grace_period_end=at(NOW + ends))
    assert english in explain(verdict, now=NOW)
    assert vietnamese in explain(verdict, now=NOW, language="vi")
    assert "conclusive" not in explain(verdict, now=NOW)


def test_a_refusal_says_why_in_words_and_by_name() -> None:
    verdict = passed(
        indication=verdict_pb2.INDICATION_TOTAL_FAILED,
        sub_indication=verdict_pb2.SUB_INDICATION_HASH_FAILURE,
        reason="DIGEST_MISMATCH",
        acceptable=False,
    )
    english, vietnamese = (explain(verdict, now=NOW, language=language) for language in LANGUAGES)
    assert "The document is not the one that was signed.\nTOTAL_FAILED / HASH_FAILURE / DIGEST_MISMATCH" in english
    assert "Tài liệu đã bị thay đổi sau khi ký." in vietnamese
    assert "does not accept" in english


def test_names_that_are_newer_than_this_program_are_shown_as_they_are() -> None:
    # Enums are open (proto3): a value this program does not know arrives as its number.
    assert explain(verdict_pb2.Verdict.FromString(b"\x08\x63"), now=NOW).startswith("99\n")


def test_every_name_that_the_system_gives_has_words_in_both_languages() -> None:
    tables = {
        verdict_pb2.Indication: explanation._INDICATIONS,  # noqa: SLF001 - completeness is what is tested
        verdict_pb2.CheckState: explanation._STATES,  # noqa: SLF001
        verdict_pb2.BuildingBlock: explanation._BLOCKS,  # noqa: SLF001
        verdict_pb2.SignerRole: explanation._ROLES,  # noqa: SLF001
    }
    for enum, table in tables.items():
        names = {explanation._name(enum, number) for number in enum.values()} - {""}  # noqa: SLF001
        assert names == table.keys()
        assert all(english and vietnamese and english != vietnamese for english, vietnamese in table.values())
