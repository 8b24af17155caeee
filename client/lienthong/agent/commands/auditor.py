"""`lienthong auditor`: the desk of the auditors: emergency accesses to review, and what is counted of them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from lienthong.agent.commands.emergency import every_page, line_of, lines_of, time_of
from lienthong.agent.commands.officer import Officer, connection
from lienthong.agent.session import CALL_SECONDS
from lienthong.consent.v1 import emergency_access_service_pb2 as messages
from lienthong.consent.v1 import emergency_access_service_pb2_grpc

T = TypeVar("T")
Stub = emergency_access_service_pb2_grpc.EmergencyAccessServiceStub
_PAGE = 500
_OUTCOMES = {
    "justified": messages.REVIEW_OUTCOME_JUSTIFIED,
    "unjustified": messages.REVIEW_OUTCOME_UNJUSTIFIED,
}
_facility = click.option("--facility", default="", help="Only of this facility, such as 01001.")
_pass_officer = click.make_pass_decorator(Officer)


@click.group()
@connection
@click.pass_context
def auditor(context: click.Context, /, **options: Any) -> None:
    """Looks at what was done where nobody was asked."""
    context.obj = Officer(**options)


@auditor.group()
def emergency() -> None:
    """Emergency accesses: every one is reviewed within 72 hours."""


@emergency.command("list")
@_facility
@click.option("--all", "everything", is_flag=True, help="Those that were reviewed, too.")
@_pass_officer
def list_(officer: Officer, facility: str, everything: bool) -> None:
    """Lists what is to be reviewed, longest due first, and when it is due."""

    async def work(stub: Stub) -> list[messages.EmergencyAccess]:
        wanted = messages.ListEmergencyAccessesRequest(
            unreviewed=not everything, organization=_organization(facility), page_size=_PAGE
        )
        return await every_page(stub, wanted)

    for access in _call(officer, work):
        click.echo(f"{line_of(access)}  due {time_of(access.review_due_time)}")


@emergency.command()
@click.argument("name")
@_pass_officer
def show(officer: Officer, name: str) -> None:
    """Shows the access NAME with the reason given and all that became of it."""
    wanted = messages.GetEmergencyAccessRequest(name=name)
    answer = _call(officer, lambda stub: stub.GetEmergencyAccess(wanted, timeout=CALL_SECONDS))
    for line in lines_of(answer.emergency_access):
        click.echo(line)


@emergency.command()
@click.argument("name")
@click.argument("outcome", type=click.Choice(list(_OUTCOMES)))
@click.option("--finding", prompt="Finding, in words", help="10 to 2000 characters; kept sealed.")
@_pass_officer
def review(officer: Officer, name: str, outcome: str, finding: str) -> None:
    """Keeps what was found of the access NAME; the person is told that it was reviewed."""
    wanted = messages.ReviewEmergencyAccessRequest(
        request_id=str(uuid.uuid4()), name=name, outcome=_OUTCOMES[outcome], finding=finding
    )
    answer = _call(officer, lambda stub: stub.ReviewEmergencyAccess(wanted, timeout=CALL_SECONDS))
    found = messages.ReviewOutcome.Name(answer.emergency_access.review_outcome).removeprefix("REVIEW_OUTCOME_")
    click.echo(f"{answer.emergency_access.name}  {found}")


@emergency.command()
@_facility
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True)
@_pass_officer
def statistics(officer: Officer, facility: str, days: int) -> None:
    """Counts by facility, or of one facility and its practitioners, most accesses first."""

    async def work(stub: Stub) -> list[messages.EmergencyAccessCounts]:
        wanted = messages.GetEmergencyAccessStatisticsRequest(
            days=days, organization=_organization(facility), page_size=_PAGE
        )
        found: list[messages.EmergencyAccessCounts] = []
        while True:
            page = await stub.GetEmergencyAccessStatistics(wanted, timeout=CALL_SECONDS)
            found += page.counts
            wanted.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    for one in _call(officer, work):
        who = f"{one.organization.removeprefix('organizations/')} {one.practitioner_licence}".rstrip()
        counts = ("opened", "unconfirmed", "widened", "reviewed", "unjustified", "overdue")
        shown = "  ".join(f"{name} {getattr(one, name)}" for name in counts)
        click.echo(f"{who}  {shown}  over the median {one.over_median:.1f}")


def _organization(facility: str) -> str:
    return f"organizations/{facility}" if facility else ""


def _call(officer: Officer, work: Callable[[Stub], Awaitable[T]]) -> T:
    return officer.on_channel(lambda channel: work(Stub(channel)))
