"""The consent and identity roles as the referrals role sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

import grpc
from lienthong.consent.v1 import (
    decision_pb2,
    decision_service_pb2,
    decision_service_pb2_grpc,
    treatment_relation_service_pb2,
    treatment_relation_service_pb2_grpc,
)
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2

from services.chassis.call import Call
from services.chassis.feed import Batch, Redirect
from services.chassis.peers import call_peer, stream_peer
from services.chassis.principal import PrincipalKind
from services.referrals.convert import stamp
from services.referrals.model import Appointment, Referral
from services.referrals.ports import AccessContext, Paper, Ruling
from services.referrals.relations import Relation

_SERVICES = "lienthong.referrals.v1."
_QUERIES, _RESOURCES = 100, 50
"""Queries of one Decide, and papers named in one query: each may need two proofs, of at most a hundred."""
_TREATMENT = AccessContext(access_context_pb2.PURPOSE_OF_USE_TREATMENT, access_context_pb2.LEGAL_BASIS_LAW_19_1_DD, "")
_OWN = AccessContext(access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST, access_context_pb2.LEGAL_BASIS_OWN_DATA, "")
_TIMEOUT = 5.0
_WATCH_SECONDS = 3600.0
_FULL_ANSWER = 500
"""Changes of a full answer of the index's feed."""
# What is remembered of an entry that stands for itself: it was linked, or unconfirmed, and documents may say so.
_REMEMBERED = frozenset(
    {person_service_pb2.PERSON_CHANGE_KIND_UNLINKED, person_service_pb2.PERSON_CHANGE_KIND_IDENTIFIED}
)


class GrpcConsents:
    """`Consents` over gRPC; the caller's token travels along, so the decision is about the end actor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = decision_service_pb2_grpc.DecisionServiceStub(channel)

    async def may_read(
        self, call: Call, papers: Sequence[Paper], method: str, context: AccessContext | None = None
    ) -> Mapping[UUID, Ruling]:
        """One call for every hundred persons. Which facility is asking is known from the verified token, so the evidence is ours to give."""
        of: dict[UUID, list[Paper]] = {}
        for paper in papers:
            of.setdefault(paper.person, []).append(paper)
        persons = list(of)
        rulings: dict[UUID, Ruling] = {}
        for start in range(0, len(persons), _QUERIES):
            some = persons[start : start + _QUERIES]
            request = decision_service_pb2.DecideRequest(
                queries=[_query(call, person, of[person], method, context) for person in some]
            )
            answer = await call_peer(self._stub.Decide, request, timeout=_TIMEOUT, name="consent")
            rulings |= {person: _ruling(one) for person, one in zip(some, answer.decisions, strict=True)}
        return rulings


def _query(
    call: Call, person: UUID, papers: Sequence[Paper], method: str, context: AccessContext | None
) -> decision_service_pb2.DecisionQuery:
    # Of more papers than a query holds, those that are named show as much.
    named = papers[:_RESOURCES]
    evidence: dict[tuple[str, str], None] = {}
    for paper in named:
        evidence |= dict.fromkeys(_evidence(call.principal.facility, paper))
    asked = context or (_OWN if call.principal.kind is PrincipalKind.CITIZEN else _TREATMENT)
    kind = document_kind_pb2.DOCUMENT_KIND_FOLLOW_UP
    if isinstance(papers[0], Referral):
        kind = document_kind_pb2.DOCUMENT_KIND_REFERRAL
    return decision_service_pb2.DecisionQuery(
        person=f"persons/{person}",
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PurposeOfUse.ValueType(asked.purpose),
            legal_basis=access_context_pb2.LegalBasis.ValueType(asked.legal_basis),
            reason=asked.reason,
        ),
        kinds=[kind],
        method=_SERVICES + method,
        resources=list(dict.fromkeys(f"documents/{paper.document}" for paper in named)),
        evidence=[decision_service_pb2.TreatmentEvidence(type=type, resource=name) for type, name in evidence],
    )


def _evidence(facility: str | None, paper: Paper) -> list[tuple[str, str]]:
    """What shows that this facility may read a paper: it is addressed there, or was made there."""
    if facility is None:
        return []
    if isinstance(paper, Appointment):
        ours = paper.organization == facility
        return [("APPOINTMENT", f"appointments/{paper.id}"), _own(paper)] if ours else []
    received = [("REFERRAL", f"referrals/{paper.id}")] if facility == paper.target else []
    return [*received, _own(paper)] if facility == paper.source else received


def _own(paper: Paper) -> tuple[str, str]:
    return "OWN_DOCUMENT", f"documents/{paper.document}"


def _ruling(decision: decision_pb2.Decision) -> Ruling:
    return Ruling(
        decision=decision.name,
        permitted=decision.effect == decision_pb2.EFFECT_PERMIT,
        would_change=tuple(change.code for change in decision.would_change),
    )


class GrpcDecisionPoint:
    """`DecisionPoint` over gRPC, in background work: this role tells for itself."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = treatment_relation_service_pb2_grpc.TreatmentRelationServiceStub(channel)

    async def record(self, relations: Sequence[Relation]) -> None:
        """One call, at most 200 relations."""
        request = treatment_relation_service_pb2.RecordTreatmentRelationsRequest(
            relations=[
                treatment_relation_service_pb2.TreatmentRelation(
                    type=one.type,
                    resource=one.resource,
                    person=f"persons/{one.person}",
                    organization=f"organizations/{one.organization}",
                    period=period_pb2.Period(start_time=stamp(one.starts), end_time=stamp(one.ends)),
                    record_time=stamp(one.recorded),
                )
                for one in relations
            ]
        )
        await call_peer(self._stub.RecordTreatmentRelations, request, timeout=_TIMEOUT, name="consent", forward=False)


class GrpcPersonFeed:
    """The feed of the person index."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = person_service_pb2_grpc.PersonServiceStub(channel)

    async def open(self, cursor: str) -> AsyncGenerator[Batch[Redirect], None]:
        """Follows after a cursor, for an hour at the most; who wants more asks again."""
        request = person_service_pb2.WatchPersonsRequest(cursor=cursor)
        async with aclosing(
            stream_peer(self._stub.WatchPersons, request, timeout=_WATCH_SECONDS, name="identity")
        ) as answers:
            async for answer in answers:
                yield person_batch(answer)


def person_batch(answer: person_service_pb2.WatchPersonsResponse) -> Batch[Redirect]:
    """What an answer of the index's feed says of its entries. An answer that is not full had all there was."""
    times = [change.change_time.ToDatetime(UTC) for change in answer.changes]
    return Batch(
        items=[_redirect(change, at) for change, at in zip(answer.changes, times, strict=True)],
        cursor=answer.cursor,
        complete=len(answer.changes) < _FULL_ANSWER,
        oldest=min(times, default=None),
    )


def _redirect(change: person_service_pb2.PersonChange, at: datetime) -> Redirect:
    person, current = (UUID(name.removeprefix("persons/")) for name in (change.person, change.current_person))
    held = change.current_state == person_pb2.PERSON_STATE_PROVISIONAL
    return Redirect(person, current, held, at, kept=person != current or change.kind in _REMEMBERED)
