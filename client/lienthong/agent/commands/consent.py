"""`lienthong consent`: ask a citizen through the national ID app."""

from __future__ import annotations

import asyncio
import uuid

import click
import grpc
from google.protobuf.duration_pb2 import Duration

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.consent.v1 import consent_pb2, consent_service_pb2, consent_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

_KINDS = {
    name.removeprefix("DOCUMENT_KIND_").lower().replace("_", "-"): document_kind_pb2.DocumentKind.ValueType(number)
    for name, number in document_kind_pb2.DocumentKind.items()
    if number
}
_SENSITIVE = frozenset({"hiv-care"})
_POLL_SECONDS = 1.0


@click.group()
def consent() -> None:
    """Consent of citizens."""


@consent.command()
@click.argument("person")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(sorted(_KINDS)),
    help="Kind of content; all but sensitive ones when not given.",
)
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True)
@click.option("--wait", type=float, default=0.0, help="Seconds to wait for the citizen's answer.")
@click.pass_obj
def request(session: Session, person: str, kinds: tuple[str, ...], days: int, wait: float) -> None:
    """Asks PERSON (`persons/...`) to let this facility read for treatment."""
    wanted = kinds or tuple(sorted(_KINDS.keys() - _SENSITIVE))
    terms = consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT,
        kinds=[_KINDS[kind] for kind in wanted],
        permission_duration=Duration(seconds=days * 86400),
        grantee=consent_pb2.Grantee(organization=f"organizations/{session.profile.facility}"),
    )

    async def work(channel: grpc.aio.Channel) -> consent_pb2.ConsentRequest:
        stub = consent_service_pb2_grpc.ConsentServiceStub(channel)
        asked = await stub.RequestConsent(
            consent_service_pb2.RequestConsentRequest(request_id=str(uuid.uuid4()), person=person, terms=terms),
            timeout=CALL_SECONDS,
        )
        found = asked.consent_request
        click.echo(f"{found.name}  shown in the app: {found.binding_message}")
        end = asyncio.get_running_loop().time() + wait
        while found.state == consent_pb2.CONSENT_REQUEST_STATE_PENDING and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_POLL_SECONDS)
            named = consent_service_pb2.GetConsentRequestRequest(name=found.name)
            found = (await stub.GetConsentRequest(named, timeout=CALL_SECONDS)).consent_request
        return found

    found = call(session, work)
    click.echo(
        f"{consent_pb2.ConsentRequestState.Name(found.state).removeprefix('CONSENT_REQUEST_STATE_')} {found.consent}".rstrip()
    )
