"""`lienthong.identity.v1.PersonLinkService`: the review desk, on top of links."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from lienthong.identity.v1 import person_link_service_pb2

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.identity.convert import links, reviews
from services.identity.convert.scalars import optional, organization_code, request_uuid, resource_id, time_in
from services.identity.disclosure import Evidence
from services.identity.rpc.answers import count_outcomes, digest
from services.identity.rpc.links import LinkMethods
from services.identity.service import Gate, HistoryService, LinkService, ReviewService
from services.identity.telemetry import Instruments

_USUAL = timedelta(days=30)


class PersonLinkServicer(LinkMethods):
    """`lienthong.identity.v1.PersonLinkService`."""

    def __init__(
        self,
        service: LinkService,
        histories: HistoryService,
        desk: ReviewService,
        gate: Gate,
        clock: Clock,
        instruments: Instruments,
    ) -> None:
        super().__init__(service, histories, desk, gate, instruments)
        self._clock = clock

    async def ListReviewTasks(
        self, request: person_link_service_pb2.ListReviewTasksRequest, context: RpcContext
    ) -> person_link_service_pb2.ListReviewTasksResponse:
        """A page of tasks, without values."""
        limit, bound = page_limit(request.page_size), f"ListReviewTasks|{request.state}|{request.organization}"
        last = decode_token(request.page_token, bound)
        after = (int(last[0]), datetime.fromisoformat(last[1]), UUID(last[2])) if last else None
        wanted = links.gathered(
            state=lambda: optional(reviews.STATE, request.state, "state"),
            facility=lambda: organization_code(request.organization, "organization") if request.organization else None,
        )
        found = await self._desk.list(after=after, limit=limit + 1, **wanted)
        end = found[limit - 1] if len(found) > limit else None
        key = (str(end.documents_waiting), end.created_at.isoformat(), str(end.id)) if end else ()
        now = self._clock()
        return person_link_service_pb2.ListReviewTasksResponse(
            tasks=[reviews.task_message(one, now) for one in found[:limit]],
            next_page_token=encode_token(key, bound) if end else "",
        )

    async def ClaimReviewTask(
        self, request: person_link_service_pb2.ClaimReviewTaskRequest, context: RpcContext
    ) -> person_link_service_pb2.ClaimReviewTaskResponse:
        """Claims a task; answers with both sides."""
        found = links.gathered(
            id=lambda: resource_id(request.name, "reviewTasks", "name") if request.name else None,
            request_id=lambda: request_uuid(request.request_id),
        )
        principal = current_call().principal
        claimed = await self._desk.claim(principal, digest=digest(request), **found)
        if claimed is None:
            return person_link_service_pb2.ClaimReviewTaskResponse()
        # The claim holds whatever is decided: who may not be shown the sides cannot decide on them, and the claim runs out.
        evidence = (Evidence("REVIEW_TASK", claimed.task.name),)
        concerned = (claimed.task.person, *(one.person for one in claimed.task.candidates))
        decisions = await self._gate.persons(
            principal, "PersonLinkService/ClaimReviewTask", [(person, evidence) for person in concerned]
        )
        return person_link_service_pb2.ClaimReviewTaskResponse(
            task=reviews.claimed_message(claimed, self._clock()), decisions=decisions
        )

    async def DecideReviewTask(
        self, request: person_link_service_pb2.DecideReviewTaskRequest, context: RpcContext
    ) -> person_link_service_pb2.DecideReviewTaskResponse:
        """Decides a claimed task."""
        verdict, request_id = reviews.verdict_in(request)
        task, link = await self._desk.decide(
            current_call().principal,
            resource_id(request.name, "reviewTasks", "name"),
            verdict,
            request_id,
            digest(request),
        )
        count_outcomes(self._instruments.reviews, [task.state.value])
        return person_link_service_pb2.DecideReviewTaskResponse(
            task=reviews.task_message(task, self._clock()), link=f"personLinks/{link}" if link else ""
        )

    async def GetReviewStatistics(
        self, request: person_link_service_pb2.GetReviewStatisticsRequest, context: RpcContext
    ) -> person_link_service_pb2.GetReviewStatisticsResponse:
        """The desk's figures."""
        given = request.HasField("start_time")
        since = time_in(request.start_time, "start_time") if given else self._clock() - _USUAL
        found = await self._desk.figures(since)
        return person_link_service_pb2.GetReviewStatisticsResponse(
            open_count=found.open,
            decided_count=found.decided,
            median_hours=found.median_hours,
            double_review_count=found.double,
            agreed_count=found.agreed,
        )
