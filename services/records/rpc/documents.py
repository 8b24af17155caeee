"""`DocumentService`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from lienthong.records.v1 import document_service_pb2, document_service_pb2_grpc, health_book_pb2

from services.chassis.call import current_call
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.server import RpcContext
from services.records import telemetry
from services.records.convert import documents as documents_convert
from services.records.convert.scalars import context_in, kinds_in, period_filter, resource_id
from services.records.model import Cursor
from services.records.service import DocumentService
from services.records.telemetry import Instruments

LARGEST_BOOK_PAGE = 200


class DocumentServicer(document_service_pb2_grpc.DocumentServiceServicer):
    """`lienthong.records.v1.DocumentService`."""

    def __init__(self, documents: DocumentService, instruments: Instruments) -> None:
        self._documents = documents
        self._instruments = instruments

    async def ListDocuments(
        self, request: document_service_pb2.ListDocumentsRequest, context: RpcContext
    ) -> document_service_pb2.ListDocumentsResponse:
        """Lists a person's documents."""
        limit = page_limit(request.page_size)
        kinds = kinds_in(request.kinds, "kinds")
        span = period_filter(request.period, "period")
        names = ",".join(sorted(kind.value for kind in kinds))
        bound = f"ListDocuments|{request.person}|{names}|{span}"
        page = await self._documents.list(
            current_call().principal,
            resource_id(request.person, "persons", "person"),
            context_in(request.context, "context"),
            kinds,
            span,
            _cursor(request.page_token, bound),
            limit,
        )
        self._instruments.reads.add(1, {telemetry.ATTRIBUTE_OUTCOME: "ListDocuments"})
        return document_service_pb2.ListDocumentsResponse(
            documents=[documents_convert.document_message(entry, shown) for entry, shown in page.documents],
            next_page_token=_token(page.more, bound),
            disclosure=documents_convert.disclosure_message(page.decision, unconfirmed=page.unconfirmed),
        )

    async def GetDocument(
        self, request: document_service_pb2.GetDocumentRequest, context: RpcContext
    ) -> document_service_pb2.GetDocumentResponse:
        """Returns the original bytes."""
        entry, stored, decision = await self._documents.get(
            current_call().principal,
            resource_id(request.name, "documents", "name"),
            context_in(request.context, "context"),
        )
        self._instruments.reads.add(1, {telemetry.ATTRIBUTE_OUTCOME: "GetDocument"})
        return document_service_pb2.GetDocumentResponse(
            document=documents_convert.document_message(entry, entry.kinds),
            signed_content=documents_convert.content_message(stored),
            disclosure=documents_convert.disclosure_message(decision),
        )

    async def GetHealthBook(
        self, request: document_service_pb2.GetHealthBookRequest, context: RpcContext
    ) -> document_service_pb2.GetHealthBookResponse:
        """Returns the health book."""
        limit = page_limit(request.page_size, LARGEST_BOOK_PAGE)
        span = period_filter(request.period, "period")
        bound = f"GetHealthBook|{request.person}|{span}"
        page = await self._documents.health_book(
            current_call().principal,
            resource_id(request.person, "persons", "person"),
            context_in(request.context, "context"),
            span,
            _cursor(request.page_token, bound),
            limit,
        )
        self._instruments.reads.add(1, {telemetry.ATTRIBUTE_OUTCOME: "GetHealthBook"})
        encounters = [documents_convert.encounter_message(entry, book) for entry, book in page.entries]
        return document_service_pb2.GetHealthBookResponse(
            health_book=health_book_pb2.HealthBook(person=request.person, encounters=encounters),
            next_page_token=_token(page.more, bound),
            disclosure=documents_convert.disclosure_message(page.decision, unconfirmed=page.unconfirmed),
        )


def _cursor(token: str, bound: str) -> Cursor | None:
    last = decode_token(token, bound)
    return Cursor(datetime.fromisoformat(last[0]), UUID(last[1])) if last else None


def _token(cursor: Cursor | None, bound: str) -> str:
    return "" if cursor is None else encode_token((cursor.care_end.isoformat(), str(cursor.id)), bound)
