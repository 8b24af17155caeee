"""`lienthong guardianship`: who acts for whom. Stewards register and end it; those concerned may look at it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import grpc

from lienthong.agent.commands.officer import Officer, connection
from lienthong.agent.session import CALL_SECONDS
from lienthong.consent.v1 import guardianship_service_pb2, guardianship_service_pb2_grpc

T = TypeVar("T")
Stub = guardianship_service_pb2_grpc.GuardianshipServiceStub
_KINDS = {
    "parent": guardianship_service_pb2.GUARDIANSHIP_KIND_PARENT,
    "guardian": guardianship_service_pb2.GUARDIANSHIP_KIND_GUARDIAN,
}
_PAGE = 500
_DAY = click.DateTime(["%Y-%m-%d"])
_pass_officer = click.make_pass_decorator(Officer)


@click.group()
@connection
@click.pass_context
def guardianship(context: click.Context, /, **options: Any) -> None:
    """Who acts for a child, or for somebody who cannot act."""
    context.obj = Officer(**options)


@guardianship.command()
@click.argument("ward")
@click.argument("guardian")
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.option("--evidence", required=True, help="Code of what shows it, such as BIRTH_CERTIFICATE; never a number.")
@click.option("--from", "start", type=_DAY, default=None, help="First day (UTC); from now on where it is left out.")
@click.option("--until", "end", type=_DAY, default=None, help="Day before which it ends (UTC).")
@click.option("--request-id", default="", help="The same for a retry.")
@_pass_officer
def register(  # noqa: PLR0913 - the request's fields
    officer: Officer,
    ward: str,
    guardian: str,
    kind: str,
    evidence: str,
    start: datetime | None,
    end: datetime | None,
    request_id: str,
) -> None:
    """Registers that GUARDIAN acts for WARD (`persons/...`) as a parent or guardian."""
    wanted = guardianship_service_pb2.Guardianship(ward=ward, guardian=guardian, kind=_KINDS[kind], evidence=evidence)
    if start is not None:
        wanted.period.start_time.FromDatetime(start.replace(tzinfo=UTC))
    if end is not None:
        wanted.period.end_time.FromDatetime(end.replace(tzinfo=UTC))
    request = guardianship_service_pb2.RegisterGuardianshipRequest(
        request_id=request_id or str(uuid.uuid4()), guardianship=wanted
    )
    click.echo(
        _line(_call(officer, lambda stub: stub.RegisterGuardianship(request, timeout=CALL_SECONDS)).guardianship)
    )


@guardianship.command()
@click.argument("name")
@click.option("--reason", required=True, help="Reason code, such as COURT_DECISION; never a number.")
@_pass_officer
def end(officer: Officer, name: str, reason: str) -> None:
    """Ends NAME (`guardianships/...`) from now on."""
    request = guardianship_service_pb2.EndGuardianshipRequest(request_id=str(uuid.uuid4()), name=name, reason=reason)
    click.echo(_line(_call(officer, lambda stub: stub.EndGuardianship(request, timeout=CALL_SECONDS)).guardianship))


@guardianship.command("list")
@click.argument("person")
@_pass_officer
def list_(officer: Officer, person: str) -> None:
    """Lists what there is over PERSON (`persons/...`) or held by them, newest first."""

    async def work(stub: Stub) -> list[guardianship_service_pb2.Guardianship]:
        request = guardianship_service_pb2.ListGuardianshipsRequest(person=person, page_size=_PAGE)
        found: list[guardianship_service_pb2.Guardianship] = []
        while True:
            page = await stub.ListGuardianships(request, timeout=CALL_SECONDS)
            found += page.guardianships
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    for one in _call(officer, work):
        click.echo(_line(one))


def _line(one: guardianship_service_pb2.Guardianship) -> str:
    kind = guardianship_service_pb2.GuardianshipKind.Name(one.kind).removeprefix("GUARDIANSHIP_KIND_")
    ends = [at for at in (_time(one.period, "end_time"), _time(one, "end_time")) if at]
    until = f"  until {min(ends)}" if ends else ""
    return f"{one.name}  {kind}  {one.guardian} for {one.ward}  {one.evidence}{until}"


def _time(message: Any, field: str) -> str:
    return getattr(message, field).ToDatetime(UTC).isoformat(timespec="seconds") if message.HasField(field) else ""


def _call(officer: Officer, work: Callable[[Stub], Awaitable[T]]) -> T:
    async def on(channel: grpc.aio.Channel) -> T:
        return await work(Stub(channel))

    return officer.on_channel(on)
