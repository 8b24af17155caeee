"""`lienthong receipt`: fetch a receipt, and check one offline with public keys only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import grpc

from lienthong.agent.answers import receipt_of
from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.agent.spool import Spool
from lienthong.client.tlog.note import NoteError
from lienthong.client.tlog.policy import PolicyInvalid, load_policy
from lienthong.client.tlog.proof import ProofMalformed
from lienthong.client.tlog.receipt import Receipt, ReceiptError, verify_receipt
from lienthong.monitor.renewal import renewed
from lienthong.monitor.source import GrpcLog
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc

_POLL_SECONDS = 0.5


@click.group()
def receipt() -> None:
    """Receipts: the proof that a document was accepted."""


@receipt.command()
@click.argument("submission")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; else the spool.")
@click.option("--wait", type=float, default=60.0, show_default=True, help="Seconds to wait for the proof of inclusion.")
@click.pass_obj
def get(session: Session, submission: str, out: Path | None, wait: float) -> None:
    """Fetches the receipt of SUBMISSION (`submissions/...` or a document id) once it is complete."""
    spool = Spool(session.profile.spool)
    if not submission.startswith("submissions/"):
        entry = spool.find(submission)
        if entry is None or not entry.submission:
            raise click.ClickException(f"{submission}: not in the spool")
        submission = entry.submission

    async def work(channel: grpc.aio.Channel) -> Receipt:
        stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while True:
            request = intake_service_pb2.GetSubmissionRequest(name=submission)
            answer = await stub.GetSubmission(request, timeout=CALL_SECONDS)
            if not answer.submission.HasField("receipt"):
                raise click.ClickException("the submission was rejected and has no receipt")
            if answer.submission.receipt.tlog_proof or loop.time() >= end:
                return receipt_of(answer.submission.receipt)
            await asyncio.sleep(_POLL_SECONDS)

    found = call(session, work)
    path = out or spool.receipt_path(submission)
    if out:
        out.write_text(found.to_json(), "utf-8")
    else:
        spool.keep_receipt(submission, found)
    click.echo(f"{path}  {'complete' if found.tlog_proof else 'promise only'}")


@receipt.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The signed document it is for."
)
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust file; else that of the profile.",
)
@click.pass_obj
def verify(session: Session, file: Path, document: Path | None, policy: Path | None) -> None:
    """Checks the receipt in FILE offline. Fails with the name of what is wrong."""
    try:
        trust = load_policy((policy or session.profile.policy).read_text("utf-8"))
        report = verify_receipt(
            Receipt.from_json(file.read_text("utf-8")), trust, document=document.read_bytes() if document else None
        )
    except ReceiptError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error
    except PolicyInvalid as error:
        raise click.ClickException(f"POLICY_INVALID: {error}") from error
    click.echo(str(report))


@receipt.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust file; else that of the profile.",
)
@click.option("--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for the quorum.")
@click.pass_obj
def renew(session: Session, file: Path, policy: Path | None, wait: float) -> None:
    """Gives the receipt in FILE a proof under the newest checkpoint that has the quorum of witnesses."""
    try:
        trust = load_policy((policy or session.profile.policy).read_text("utf-8"))
        old = Receipt.from_json(file.read_text("utf-8"))
    except ReceiptError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error
    except PolicyInvalid as error:
        raise click.ClickException(f"POLICY_INVALID: {error}") from error

    async def work(channel: grpc.aio.Channel) -> Receipt:
        loop, log = asyncio.get_running_loop(), GrpcLog(channel)
        end = loop.time() + wait
        while True:
            try:
                found = await renewed(old, log, trust)
            except ReceiptError as error:
                raise click.ClickException(f"{error.reason}: {error}") from error
            except (NoteError, ProofMalformed) as error:
                raise click.ClickException(f"CHECKPOINT_INVALID: {error}") from error
            if found is not None:
                return found
            if loop.time() >= end:
                raise click.ClickException("WITNESS_QUORUM_MISSING: no checkpoint with the quorum covers the entry yet")
            await asyncio.sleep(_POLL_SECONDS)

    found = call(session, work)
    temporary = file.with_suffix(".part")
    temporary.write_text(found.to_json(), "utf-8")
    temporary.replace(file)
    click.echo(f"{file}  renewed")
