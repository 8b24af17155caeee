"""`lienthong citizen`: what a person is asked, what they allow, who read, and the proof of it. With the citizen's own token."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc

from lienthong.agent.commands.officer import Officer, connection
from lienthong.agent.session import CALL_SECONDS
from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_pb2,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_pb2,
)
from lienthong.records.v1 import export_service_pb2, export_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

T = TypeVar("T")
Stub = consent_service_pb2_grpc.ConsentServiceStub
_PAGE = 500
_LINES = 1000
_EXPORT_SECONDS = 3600.0
_MOST_PAGES = 1000
_pass_citizen = click.make_pass_decorator(Officer)
_ward = click.option("--person", default="", help="Of whom, `persons/...`, for a guardian; else the caller.")


@click.group()
@connection
@click.pass_context
def citizen(context: click.Context, /, **options: Any) -> None:
    """A person's own side: requests, consents, and the ledger of accesses."""
    context.obj = Officer(**options)


@citizen.command()
@_ward
@_pass_citizen
def requests(officer: Officer, person: str) -> None:
    """Lists what facilities ask for, newest first."""
    asked = consent_service_pb2.ListConsentRequestsRequest(person=person or _person(officer), page_size=_PAGE)
    answer = _call(officer, lambda stub: stub.ListConsentRequests(asked, timeout=CALL_SECONDS))
    for one in answer.consent_requests:
        state = _name(consent_pb2.ConsentRequestState, one.state, "CONSENT_REQUEST_STATE_")
        click.echo(f"{one.name}  {state}  {one.organization}  {terms_line(one.terms)}")


@citizen.command()
@click.argument("request")
@_pass_citizen
def approve(officer: Officer, request: str) -> None:
    """Grants REQUEST (`consentRequests/...`) as it was asked."""
    granted = consent_service_pb2.GrantConsentRequest(request_id=str(uuid.uuid4()), consent_request=request)
    answer = _call(officer, lambda stub: stub.GrantConsent(granted, timeout=CALL_SECONDS))
    for one in answer.consents:
        click.echo(consent_line(one))


@citizen.command()
@click.argument("request")
@_pass_citizen
def deny(officer: Officer, request: str) -> None:
    """Refuses REQUEST (`consentRequests/...`)."""
    denied = consent_service_pb2.DenyConsentRequest(request_id=str(uuid.uuid4()), consent_request=request)
    answer = _call(officer, lambda stub: stub.DenyConsent(denied, timeout=CALL_SECONDS))
    click.echo(f"{answer.consent_request.name}  DENIED")


@citizen.command()
@_ward
@_pass_citizen
def consents(officer: Officer, person: str) -> None:
    """Lists what was allowed, newest first, and how it stands."""
    asked = consent_service_pb2.ListConsentsRequest(person=person or _person(officer), page_size=_PAGE)
    for one in _call(officer, lambda stub: stub.ListConsents(asked, timeout=CALL_SECONDS)).consents:
        click.echo(consent_line(one))


@citizen.command()
@click.argument("consent")
@_pass_citizen
def agree(officer: Officer, consent: str) -> None:
    """Agrees to CONSENT (`consents/...`), which awaits the child or the guardian."""
    agreed = consent_service_pb2.AgreeToConsentRequest(request_id=str(uuid.uuid4()), name=consent)
    click.echo(consent_line(_call(officer, lambda stub: stub.AgreeToConsent(agreed, timeout=CALL_SECONDS)).consent))


@citizen.command()
@click.argument("consent")
@_pass_citizen
def revoke(officer: Officer, consent: str) -> None:
    """Withdraws CONSENT (`consents/...`) and lists who was given data on its ground, and whether they have erased it."""

    async def work(stub: Stub) -> tuple[consent_pb2.Consent, list[consent_pb2.Recipient]]:
        withdrawn = consent_service_pb2.RevokeConsentRequest(request_id=str(uuid.uuid4()), name=consent)
        revoked = (await stub.RevokeConsent(withdrawn, timeout=CALL_SECONDS)).consent
        asked = consent_service_pb2.ListRecipientsRequest(consent=consent, page_size=_PAGE)
        return revoked, list((await stub.ListRecipients(asked, timeout=CALL_SECONDS)).recipients)

    revoked, given = _call(officer, work)
    click.echo(consent_line(revoked))
    for one in given:
        erased = f"erased {_time(one.acknowledge_time)}" if one.HasField("acknowledge_time") else "not erased yet"
        click.echo(f"  {one.organization}  last read {_time(one.last_read_time)}  {erased}")


