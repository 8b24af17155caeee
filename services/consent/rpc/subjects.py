"""`lienthong.consent.v1.SubjectRequestService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.consent.v1 import subject_request_service_pb2, subject_request_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.identifiers import uuid_from_request
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.principal import PrincipalKind
from services.chassis.server import RpcContext
from services.consent.convert import scalars
from services.consent.convert import subjects as convert
from services.consent.service.subjects import SubjectRequestService
from services.consent.subjects import SubjectRequest

pb = subject_request_service_pb2


class SubjectRequestServicer(subject_request_service_pb2_grpc.SubjectRequestServiceServicer):
    """`lienthong.consent.v1.SubjectRequestService`."""

    def __init__(self, service: SubjectRequestService, clock: Clock) -> None:
        self._service = service
        self._clock = clock

    async def CreateSubjectRequest(
        self, request: pb.CreateSubjectRequestRequest, context: RpcContext
    ) -> pb.CreateSubjectRequestResponse:
        """Takes a request."""
        principal = current_call().principal
        request_id = scalars.uuid_of(request.request_id, "request_id")
        id = uuid_from_request(f"{principal.subject}|CreateSubjectRequest", request_id)
        person, kind, purpose, documents, said = convert.request_in(request.subject_request)
        made = await self._service.create(principal, id, person, kind, purpose, documents, said)
        return pb.CreateSubjectRequestResponse(subject_request=self._message(made))

    async def GetSubjectRequest(
        self, request: pb.GetSubjectRequestRequest, context: RpcContext
    ) -> pb.GetSubjectRequestResponse:
        """A request."""
        found = await self._service.get(current_call().principal, _id(request.name))
        return pb.GetSubjectRequestResponse(subject_request=self._message(found))

    async def ListSubjectRequests(
        self, request: pb.ListSubjectRequestsRequest, context: RpcContext
    ) -> pb.ListSubjectRequestsResponse:
        """A person's own requests, or a work list."""
        principal = current_call().principal
        limit = page_limit(request.page_size)
        only_open = request.open or request.overdue
        bound = f"ListSubjectRequests|{principal.kind.value}|{only_open}|{request.overdue}"
        after = decode_token(request.page_token, bound)
        place = (datetime.fromisoformat(after[0]), UUID(after[1])) if after else None
        found = await self._service.list(principal, only_open, request.overdue, place, limit + 1)
        token = ""
        if len(found) > limit:
            end = found[limit - 1]
            due = end.next_due_at if only_open else end.first_due_at
            at = end.created_at if principal.kind is PrincipalKind.CITIZEN else due
            token = encode_token((at.isoformat(), str(end.id)), bound)
        return pb.ListSubjectRequestsResponse(
            subject_requests=[self._message(one) for one in found[:limit]], next_page_token=token
        )

    async def AcknowledgeSubjectRequest(
        self, request: pb.AcknowledgeSubjectRequestRequest, context: RpcContext
    ) -> pb.AcknowledgeSubjectRequestResponse:
        """Acknowledges receipt."""
        scalars.uuid_of(request.request_id, "request_id")
        told = await self._service.acknowledge(current_call().principal, _id(request.name))
        return pb.AcknowledgeSubjectRequestResponse(subject_request=self._message(told))

    async def PassSubjectRequest(
        self, request: pb.PassSubjectRequestRequest, context: RpcContext
    ) -> pb.PassSubjectRequestResponse:
        """Passes a request on."""
        scalars.uuid_of(request.request_id, "request_id")
        wrong: list[FieldViolation] = []
        organization = scalars.organization_code(request.organization, "organization", wrong)
        if wrong:
            raise InvalidArgument.of(*wrong)
        passed = await self._service.pass_on(current_call().principal, _id(request.name), organization)
        return pb.PassSubjectRequestResponse(subject_request=self._message(passed))

    async def FulfilSubjectRequest(
        self, request: pb.FulfilSubjectRequestRequest, context: RpcContext
    ) -> pb.FulfilSubjectRequestResponse:
        """Fulfils a request."""
        scalars.uuid_of(request.request_id, "request_id")
        wrong: list[FieldViolation] = []
        documents = convert.documents_in(request.documents, "documents", wrong)
        if wrong:
            raise InvalidArgument.of(*wrong)
        done = await self._service.fulfil(current_call().principal, _id(request.name), documents)
        return pb.FulfilSubjectRequestResponse(subject_request=self._message(done))

    async def RefuseSubjectRequest(
        self, request: pb.RefuseSubjectRequestRequest, context: RpcContext
    ) -> pb.RefuseSubjectRequestResponse:
        """Refuses a request."""
        scalars.uuid_of(request.request_id, "request_id")
        article = convert.article_in(request.article)
        refused = await self._service.refuse(current_call().principal, _id(request.name), article)
        return pb.RefuseSubjectRequestResponse(subject_request=self._message(refused))

    async def LiftSubjectRequest(
        self, request: pb.LiftSubjectRequestRequest, context: RpcContext
    ) -> pb.LiftSubjectRequestResponse:
        """Lifts a restriction or an objection."""
        scalars.uuid_of(request.request_id, "request_id")
        lifted = await self._service.lift(current_call().principal, _id(request.name))
        return pb.LiftSubjectRequestResponse(subject_request=self._message(lifted))

    def _message(self, request: SubjectRequest) -> pb.SubjectRequest:
        return convert.request_message(request, self._clock())


def _id(name: str) -> UUID:
    return scalars.resource_id(name, "subjectRequests", "name")
