"""`lienthong records`: read what a citizen allows."""

from __future__ import annotations

from pathlib import Path

import click
import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from lienthong.agent.answers import receipt_of
from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.records.v1 import (
    document_pb2,
    document_service_pb2,
    document_service_pb2_grpc,
    evidence_service_pb2,
    evidence_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2

_BASES = {
    name.removeprefix("LEGAL_BASIS_").lower().replace("_", "-"): number
    for name, number in access_context_pb2.LegalBasis.items()
    if number
}


def _context(basis: str, reason: str) -> access_context_pb2.AccessContext:
    emergency = _BASES[basis] == access_context_pb2.LEGAL_BASIS_EMERGENCY_19_1_A
    return access_context_pb2.AccessContext(
        purpose=access_context_pb2.PURPOSE_OF_USE_EMERGENCY_TREATMENT
        if emergency
        else access_context_pb2.PURPOSE_OF_USE_TREATMENT,
        legal_basis=access_context_pb2.LegalBasis.ValueType(_BASES[basis]),
        reason=reason,
    )


_basis = click.option(
    "--basis", type=click.Choice(sorted(_BASES)), default="consent", show_default=True, help="Legal ground."
)
_reason = click.option(
    "--reason", default="", help="Your own reference for the citizen's ledger; never a name or number."
)


@click.group()
def records() -> None:
    """Documents and health books."""


@records.command("list")
@click.argument("person")
@_basis
@_reason
@click.pass_obj
def list_(session: Session, person: str, basis: str, reason: str) -> None:
    """Lists the documents of PERSON (`persons/...`)."""
    request = document_service_pb2.ListDocumentsRequest(person=person, context=_context(basis, reason), page_size=500)

    async def work(channel: grpc.aio.Channel) -> document_service_pb2.ListDocumentsResponse:
        return await document_service_pb2_grpc.DocumentServiceStub(channel).ListDocuments(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    for document in answer.documents:
        click.echo(
            f"{document.name}\t{document.organization}\t{document.receive_time.ToJsonString()}\t{document.content_sha256}"
        )
    _disclosure(answer.disclosure)


@records.command()
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for the original bytes; receipt and signatures go beside it.",
)
@_basis
@_reason
@click.pass_obj
def get(session: Session, name: str, out: Path | None, basis: str, reason: str) -> None:
    """Gets NAME: the original bytes of a document (`documents/...`), or the health book of a person (`persons/...`) as JSON."""
    if name.startswith("persons/"):
        book = document_service_pb2.GetHealthBookRequest(person=name, context=_context(basis, reason), page_size=200)

        async def read(channel: grpc.aio.Channel) -> document_service_pb2.GetHealthBookResponse:
            return await document_service_pb2_grpc.DocumentServiceStub(channel).GetHealthBook(
                book, timeout=CALL_SECONDS
            )

        answer = call(session, read)
        _write(answer.health_book, out)
        _disclosure(answer.disclosure)
        return
    if out is None:
        raise click.ClickException("a document needs --out FILE")
    request = document_service_pb2.GetDocumentRequest(name=name, context=_context(basis, reason))

    async def fetch(channel: grpc.aio.Channel) -> document_service_pb2.GetDocumentResponse:
        return await document_service_pb2_grpc.DocumentServiceStub(channel).GetDocument(request, timeout=CALL_SECONDS)

    found = call(session, fetch)
    out.write_bytes(found.signed_content.content)
    for number, signature in enumerate(found.signed_content.signatures):
        out.with_name(f"{out.name}{f'.{number}' if number else ''}.p7s").write_bytes(signature.content)
    if found.signed_content.HasField("receipt"):
        out.with_name(out.name + ".receipt.json").write_text(
            receipt_of(found.signed_content.receipt).to_json(), "utf-8"
        )
    click.echo(f"{out}  sha256 {found.document.content_sha256}")
    _disclosure(found.disclosure)


@records.command()
@click.argument("name")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File for the container (.asice)."
)
@_basis
@_reason
@click.pass_obj
def evidence(session: Session, name: str, out: Path, basis: str, reason: str) -> None:
    """Gets the evidence package of the document NAME (`documents/...`): all that proves it years later, for `lienthong verify`."""
    request = evidence_service_pb2.GetEvidencePackageRequest(name=name, context=_context(basis, reason))

    async def fetch(channel: grpc.aio.Channel) -> evidence_service_pb2.GetEvidencePackageResponse:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        return await stub.GetEvidencePackage(request, timeout=CALL_SECONDS)

    found = call(session, fetch)
    out.write_bytes(found.content)
    click.echo(f"{out}  {len(found.content)} bytes")
    _disclosure(found.disclosure)


def _write(message: Message, out: Path | None) -> None:
    text = MessageToJson(message, ensure_ascii=False, preserving_proto_field_name=True)
    if out:
        out.write_text(text + "\n", "utf-8")
    else:
        click.echo(text)


def _disclosure(disclosure: document_pb2.Disclosure) -> None:
    click.echo(f"decision {disclosure.decision}  ledger {disclosure.access}", err=True)
    for part in disclosure.withheld:
        click.echo(f"  withheld {part.kind}: {part.reason}", err=True)
