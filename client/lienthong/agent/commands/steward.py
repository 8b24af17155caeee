"""`lienthong steward`: the desk of the identity stewards: reviews with their waterfall, links, refusals and their history."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any, TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from lienthong.agent.commands.officer import Officer, connection
from lienthong.agent.commands.waterfall import candidate_lines
from lienthong.agent.session import CALL_SECONDS
from lienthong.identity.v1 import person_link_pb2, person_link_service_pb2, person_link_service_pb2_grpc

T = TypeVar("T")
Stub = person_link_service_pb2_grpc.PersonLinkServiceStub
_DECISIONS = {
    "same": person_link_pb2.REVIEW_DECISION_SAME,
    "different": person_link_pb2.REVIEW_DECISION_DIFFERENT,
    "unclear": person_link_pb2.REVIEW_DECISION_UNCLEAR,
}
_PREFIXES = ("REVIEW_TASK_STATE_", "REVIEW_REASON_", "PERSON_LINK_STATE_", "LINK_EVENT_KIND_", "LINK_METHOD_")
_PAGE = 500
_reason = click.option("--reason", required=True, help="Reason code, such as SAME_PERSON or TWINS; never a name.")


class Desk(Officer):
    """How a steward reaches the desk."""

    def call(self, work: Callable[[Stub], Awaitable[T]]) -> T:
        """Does the work at the desk."""
        return self.on_channel(lambda channel: work(Stub(channel)))


_pass_desk = click.make_pass_decorator(Desk)


@click.group()
@connection
@click.pass_context
def steward(context: click.Context, /, **options: Any) -> None:
    """Who is one human being and who is not, decided by people."""
    context.obj = Desk(**options)


@steward.command()
@click.option("--facility", default="", help="Only tasks of this facility's documents, such as 01001.")
@_pass_desk
def reviews(desk: Desk, facility: str) -> None:
    """Lists what waits, most documents first: task, state, why, documents, candidates, best score."""
    organization = f"organizations/{facility}" if facility else ""

    async def work(stub: Stub) -> list[person_link_pb2.ReviewTask]:
        request = person_link_service_pb2.ListReviewTasksRequest(organization=organization, page_size=_PAGE)
        tasks: list[person_link_pb2.ReviewTask] = []
        while True:
            page = await stub.ListReviewTasks(request, timeout=CALL_SECONDS)
            tasks += page.tasks
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return tasks

    for task in desk.call(work):
        best = max((candidate.score for candidate in task.candidates), default=0.0)
        state = _short(person_link_pb2.ReviewTaskState.Name(task.state))
        why = _short(person_link_pb2.ReviewReason.Name(task.reason))
        waiting = f"{task.documents_waiting} documents  {len(task.candidates)} candidates"
        click.echo(f"{task.name}  {state}  {why}  {waiting}  {best:+.1f} bits")


@steward.command()
@click.argument("name", default="")
@_pass_desk
def claim(desk: Desk, name: str) -> None:
    """Claims the task NAME, or the next one, for half an hour, and shows both sides and the waterfall of every candidate."""
    request = person_link_service_pb2.ClaimReviewTaskRequest(request_id=str(uuid.uuid4()), name=name)

    async def work(stub: Stub) -> person_link_service_pb2.ClaimReviewTaskResponse:
        return await stub.ClaimReviewTask(request, timeout=CALL_SECONDS)

    answer = desk.call(work)
    if not answer.HasField("task"):
        click.echo("nothing waits")
        return
    task = answer.task
    click.echo(
        f"{task.name}  {_short(person_link_pb2.ReviewReason.Name(task.reason))}  {task.documents_waiting} documents  etag {task.etag}"
    )
    click.echo(f"claimed until {_time(task.claim_expire_time)}" + ("  two stewards look" * task.double_review))
    click.echo(f"subject {task.person}")
    for candidate in task.candidates:
        for line in candidate_lines(candidate):
            click.echo(line)


@steward.command()
@click.argument("name")
@click.argument("decision", type=click.Choice(list(_DECISIONS)))
@click.option("--person", default="", help="For same: the candidate, `persons/{uuid}`.")
@click.option("--etag", default="", help="As `claim` showed it.")
@_reason
@_pass_desk
def decide(desk: Desk, name: str, decision: str, person: str, etag: str, reason: str) -> None:
    """Decides the claimed task NAME. Prints its state, and the link that was made."""
    request = person_link_service_pb2.DecideReviewTaskRequest(
        request_id=str(uuid.uuid4()),
        name=name,
        etag=etag,
        decision=_DECISIONS[decision],
        person=person,
        reason=reason,
    )

    async def work(stub: Stub) -> person_link_service_pb2.DecideReviewTaskResponse:
        return await stub.DecideReviewTask(request, timeout=CALL_SECONDS)

    answer = desk.call(work)
    click.echo(f"{_short(person_link_pb2.ReviewTaskState.Name(answer.task.state))} {answer.link}".rstrip())


@steward.command()
@_pass_desk
def statistics(desk: Desk) -> None:
    """Shows what waits, how long tasks took in the last 30 days, and how often two stewards agreed."""

    async def work(stub: Stub) -> person_link_service_pb2.GetReviewStatisticsResponse:
        request = person_link_service_pb2.GetReviewStatisticsRequest()
        return await stub.GetReviewStatistics(request, timeout=CALL_SECONDS)

    found = desk.call(work)
    click.echo(f"waiting {found.open_count}, decided {found.decided_count}, median {found.median_hours:.1f} h")
    click.echo(f"looked at twice {found.double_review_count}, agreed {found.agreed_count}")


@steward.command()
@click.argument("person")
@click.argument("target")
@click.option(
    "--override-refusal", is_flag=True, help="Link what was found to be different; the refusal is taken back."
)
@_reason
@_pass_desk
def link(desk: Desk, person: str, target: str, override_refusal: bool, reason: str) -> None:
    """PERSON will answer with TARGET. Prints PROPOSED where another steward has to make the same call."""
    request = person_link_service_pb2.LinkPersonsRequest(
        request_id=str(uuid.uuid4()), person=person, target=target, reason=reason, override_refusal=override_refusal
    )

    async def work(stub: Stub) -> person_link_service_pb2.LinkPersonsResponse:
        return await stub.LinkPersons(request, timeout=CALL_SECONDS)

    made = desk.call(work).link
    click.echo(
        f"{_short(person_link_pb2.PersonLinkState.Name(made.state))} {made.name}  {made.person} -> {made.target}"
    )


@steward.command()
@click.argument("name")
@click.option("--etag", default="")
@_reason
@_pass_desk
def unlink(desk: Desk, name: str, etag: str, reason: str) -> None:
    """Takes the link NAME back, or declines it, and prints the tasks for what was filed meanwhile."""
    request = person_link_service_pb2.UnlinkPersonsRequest(
        request_id=str(uuid.uuid4()), name=name, etag=etag, reason=reason
    )

    async def work(stub: Stub) -> person_link_service_pb2.UnlinkPersonsResponse:
        return await stub.UnlinkPersons(request, timeout=CALL_SECONDS)

    answer = desk.call(work)
    click.echo(f"{_short(person_link_pb2.PersonLinkState.Name(answer.link.state))} {answer.link.name}")
    for task in answer.review_tasks:
        click.echo(f"  {task}")
    if answer.link.state == person_link_pb2.PERSON_LINK_STATE_UNLINKED:
        click.echo(f"who read meanwhile: lienthong steward consequences {answer.link.name}")


@steward.command()
@click.argument("person")
@click.argument("other")
@click.option("--withdraw", is_flag=True, help="Take a refusal back.")
@_reason
@_pass_desk
def refuse(desk: Desk, person: str, other: str, withdraw: bool, reason: str) -> None:
    """Remembers that PERSON and OTHER are two human beings: no machine links them again."""
    request = person_link_service_pb2.RefuseLinkRequest(
        request_id=str(uuid.uuid4()), person=person, other_person=other, reason=reason, withdraw=withdraw
    )

    async def work(stub: Stub) -> person_link_service_pb2.RefuseLinkResponse:
        return await stub.RefuseLink(request, timeout=CALL_SECONDS)

    click.echo(_event_line(desk.call(work).event))


@steward.command()
@click.argument("person")
@_pass_desk
def events(desk: Desk, person: str) -> None:
    """Lists the history of links of PERSON, oldest first."""

    async def work(stub: Stub) -> list[person_link_pb2.LinkEvent]:
        request = person_link_service_pb2.ListLinkEventsRequest(person=person, page_size=_PAGE)
        found: list[person_link_pb2.LinkEvent] = []
        while True:
            page = await stub.ListLinkEvents(request, timeout=CALL_SECONDS)
            found += page.events
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    for event in desk.call(work):
        click.echo(_event_line(event))


@steward.command()
@click.argument("name")
@_pass_desk
def consequences(desk: Desk, name: str) -> None:
    """Lists who read what the link NAME made readable: when, facility, whose data, line of the access ledger."""

    async def work(stub: Stub) -> list[person_link_pb2.LinkConsequence]:
        request = person_link_service_pb2.ListLinkConsequencesRequest(name=name, page_size=_PAGE)
        found: list[person_link_pb2.LinkConsequence] = []
        while True:
            page = await stub.ListLinkConsequences(request, timeout=CALL_SECONDS)
            found += page.consequences
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    for one in desk.call(work):
        click.echo(f"{_time(one.read_time)}  {one.organization or '-'}  {one.person}  {one.access}")


def _event_line(event: person_link_pb2.LinkEvent) -> str:
    kind = _short(person_link_pb2.LinkEventKind.Name(event.kind))
    method = _short(person_link_pb2.LinkMethod.Name(event.method))
    score = f"{event.score:+.1f} bits {event.model_version}" if event.HasField("score") else ""
    shown = [_time(event.event_time), kind, f"{event.person} -> {event.target}", method, event.actor, event.reason]
    return "  ".join(part for part in [*shown, score, event.link, event.source_record] if part)


def _time(stamp: Timestamp) -> str:
    return f"{stamp.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _short(name: str) -> str:
    """A value of an enum as people read it."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name
