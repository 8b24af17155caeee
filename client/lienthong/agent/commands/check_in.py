"""`lienthong person check-in`: the kiosk, from what was shown to what waits for the person here."""

from __future__ import annotations

import sys

import click
import grpc

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.identity.v1 import check_in_service_pb2, check_in_service_pb2_grpc, person_service_pb2


@click.command("check-in")
@click.option("--app", is_flag=True, help="What is read is an assertion of the national ID app, not a card's code.")
@click.pass_obj
def check_in(session: Session, app: bool) -> None:
    """Checks in with a card's code or the app's assertion, read from standard input as scanners type it: not an argument, which others could see."""
    shown = sys.stdin.read().strip()
    request = check_in_service_pb2.CheckInRequest()
    setattr(request, "app_assertion" if app else "code", shown)

    async def work(channel: grpc.aio.Channel) -> check_in_service_pb2.CheckInResponse:
        stub = check_in_service_pb2_grpc.CheckInServiceStub(channel)
        return await stub.CheckIn(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    outcome = person_service_pb2.ResolutionOutcome.Name(answer.resolution.outcome).removeprefix("RESOLUTION_OUTCOME_")
    click.echo(f"{outcome} {answer.resolution.person}".rstrip())
    for title, items in (
        ("consent request", answer.consent_requests),
        ("appointment", answer.appointments),
        ("referral", answer.referrals),
    ):
        for item in items:
            click.echo(f"  {title}: {item.name} {item.state}")
    for part in answer.unavailable:
        click.echo(f"  not available: {part.part} ({part.reason})")
    for warning in (*answer.warnings, *answer.resolution.warnings):
        click.echo(f"  warning: {warning}")
    if answer.resolution.ask_next:
        click.echo(f"  ask next: {', '.join(answer.resolution.ask_next)}")
    if answer.resolution.outcome != person_service_pb2.RESOLUTION_OUTCOME_MATCH:
        raise SystemExit(1)
