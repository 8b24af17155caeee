"""`lienthong emergency`: reading without consent where life or health is at risk, by a practitioner (`--licence`)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from lienthong.consent.v1 import emergency_access_service_pb2_grpc

T = TypeVar("T")
Stub = emergency_access_service_pb2_grpc.EmergencyAccessServiceStub
MULTI_FACTOR = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
_PAGE = 500
_REASONS = {
    name.removeprefix("EMERGENCY_REASON_").lower().replace("_", "-"): messages.EmergencyReason.ValueType(number)
    for name, number in messages.EmergencyReason.items()
    if number
}
_text = click.option("--text", prompt="Why, in words", help="10 to 500 characters; kept sealed, shown to the person.")


@click.group()
def emergency() -> None:
    """Emergency access: the person is told at once, and every access is reviewed within 72 hours."""


@emergency.command()
@click.argument("person")
@click.option("--reason", required=True, type=click.Choice(sorted(_REASONS)))
@_text
@click.pass_obj
def request(session: Session, person: str, reason: str, text: str) -> None:
    """Opens an access to the summary of PERSON (`persons/...`)."""
    wanted = messages.RequestEmergencyAccessRequest(
        request_id=str(uuid.uuid4()), person=person, reason=_REASONS[reason], reason_text=text
    )
    answer = _call(session, lambda stub: stub.RequestEmergencyAccess(wanted, timeout=CALL_SECONDS))
    click.echo(line_of(answer.emergency_access))
    click.echo(f"to be confirmed until {time_of(answer.emergency_access.confirm_due_time)}")
    if answer.unusual:
        click.echo("more than is usual for this practitioner or facility; it will be looked at", err=True)


@emergency.command()
@click.argument("name")
@click.option(
    "--second-factor", is_flag=True, help="The practitioner was authenticated by a second factor at this moment."
)
@click.option("--acr", default=MULTI_FACTOR, show_default=True, help="What the facility says of that authentication.")
@click.pass_obj
def confirm(session: Session, name: str, second_factor: bool, acr: str) -> None:
    """Confirms the access NAME: as another practitioner, or as the same one with a second factor."""
    if second_factor:
        session.authenticated(acr, int(time.time()))
    wanted = messages.ConfirmEmergencyAccessRequest(request_id=str(uuid.uuid4()), name=name)
    answer = _call(session, lambda stub: stub.ConfirmEmergencyAccess(wanted, timeout=CALL_SECONDS))
    click.echo(line_of(answer.emergency_access))


@emergency.command()
@click.argument("name")
@click.option("--life-saving", is_flag=True, help="Sensitive classes of care are needed to save life.")
@_text
@click.pass_obj
def widen(session: Session, name: str, life_saving: bool, text: str) -> None:
    """Widens the confirmed access NAME beyond the summary, as who opened it."""
    wanted = messages.WidenEmergencyAccessRequest(
        request_id=str(uuid.uuid4()), name=name, reason_text=text, life_saving=life_saving
    )
    answer = _call(session, lambda stub: stub.WidenEmergencyAccess(wanted, timeout=CALL_SECONDS))
    click.echo(line_of(answer.emergency_access))


@emergency.command()
@click.argument("name")
@click.pass_obj
def end(session: Session, name: str) -> None:
    """Ends the access NAME before its time."""
    wanted = messages.EndEmergencyAccessRequest(request_id=str(uuid.uuid4()), name=name)
    answer = _call(session, lambda stub: stub.EndEmergencyAccess(wanted, timeout=CALL_SECONDS))
    click.echo(line_of(answer.emergency_access))


@emergency.command()
@click.argument("name")
@click.pass_obj
def show(session: Session, name: str) -> None:
    """Shows the access NAME with all that became of it."""
    wanted = messages.GetEmergencyAccessRequest(name=name)
    answer = _call(session, lambda stub: stub.GetEmergencyAccess(wanted, timeout=CALL_SECONDS))
    for line in lines_of(answer.emergency_access):
        click.echo(line)


@emergency.command("list")
@click.option("--unreviewed", is_flag=True, help="Only those that nobody has reviewed.")
@click.pass_obj
def list_(session: Session, unreviewed: bool) -> None:
    """Lists the facility's accesses, newest first."""

    async def work(stub: Stub) -> list[messages.EmergencyAccess]:
        return await every_page(stub, messages.ListEmergencyAccessesRequest(unreviewed=unreviewed, page_size=_PAGE))

    for access in _call(session, work):
        click.echo(line_of(access))


async def every_page(stub: Stub, wanted: messages.ListEmergencyAccessesRequest) -> list[messages.EmergencyAccess]:
    """The accesses of all pages."""
    found: list[messages.EmergencyAccess] = []
    while True:
        page = await stub.ListEmergencyAccesses(wanted, timeout=CALL_SECONDS)
        found += page.emergency_accesses
        wanted.page_token = page.next_page_token
        if not page.next_page_token:
            return found


def line_of(access: messages.EmergencyAccess) -> str:
    """An access in one line: name, state, when, who, where, for whom, why."""
    state = messages.EmergencyAccessState.Name(access.state).removeprefix("EMERGENCY_ACCESS_STATE_")
    why = messages.EmergencyReason.Name(access.reason).removeprefix("EMERGENCY_REASON_")
    wide = "LIFE_SAVING" if access.life_saving else "WIDENED" if access.HasField("widen_time") else "SUMMARY"
    who = f"{access.practitioner_licence} {access.organization.removeprefix('organizations/')}"
    return f"{access.name}  {state}  {wide}  {time_of(access.create_time)}  {who}  {access.person}  {why}"


def lines_of(access: messages.EmergencyAccess) -> list[str]:
    """An access in full."""
    outcome = messages.ReviewOutcome.Name(access.review_outcome).removeprefix("REVIEW_OUTCOME_")
    steps = (
        ("confirmed", access.confirm_time, access.confirming_licence),
        ("widened", access.widen_time, ""),
        ("ended", access.end_time, ""),
        ("person told", access.notify_time, ""),
        ("reviewed", access.review_time, outcome),
    )
    lines = [line_of(access), f"  why       {access.reason_text}", f"  until     {time_of(access.expire_time)}"]
    lines += [f"  {what}  {time_of(at)}  {who}".rstrip() for what, at, who in steps if at.ByteSize()]
    return [*lines, f"  reads     {access.reads}", f"  review    due {time_of(access.review_due_time)}"]


def time_of(stamp: Timestamp) -> str:
    """A time as people here read it."""
    return f"{stamp.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _call(session: Session, work: Callable[[Stub], Awaitable[T]]) -> T:
    return call(session, lambda channel: work(Stub(channel)))
