"""The identity, signing and records roles as the consent role sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

import grpc
from lienthong.identity.v1 import (
    organization_pb2,
    person_fact_service_pb2,
    person_fact_service_pb2_grpc,
    person_pb2,
    person_service_pb2,
    person_service_pb2_grpc,
    registry_feed_service_pb2,
    registry_feed_service_pb2_grpc,
)
from lienthong.records.v1 import erasure_service_pb2, erasure_service_pb2_grpc
from lienthong.signing.v1 import log_service_pb2, log_service_pb2_grpc

from services.chassis.errors import PeerRefused
from services.chassis.feed import Batch, Redirect
from services.chassis.peers import call_peer, stream_peer
from services.consent.errors import PersonUnknown
from services.consent.model import Period
from services.consent.person_facts import KnownPerson
from services.consent.registry import Registered, RegisteredLicence, RegisteredOrganization
from services.consent.subjects import Part

_LOG_SECONDS = 15.0
_ERASE_SECONDS = 30.0
_WATCH_SECONDS = 3600.0
_FACT_SECONDS = 1.0
_FULL_ANSWER = 500
"""Changes of a full answer of the index's feed."""
# What is remembered of an entry that stands for itself: it was linked, or unconfirmed, and documents may say so.
_REMEMBERED = frozenset(
    {person_service_pb2.PERSON_CHANGE_KIND_UNLINKED, person_service_pb2.PERSON_CHANGE_KIND_IDENTIFIED}
)


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


class GrpcRegistryFeed:
    """The feed of the registries."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = registry_feed_service_pb2_grpc.RegistryFeedServiceStub(channel)

    async def open(self, cursor: str) -> AsyncGenerator[Batch[Registered], None]:
        """Follows after a cursor, for an hour at the most; who wants more asks again."""
        request = registry_feed_service_pb2.WatchRegistryRequest(cursor=cursor)
        async with aclosing(
            stream_peer(self._stub.WatchRegistry, request, timeout=_WATCH_SECONDS, name="identity")
        ) as answers:
            async for answer in answers:
                yield registry_batch(answer)


def registry_batch(answer: registry_feed_service_pb2.WatchRegistryResponse) -> Batch[Registered]:
    """What an answer of the registries' feed says."""
    at = answer.change_time.ToDatetime(UTC)
    organizations: list[Registered] = [
        RegisteredOrganization(
            _code(one.organization),
            organization_pb2.OrganizationState.Name(one.state).removeprefix("ORGANIZATION_STATE_"),
            organization_pb2.CareLevel.Name(one.care_level).removeprefix("CARE_LEVEL_"),
            at,
        )
        for one in answer.organizations
    ]
    licences = [
        RegisteredLicence(one.licence, one.role, one.scope, _period(one), tuple(map(_code, one.organizations)), at)
        for one in answer.licences
    ]
    oldest = at if answer.HasField("change_time") else None
    return Batch([*organizations, *licences], answer.cursor, complete=not answer.more, oldest=oldest)


def _code(organization: str) -> str:
    return organization.removeprefix("organizations/")


def _period(licence: registry_feed_service_pb2.RegisteredLicence) -> Period:
    period = licence.licence_period
    return Period(
        period.start_time.ToDatetime(UTC) if period.HasField("start_time") else None,
        period.end_time.ToDatetime(UTC) if period.HasField("end_time") else None,
    )


class PeerAnswerShort(Exception):
    """A peer answered another number of items than it was asked for; nothing of the answer can be used."""


class GrpcLog:
    """`Log`, on behalf of this role."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = log_service_pb2_grpc.LogAppendServiceStub(channel)

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends to the log."""
        request = log_service_pb2.AppendEntriesRequest(entries=entries)
        method = self._stub.AppendEntries
        response = await call_peer(method, request, timeout=_LOG_SECONDS, name="signing", forward=False)
        if len(response.leaf_indexes) != len(entries):
            raise PeerAnswerShort
        return list(response.leaf_indexes)

    async def proofs(self, indexes: Sequence[int]) -> Sequence[str]:
        """Asks for proofs."""
        request = log_service_pb2.BatchGetEntryProofsRequest(leaf_indexes=indexes)
        method = self._stub.BatchGetEntryProofs
        response = await call_peer(method, request, timeout=_LOG_SECONDS, name="signing", forward=False)
        if len(response.proofs) != len(indexes):
            raise PeerAnswerShort
        return list(response.proofs)


class GrpcPersonFacts:
    """`PersonFacts` of the person index. This role asks for itself: what it is told is not for the end actor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = person_fact_service_pb2_grpc.PersonFactServiceStub(channel)

    async def of(self, person: UUID, *, with_phone: bool = False) -> KnownPerson:
        """The facts of a person, within a second of what is left of the call. Raises PeerUnavailable, and PersonUnknown where the index has nobody."""
        request = person_fact_service_pb2.GetPersonFactsRequest(person=f"persons/{person}", with_phone=with_phone)
        try:
            answer = await call_peer(
                self._stub.GetPersonFacts, request, timeout=_FACT_SECONDS, name="identity", forward=False
            )
        except PeerRefused as error:
            if error.peer_reason == "PERSON_NOT_FOUND":
                raise PersonUnknown("no such person") from None
            raise
        birth = answer.birth_date
        return KnownPerson(
            person=UUID(answer.current_person.removeprefix("persons/")),
            birth=(birth.year, birth.month, birth.day) if answer.HasField("birth_date") else None,
            deceased=answer.deceased,
            provisional=answer.provisional,
            phone=answer.phone,
        )


class GrpcEraser:
    """`Eraser`: the records role, on behalf of this one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = erasure_service_pb2_grpc.ErasureServiceStub(channel)

    async def erase(self, persons: Sequence[UUID], documents: Sequence[UUID], request: UUID) -> Part:
        """Asks for the erasure of what may be erased."""
        wanted = erasure_service_pb2.EraseDocumentsRequest(
            persons=[f"persons/{id}" for id in persons],
            documents=[f"documents/{id}" for id in documents],
            subject_request=f"subjectRequests/{request}",
        )
        method = self._stub.EraseDocuments
        answer = await call_peer(method, wanted, timeout=_ERASE_SECONDS, name="records", forward=False)
        until = answer.retain_until.ToDatetime(UTC) if answer.HasField("retain_until") else None
        return Part("documents", answer.erased, answer.retained, answer.article, until)
