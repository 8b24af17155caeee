"""Review tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lienthong.identity.v1 import person_link_pb2, person_link_service_pb2, person_service_pb2

from services.identity import links
from services.identity.convert.links import gathered, person_id, reason_in
from services.identity.convert.persons import AGREEMENT
from services.identity.convert.scalars import known, numbers, request_uuid, resource_id, stamp
from services.identity.service import ClaimedTask, Sides, Verdict

REASON = numbers(links.ReviewReason, person_link_pb2.ReviewReason, "REVIEW_REASON")
STATE = numbers(links.ReviewState, person_link_pb2.ReviewTaskState, "REVIEW_TASK_STATE")
PRIOR = "prior"
"""First step of a waterfall; no field, and no agreement."""
DECISION = numbers(links.ReviewDecision, person_link_pb2.ReviewDecision, "REVIEW_DECISION")


def verdict_in(message: person_link_service_pb2.DecideReviewTaskRequest) -> tuple[Verdict, str]:
    """What a steward decides, and the request id."""
    found = gathered(
        request=lambda: request_uuid(message.request_id),
        name=lambda: resource_id(message.name, "reviewTasks", "name"),
        decision=lambda: known(DECISION, message.decision, "decision"),
        person=lambda: person_id(message.person, "person") if message.person else None,
        reason=lambda: reason_in(message.reason),
    )
    return Verdict(found["decision"], found["reason"], found["person"], message.etag), found["request"]


def task_message(task: links.ReviewTask, now: datetime) -> person_link_pb2.ReviewTask:
    """A task in proto, without values, and without what others found. A claim that has run out is none."""
    claimed = task.claimed(now) and task.claim_ends_at is not None
    lapsed = task.state is links.ReviewState.CLAIMED and not claimed
    message = person_link_pb2.ReviewTask(
        name=task.name,
        person=f"persons/{task.person}",
        reason=REASON[task.reason],
        state=STATE[links.ReviewState.OPEN if lapsed else task.state],
        candidates=[_candidate_message(one) for one in task.candidates],
        organization=f"organizations/{task.facility}" if task.facility else "",
        create_time=stamp(task.created_at),
        documents_waiting=task.documents_waiting,
        double_review=task.double_review,
        etag=task.etag,
    )
    if claimed and task.claim_ends_at is not None:
        message.claim_expire_time.CopyFrom(stamp(task.claim_ends_at))
    return message


def claimed_message(claimed: ClaimedTask, now: datetime) -> person_link_pb2.ReviewTask:
    """A claimed task with both sides."""
    message = task_message(claimed.task, now)
    for shown, candidate in zip(message.candidates, claimed.task.candidates, strict=True):
        shown.fields.extend(_fields(claimed.sides.get(candidate.person, ())))
    return message


def _fields(sides: Sequence[Sides]) -> Sequence[person_link_pb2.ReviewField]:
    return [
        person_link_pb2.ReviewField(field=one.name, subject_value=one.subject, candidate_value=one.candidate)
        for one in sides
    ]


def _candidate_message(candidate: links.ReviewCandidate) -> person_link_pb2.ReviewCandidate:
    """A candidate with its waterfall: the odds before anything was compared, then what each field adds; together the score."""
    steps = [
        person_service_pb2.FieldEvidence(field=one.field, agreement=AGREEMENT[one.agreement], bits=round(one.bits, 1))
        for one in candidate.evidence
    ]
    if steps and abs(candidate.score - sum(one.bits for one in candidate.evidence)) >= 0.05:
        prior = round(candidate.score - sum(step.bits for step in steps), 1)
        steps.insert(0, person_service_pb2.FieldEvidence(field=PRIOR, bits=prior))
    return person_link_pb2.ReviewCandidate(person=f"persons/{candidate.person}", score=candidate.score, evidence=steps)
