"""`ErasureService`."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from lienthong.records.v1 import erasure_service_pb2, erasure_service_pb2_grpc

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.server import RpcContext
from services.records.convert.scalars import resource_id
from services.records.erasure import MOST_DOCUMENTS, MOST_PERSONS
from services.records.retention import Retention
from services.records.service.erasure import ErasureService


class ErasureServicer(erasure_service_pb2_grpc.ErasureServiceServicer):
    """`lienthong.records.v1.ErasureService`."""

    def __init__(self, service: ErasureService, retention: Retention) -> None:
        self._service = service
        self._retention = retention

    async def EraseDocuments(
        self, request: erasure_service_pb2.EraseDocumentsRequest, context: RpcContext
    ) -> erasure_service_pb2.EraseDocumentsResponse:
        """Destroys what may be destroyed."""
        subject_request = resource_id(request.subject_request, "subjectRequests", "subject_request")
        persons = _named(request.persons, "persons", 1, MOST_PERSONS)
        documents = _named(request.documents, "documents", 0, MOST_DOCUMENTS)
        done = await self._service.erase(persons, documents, subject_request)
        answer = erasure_service_pb2.EraseDocumentsResponse(erased=done.erased, retained=done.retained)
        if done.retain_until is not None:
            answer.article = self._retention.article
            answer.retain_until.FromDatetime(done.retain_until)
        return answer


def _named(names: Sequence[str], collection: str, least: int, most: int) -> Sequence[UUID]:
    if not least <= len(names) <= most:
        raise InvalidArgument.of(FieldViolation(collection, f"{least} to {most} names", "COUNT_OUT_OF_RANGE"))
    return [resource_id(name, collection, f"{collection}[{place}]") for place, name in enumerate(names)]
