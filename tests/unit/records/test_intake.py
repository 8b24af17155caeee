"""Taking documents in: what is accepted, refused, answered again, and what a fault leaves behind."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from lienthong.records.v1 import submission_pb2

from services.chassis.errors import DatabaseUnavailable, PeerRefused, PeerUnavailable
from services.records.errors import DocumentIdReused, DocumentRejected, FacilityNotActive, IntakeBusy
from services.records.model import LARGEST_DOCUMENT, SubmissionState, Topic
from services.records.service.admission import Share
from services.records.service.gather import Limits
from services.records.service.slips import slip_from_json
from services.records.signatures import DetachedSignature, SignatureForm
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_samples import FACILITY, NOW, accepted, answers, episode, incoming, unidentified
from tests.unit.records.conftest import Intake, StartIntake

pb = submission_pb2


async def test_an_accepted_document_is_answered_with_all_that_is_known_of_it(intake: Intake) -> None:
    document = incoming(episode(1))
    answer = await intake.accept(document)
    assert answer.name.startswith("submissions/")
    assert answer.document == answer.name.replace("submissions", "documents")
    assert answer.organization == f"organizations/{FACILITY}"
    assert (answer.document_id, answer.content_sha256) == ("HS-1", document.sha256)
    assert answer.state == pb.SUBMISSION_STATE_RETRIEVABLE
    assert [change.state for change in answer.history] == [
        pb.SUBMISSION_STATE_RECEIVED,
        pb.SUBMISSION_STATE_VERIFIED,
        pb.SUBMISSION_STATE_STORED,
        pb.SUBMISSION_STATE_RETRIEVABLE,
    ]
    assert answer.verdict.acceptable
    assert answer.sequence == 1
    assert answer.person == f"persons/{next(iter(intake.identity.persons.values()))}"
    entry = json.loads(answer.receipt.entry)
    assert entry["submission"] == answer.name.removeprefix("submissions/")
    assert (entry["facility"], entry["sequence"], entry["kind"]) == (FACILITY, 1, "ENCOUNTER_SUMMARY")
    assert answer.receipt.trace_id == document.trace_id
    assert intake.outcomes == ["ACCEPTED"]
    assert intake.commits == 1


async def test_the_same_bytes_get_the_first_answer_byte_for_byte(intake: Intake) -> None:
    first = await intake.accept(incoming(episode(1)))
    intake.clock.advance(NOW.resolution * 10**9)
    again = await intake.accept(incoming(episode(1), received_at=intake.clock(), trace_id="b" * 32))
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    assert intake.signing.batches == [1]
    assert intake.identity.filed == 1


async def test_other_bytes_under_the_same_id_are_refused_naming_both_hashes(intake: Intake) -> None:
    first, other = incoming(episode(1)), incoming(episode(2))
    await intake.accept(first)
    (error,) = await intake.submit(other)
    assert isinstance(error, DocumentIdReused)
    assert error.metadata == {"first_sha256": first.sha256, "this_sha256": other.sha256}


async def test_doubles_inside_one_batch(intake: Intake) -> None:
    same, other = incoming(episode(1)), incoming(episode(2))
    one, two, three = await intake.submit(same, replace(same), other)
    assert isinstance(one, pb.Submission)
    assert one == two
    assert isinstance(three, DocumentIdReused)
    assert intake.identity.filed == 1


async def test_after_a_refusal_other_bytes_of_the_batch_get_their_own_chance(intake: Intake) -> None:
    bad, good = incoming(b"<broken"), incoming(episode(1))
    one, two, three = await intake.submit(bad, good, replace(bad))
    assert isinstance(one, DocumentRejected)
    assert isinstance(two, pb.Submission)
    assert isinstance(three, DocumentRejected)


async def test_ids_are_each_facilitys_own(intake: Intake) -> None:
    await intake.accept(incoming(episode(1)))
    answer = await intake.accept(incoming(episode(2, "79001"), facility="79001"))
    assert answer.sequence == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.4", "NOT_XML"),
        (b"<GIAMDINHHS/>", "STRUCTURE_INVALID"),
        (b"<other/>", "ROOT_UNKNOWN"),
    ],
)
async def test_an_unreadable_document_is_refused_and_kept_as_evidence(
    intake: Intake, content: bytes, reason: str
) -> None:
    (error,) = await intake.submit(incoming(content))
    assert isinstance(error, DocumentRejected)
    assert error.metadata["rejection"] == reason
    assert error.violations[0].reason == reason
    assert error.violations[0].field
    (record,) = await intake.store.submissions(FACILITY, None, None, "", 9)
    assert record.state is SubmissionState.REJECTED
    assert error.metadata["submission"] == f"submissions/{record.id}"
    assert intake.signing.batches == []


async def test_a_forged_document_creates_nobody(intake: Intake) -> None:
    document = incoming(episode(1))
    intake.signing.forged.add(document.sha256)
    (error,) = await intake.submit(document)
    assert isinstance(error, DocumentRejected)
    assert error.metadata["rejection"] == "DIGEST_MISMATCH"
    assert error.violations[0].field == "GIAMDINHHS/CHUKYDONVI"
    assert intake.identity.filed == 0
    assert intake.store.events == []
    # Detached signatures are named as such.
    detached = incoming(episode(2), "b", signatures=(DetachedSignature(SignatureForm.CMS_DETACHED, b"der"),))
    intake.signing.forged.add(detached.sha256)
    (error,) = await intake.submit(detached)
    assert isinstance(error, DocumentRejected)
    assert error.violations[0].field == "signatures[0].content"


async def test_a_refused_id_may_come_again_with_better_bytes(intake: Intake) -> None:
    (first,) = await intake.submit(incoming(b"<broken"))
    (second,) = await intake.submit(incoming(b"<broken"))
    assert isinstance(first, DocumentRejected)
    assert isinstance(second, DocumentRejected)
    # The same bytes refused for the same reason are one piece of evidence.
    assert first.metadata == second.metadata
    assert len(await intake.store.submissions(FACILITY, None, None, "", 9)) == 1
    assert (await intake.accept(incoming(episode(1)))).sequence == 1


async def test_a_refusal_is_judged_again_each_time(intake: Intake) -> None:
    document = incoming(episode(1))
    intake.signing.forged.add(document.sha256)
    (error,) = await intake.submit(document)
    assert isinstance(error, DocumentRejected)
    intake.signing.forged.clear()
    assert (await intake.accept(document)).state == pb.SUBMISSION_STATE_RETRIEVABLE


async def test_a_document_of_another_facility_is_refused(intake: Intake) -> None:
    (error,) = await intake.submit(incoming(episode(1, "79001")))
    assert isinstance(error, DocumentRejected)
    assert error.metadata["rejection"] == "FACILITY_MISMATCH"


async def test_an_unconfirmed_identity_holds_the_document(intake: Intake) -> None:
    answer = await intake.accept(incoming(unidentified(1)))
    assert answer.state == pb.SUBMISSION_STATE_HELD
    assert answer.history[-1].state == pb.SUBMISSION_STATE_HELD
    assert [event.topic for event in intake.store.events] == [Topic.LOG]


async def test_events_of_an_accepted_document(intake: Intake) -> None:
    sample = episode(5, referral_to="79001", follow_up=True)
    await intake.accept(incoming(sample))
    topics = [event.topic for event in intake.store.events]
    assert topics.count(Topic.LOG) == 1
    slips = [slip_from_json(event.payload) for event in intake.store.events if event.topic is Topic.SLIPS]
    assert len(slips) == 2
    insured = any("INSURANCE" in one.type.value for one in accepted(sample).parsed.patient.identifiers)
    assert (Topic.INSURER in topics) is insured


async def test_a_batch_with_all_sorts(intake: Intake) -> None:
    forged = incoming(episode(3), "forged")
    intake.signing.forged.add(forged.sha256)
    outcomes = await intake.submit(
        incoming(episode(1), "a"), incoming(b"junk", "junk"), forged, incoming(unidentified(2), "held")
    )
    assert [type(one).__name__ for one in outcomes] == [
        "Submission",
        "DocumentRejected",
        "DocumentRejected",
        "Submission",
    ]
    assert sorted(intake.outcomes) == ["ACCEPTED", "ACCEPTED", "DOCUMENT_REJECTED", "DOCUMENT_REJECTED"]


async def test_a_peer_that_is_down_fails_the_documents_and_leaves_nothing(intake: Intake) -> None:
    document = incoming(episode(1))
    intake.signing.fault = PeerUnavailable("signing")
    (error,) = await intake.submit(document)
    assert isinstance(error, PeerUnavailable)
    assert error.retry_after is not None
    assert await intake.store.submissions(FACILITY, None, None, "", 9) == []
    intake.signing.fault = None
    assert (await intake.accept(document)).sequence == 1


async def test_identity_down_after_the_verdict(intake: Intake) -> None:
    await intake.accept(incoming(episode(1), "a"))
    intake.identity.fault = PeerUnavailable("identity")
    (error,) = await intake.submit(incoming(episode(2), "b"))
    assert isinstance(error, PeerUnavailable)
    intake.identity.fault = None
    assert (await intake.accept(incoming(episode(2), "b"))).sequence == 2


async def test_a_database_that_is_down(start_intake: StartIntake) -> None:
    class Broken(MemoryStore):
        down = True

        async def store(self, *args: object) -> list[object]:  # type: ignore[override] # passes on
            if self.down:
                raise DatabaseUnavailable
            return await super().store(*args)  # type: ignore[arg-type, return-value] # passes on

    broken = Broken()
    intake = await start_intake(Intake(broken))
    good, bad = await intake.submit(incoming(episode(1)), incoming(b"junk", "junk"))
    # Not even the refusal is answered: its evidence was not kept.
    assert isinstance(good, DatabaseUnavailable)
    assert isinstance(bad, DatabaseUnavailable)
    broken.down = False
    assert (await intake.accept(incoming(episode(1)))).sequence == 1


async def test_what_a_peer_refuses_does_not_fail_its_neighbours(intake: Intake) -> None:
    intake.signing.fault, intake.signing.faulty = PeerRefused("signing", "FIELD_INVALID"), {"d2"}
    outcomes = await intake.submit(*(incoming(episode(n), f"d{n}") for n in range(1, 6)))
    assert [isinstance(one, PeerRefused) for one in outcomes] == [False, True, False, False, False]


async def test_a_fault_in_one_document_stays_its_own(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.records.formats.xml130 import format as xml130
    from services.records.formats.xml130.envelope import parse_envelope as real

    def parse(content: bytes, *rest: object) -> object:
        if content == b"bug":
            raise ZeroDivisionError
        return real(content, *rest)  # type: ignore[arg-type] # passes on

    monkeypatch.setattr(xml130, "parse_envelope", parse)
    good, bad = await intake.submit(incoming(episode(1)), incoming(b"bug", "bug"))
    assert isinstance(good, pb.Submission)
    assert isinstance(bad, ZeroDivisionError)
    assert intake.outcomes.count("INTERNAL") == 1


async def test_a_key_stored_by_another_process_meanwhile(start_intake: StartIntake) -> None:
    store = MemoryStore()
    intake = await start_intake(Intake(store))
    intake.signing.gate = asyncio.Event()
    waiting = asyncio.create_task(intake.submit(incoming(episode(1), "same"), incoming(episode(2), "own")))
    await asyncio.sleep(0.05)
    (elsewhere,) = await store.store([accepted(episode(1), "same")], [], answers().finish)
    intake.signing.gate.set()
    same, own = await waiting
    assert isinstance(same, pb.Submission)
    assert isinstance(own, pb.Submission)
    assert same.SerializeToString(deterministic=True) == elsewhere.answer
    assert own.sequence == 2


async def test_an_unknown_or_suspended_facility_is_not_let_in(intake: Intake) -> None:
    intake.identity.inactive.add(FACILITY)
    with pytest.raises(FacilityNotActive):
        await intake.service.submit(FACILITY, [incoming(episode(1))])
    intake.identity.inactive.clear()
    intake.clock.advance(NOW.resolution * 3 * 10**6)
    await intake.accept(incoming(episode(1)))
    # Its standing is remembered for a minute, and no longer.
    intake.identity.inactive.add(FACILITY)
    await intake.accept(incoming(episode(2), "b"))
    intake.clock.advance(NOW.resolution * 61 * 10**6)
    with pytest.raises(FacilityNotActive):
        await intake.service.submit(FACILITY, [incoming(episode(3), "c")])


async def test_a_full_share_is_refused_at_the_door_and_given_back(start_intake: StartIntake) -> None:
    intake = await start_intake(
        Intake(MemoryStore(), share=Share(2, LARGEST_DOCUMENT), total=Share(3, LARGEST_DOCUMENT))
    )
    intake.signing.gate = asyncio.Event()
    first = asyncio.create_task(intake.submit(incoming(episode(1), "a"), incoming(episode(2), "b")))
    await asyncio.sleep(0.05)
    with pytest.raises(IntakeBusy) as busy:
        await intake.service.submit(FACILITY, [incoming(episode(3), "c")])
    assert busy.value.retry_after is not None
    assert busy.value.metadata == {"scope": "facility"}
    # Another facility has room of its own, as far as the whole goes.
    (other,) = await intake.service.submit("79001", [incoming(episode(3, "79001"), facility="79001")])
    with pytest.raises(IntakeBusy) as busy:
        await intake.service.submit("24001", [incoming(episode(3), facility="24001")])
    assert busy.value.metadata == {"scope": "service"}
    intake.signing.gate.set()
    await first
    await other
    await intake.accept(incoming(episode(3), "c"))


async def test_a_caller_that_goes_away_frees_its_place(start_intake: StartIntake) -> None:
    intake = await start_intake(Intake(MemoryStore(), share=Share(1, LARGEST_DOCUMENT)))
    intake.signing.gate = asyncio.Event()
    (answer,) = await intake.service.submit(FACILITY, [incoming(episode(1))])
    await asyncio.sleep(0.05)
    answer.cancel()
    intake.signing.gate.set()
    await asyncio.sleep(0.1)
    # The document was stored all the same: its retry gets the first answer.
    assert (await intake.accept(incoming(episode(1)))).sequence == 1


async def test_batches_are_bounded(start_intake: StartIntake) -> None:
    intake = await start_intake(Intake(MemoryStore(), limits=Limits(documents=3, seconds=0.01)))
    await intake.submit(*(incoming(episode(n), f"d{n}") for n in range(1, 8)))
    assert sum(intake.signing.batches) == 7
    assert max(intake.signing.batches) <= 3


async def test_a_dry_run_says_the_same_and_stores_nothing(intake: Intake) -> None:
    good = await intake.service.validate(incoming(episode(1)))
    assert good.state is SubmissionState.STORED
    assert (good.id, good.person, good.sequence, good.receipt) == (None, None, 0, None)
    assert good.verdict is not None
    bad = await intake.service.validate(incoming(b"junk"))
    assert bad.state is SubmissionState.REJECTED
    assert bad.rejection is not None
    forged = incoming(episode(2))
    intake.signing.forged.add(forged.sha256)
    refused = await intake.service.validate(forged)
    assert refused.rejection is not None
    assert refused.rejection.reason == "DIGEST_MISMATCH"
    assert await intake.store.submissions(FACILITY, None, None, "", 9) == []
    assert intake.identity.filed == 0
    await intake.accept(incoming(episode(1)))
    with pytest.raises(DocumentIdReused):
        await intake.service.validate(forged)
