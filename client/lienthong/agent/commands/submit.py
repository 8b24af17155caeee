"""`lienthong submit` and `lienthong status`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import grpc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lienthong.agent.answers import entry_of, receipt_of
from lienthong.agent.session import CALL_SECONDS, Session, call, describe
from lienthong.agent.sidecars import SidecarInvalid, by_document, sidecars
from lienthong.agent.spool import Spool, SpoolState
from lienthong.agent.submission import LARGEST_DOCUMENT, Outcome, Outgoing, Submitter, outgoing
from lienthong.client.batch import MOST_DOCUMENTS, BatchError
from lienthong.client.errors import from_rpc_error
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc, submission_pb2


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--document-id", default="", help="Id of a single document; else the file's name without its ending.")
@click.option(
    "--batch",
    type=click.IntRange(1, MOST_DOCUMENTS),
    help="First sign what has no signature yet, one signature for up to this many documents.",
)
@click.option("--again", is_flag=True, help="Send also what the spool says was accepted; the first answers come back.")
@click.pass_obj
def submit(session: Session, source: Path, document_id: str, batch: int | None, again: bool) -> None:
    """Streams SOURCE, a signed document or a folder of them. Run it again after any break: it goes on where it stopped."""
    spool = Spool(session.profile.spool)
    paths = sorted(source.glob("*.xml")) if source.is_dir() else [source]
    if document_id and len(paths) != 1:
        raise click.ClickException("--document-id needs a single document")
    done = {} if again else spool.accepted()
    large = [path for path in paths if path.stat().st_size > LARGEST_DOCUMENT]
    for path in large:
        click.echo(f"{path.name}: content: larger than {LARGEST_DOCUMENT} bytes, not sent", err=True)
    if batch:
        _sign_in_batches(session, [path for path in paths if path not in large], batch)
    documents = _described([path for path in paths if path not in large], document_id)
    todo = [document for document in documents if done.get(document.document_id) != document.content_sha256]
    counts = {SpoolState.ACCEPTED: 0, SpoolState.REJECTED: 0}
    console = Console(stderr=True)
    columns = (TextColumn("submitting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("submit", total=len(todo))

        def keep(outcomes: Sequence[Outcome]) -> None:
            entries = [entry_of(outcome) for outcome in outcomes]
            for outcome in outcomes:
                if outcome.submission is not None and outcome.submission.HasField("receipt"):
                    spool.keep_receipt(outcome.submission.name, receipt_of(outcome.submission.receipt))
                if outcome.error is not None:
                    progress.console.print(f"{outcome.outgoing.document_id}: {describe(outcome.error)}", markup=False)
            spool.record(entries)
            for entry in entries:
                counts[entry.state] += 1
            progress.advance(task, len(outcomes))

        async def work(channel: grpc.aio.Channel) -> None:
            await Submitter(channel, on_outcomes=keep).submit(todo)

        if todo:
            call(session, work)
    click.echo(
        f"accepted {counts[SpoolState.ACCEPTED]}, rejected {counts[SpoolState.REJECTED]}, "
        f"already accepted {len(documents) - len(todo)}, too large {len(large)}"
    )
    if counts[SpoolState.REJECTED] or large:
        raise SystemExit(1)


def _described(paths: Sequence[Path], document_id: str) -> list[Outgoing]:
    names: dict[Path, list[str]] = by_document(paths[0].parent, paths) if paths else {}
    try:
        return [outgoing(path, document_id, names[path]) for path in paths]
    except (SidecarInvalid, OSError) as error:
        raise click.ClickException(str(error)) from error


def _sign_in_batches(session: Session, paths: Sequence[Path], size: int) -> None:
    """Signs what has no signature. Batches of an earlier run stay as they are, so that a broken run goes on with them."""
    from lienthong.agent.signing import SigningError
    from lienthong.agent.signing.batch import batches, sign_batch

    names: dict[Path, list[str]] = by_document(paths[0].parent, paths) if paths else {}
    try:
        unsigned = [path for path in paths if not sidecars(path, names[path]) and not _is_signed(path)]
        signer = session.signer() if unsigned else None
        for part in batches(unsigned, size):
            if signer is not None:
                manifest = sign_batch(session.profile.facility, part, signer)
                click.echo(f"batch {manifest.batch_id}: one signature for {manifest.count} documents")
    except (SidecarInvalid, SigningError, BatchError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _is_signed(path: Path) -> bool:
    return b"http://www.w3.org/2000/09/xmldsig#" in path.read_bytes()


@click.command()
@click.argument("document_id", required=False)
@click.pass_obj
def status(session: Session, document_id: str | None) -> None:
    """Shows where DOCUMENT_ID stands at the system, with every step's time; without it, what the spool knows."""
    spool = Spool(session.profile.spool)
    if document_id is None:
        for entry in spool.entries():
            click.echo(f"{entry.document_id}\t{entry.state.value}\t{entry.submission}\t{entry.reason}")
        return

    async def work(channel: grpc.aio.Channel) -> submission_pb2.Submission | None:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        try:
            found = await stub.ListSubmissions(
                intake_service_pb2.ListSubmissionsRequest(document_id=document_id, page_size=1), timeout=CALL_SECONDS
            )
            if not found.submissions:
                return None
            name = found.submissions[0].name
            answer = await stub.GetSubmission(intake_service_pb2.GetSubmissionRequest(name=name), timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return answer.submission

    submission = call(session, work)
    if submission is None:
        raise click.ClickException(f"{document_id}: the system has no such document of this facility")
    click.echo(
        f"{submission.name}  {submission_pb2.SubmissionState.Name(submission.state).removeprefix('SUBMISSION_STATE_')}"
    )
    for change in submission.history:
        state = submission_pb2.SubmissionState.Name(change.state).removeprefix("SUBMISSION_STATE_")
        extra = " ".join(part for part in (change.destination, change.reason) if part)
        click.echo(f"  {change.change_time.ToJsonString()}  {state} {extra}".rstrip())
    for finding in submission.findings:
        click.echo(f"  finding {finding.table}[{finding.row}].{finding.field}: {finding.rule} {finding.reason}")
    if submission.HasField("rejection"):
        click.echo(
            f"  rejected {submission.rejection.reason}: {submission.rejection.field}: {submission.rejection.description}"
        )
    if submission.receipt.tlog_proof:
        spool.keep_receipt(submission.name, receipt_of(submission.receipt))