@citizen.command()
@_ward
@_pass_citizen
def accesses(officer: Officer, person: str) -> None:
    """Lists who read or tried to, newest first."""
    of = person or _person(officer)

    async def work(channel: grpc.aio.Channel) -> list[access_ledger_service_pb2.Access]:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        asked = access_ledger_service_pb2.ListAccessesRequest(person=of, page_size=_PAGE)
        return list((await stub.ListAccesses(asked, timeout=CALL_SECONDS)).accesses)

    for one in officer.on_channel(work):
        actor = one.organization or one.acting_person or one.principal_kind
        licence = f" {one.practitioner_licence}" if one.practitioner_licence else ""
        effect = _name(decision_pb2.Effect, one.effect, "EFFECT_")
        purpose = _name(access_context_pb2.PurposeOfUse, one.purpose, "PURPOSE_OF_USE_")
        click.echo(f"{_time(one.access_time)}  {actor}{licence}  {purpose}  {effect}  {one.decision}")


@citizen.command()
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option(
    "--person", default="", help="For auditors and guardians: whose ledger, `persons/...`; else the caller's own."
)
@_pass_citizen
def ledger(officer: Officer, output: Path, person: str) -> None:
    """Keeps the whole ledger with what proves it in one file; `lienthong verify` checks it without the system."""
    from lienthong.client.ledger import LedgerProof

    of = person or _person(officer)

    async def work(channel: grpc.aio.Channel) -> list[access_ledger_service_pb2.GetLedgerProofResponse]:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        pages: list[access_ledger_service_pb2.GetLedgerProofResponse] = []
        token = ""
        while (not pages or token) and len(pages) < _MOST_PAGES:
            asked = access_ledger_service_pb2.GetLedgerProofRequest(person=of, page_size=_LINES, page_token=token)
            pages.append(await stub.GetLedgerProof(asked, timeout=CALL_SECONDS))
            token = pages[-1].next_page_token
        if token:
            raise click.ClickException("the ledger is longer than this command can keep")
        return pages

    proof = LedgerProof.of(of, officer.on_channel(work))
    output.write_text(proof.to_json(), "utf-8")
    click.echo(f"{len(proof.lines)} lines, {sum(bool(one.tlog_proof) for one in proof.anchors)} anchors: {output.name}")


def consent_line(one: consent_pb2.Consent) -> str:
    """A consent in one line: name, state, what it allows and until when."""
    state = _name(consent_pb2.ConsentState, one.state, "CONSENT_STATE_")
    return f"{one.name}  {state}  {terms_line(one.terms)}  until {_time(one.expire_time)}"


def terms_line(terms: consent_pb2.ConsentTerms) -> str:
    """What is allowed to whom, in one line."""
    grantee = terms.grantee
    to = grantee.organization or grantee.practitioner.licence or grantee.organization_class or "all who treat"
    purpose = _name(access_context_pb2.PurposeOfUse, terms.purpose, "PURPOSE_OF_USE_")
    kinds = ", ".join(_name(document_kind_pb2.DocumentKind, kind, "DOCUMENT_KIND_").lower() for kind in terms.kinds)
    return f"to {to} for {purpose}: {kinds}"


def _person(officer: Officer) -> str:
    """The person whom the token names; it is the gateway that verifies it."""
    try:
        payload = officer.token().split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(said["person"])
    except (IndexError, ValueError, KeyError) as error:
        raise click.ClickException("the token names no person") from error


def _call(officer: Officer, work: Callable[[Stub], Awaitable[T]]) -> T:
    async def on(channel: grpc.aio.Channel) -> T:
        return await work(Stub(channel))

    return officer.on_channel(on)


def _name(enum: Any, number: int, prefix: str) -> str:
    return str(enum.Name(number)).removeprefix(prefix)


def _time(at: Any) -> str:
    return str(at.ToDatetime(UTC).isoformat(timespec="seconds"))


@citizen.command()
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--person", default="", help="A ward, `persons/...`; else the caller.")
@_pass_citizen
def export(officer: Officer, output: Path, person: str) -> None:
    """Keeps a copy of all data in one sealed file; `lienthong verify` checks it without the system."""
    of = person or _person(officer)

    async def work(channel: grpc.aio.Channel) -> tuple[int, str]:
        stub = export_service_pb2_grpc.ExportServiceStub(channel)
        asked = export_service_pb2.ExportPersonDataRequest(
            person=of,
            context=access_context_pb2.AccessContext(
                purpose=access_context_pb2.PURPOSE_OF_USE_PATIENT_REQUEST,
                legal_basis=access_context_pb2.LEGAL_BASIS_OWN_DATA,
            ),
        )
        digest, size, said = hashlib.sha256(), 0, ""
        part = output.with_name(output.name + ".part")
        with part.open("wb") as opened:
            async for piece in stub.ExportPersonData(asked, timeout=_EXPORT_SECONDS):
                opened.write(piece.content)
                digest.update(piece.content)
                size, said = size + len(piece.content), piece.content_sha256 or said
        if said != digest.hexdigest():
            part.unlink()
            raise click.ClickException("EXPORT_INCOMPLETE: the stream ended early or was altered; try again")
        part.replace(output)
        return size, said

    size, digest = officer.on_channel(work)
    click.echo(f"{size} bytes, SHA-256 {digest}: {output.name}")
