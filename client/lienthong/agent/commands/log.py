"""`lienthong log`: watch the transparency log, with public keys and the public API only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import grpc

from lienthong.agent.session import Session, call
from lienthong.client.tlog.checkpoint import Checkpoint, open_checkpoint
from lienthong.client.tlog.merkle import MerkleProofInvalid, verify_consistency
from lienthong.client.tlog.note import NoteError
from lienthong.client.tlog.policy import PolicyInvalid, TrustPolicy, load_policy
from lienthong.monitor.monitor import PATIENCE, Monitor
from lienthong.monitor.source import GrpcLog
from lienthong.monitor.state import MonitorState, StateInvalid

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def log() -> None:
    """The transparency log: what every facility's documents are entered in."""


@log.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; else the terminal.")
@click.pass_obj
def checkpoint(session: Session, out: Path | None) -> None:
    """Fetches the newest checkpoint and checks who signed it."""
    trust = _trust(session, None)

    async def work(channel: grpc.aio.Channel) -> str:
        return await GrpcLog(channel).checkpoint()

    note = call(session, work)
    _opened(note, trust)
    if out:
        out.write_text(note, "utf-8")
    else:
        click.echo(note, nl=False)


@log.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.pass_obj
def consistent(session: Session, old: Path, new: Path) -> None:
    """Asks the log to prove that the checkpoint in NEW extends the one in OLD, whenever they were published."""
    trust = _trust(session, None)
    one, other = sorted((_opened(path.read_text("utf-8"), trust) for path in (old, new)), key=lambda each: each.size)
    if one.origin != other.origin:
        raise click.ClickException("LOG_UNKNOWN: the checkpoints are of different logs")

    async def work(channel: grpc.aio.Channel) -> list[bytes]:
        return list(await GrpcLog(channel).consistency(one.size, other.size))

    path = call(session, work) if 0 < one.size < other.size else []
    try:
        verify_consistency(one.size, other.size, one.root, other.root, path)
    except MerkleProofInvalid as error:
        raise click.ClickException(f"CONSISTENCY_BROKEN: from {one.size} to {other.size}: {error}") from error
    click.echo(f"consistent: {one.size} entries are the beginning of {other.size}")


@log.command()
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="State file; else in the spool.")
@click.option(
    "--receipts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of receipts; else that of the spool.",
)
@click.option("--facility", multiple=True, help="Facilities whose receipts these are; else that of the profile.")
@click.option("--policy", type=_FILE, help="Trust file; else that of the profile.")
@click.option("--patience", type=float, default=PATIENCE / timedelta(hours=1), show_default=True, help="Hours.")
@click.option("--carried-on", is_flag=True, help="The log carries on the numbers of another year's.")
@click.option("--every", type=float, help="Seconds between passes; else one pass.")
@click.pass_obj
def monitor(
    session: Session,
    state: Path | None,
    receipts: Path | None,
    facility: tuple[str, ...],
    policy: Path | None,
    patience: float,
    carried_on: bool,  # noqa: FBT001 - click passes options so
    every: float | None,
) -> None:
    """Follows the log and holds receipts against it. Ends with exit code 1 at the first alarm."""
    trust, spool = _trust(session, policy), session.profile.spool
    if receipts is None and (spool / "receipts").is_dir():
        receipts = spool / "receipts"
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def work(channel: grpc.aio.Channel) -> list[str]:
        kept = MonitorState(state or spool / "monitor.db")
        try:
            watch = Monitor(
                GrpcLog(channel),
                trust,
                kept,
                lambda: datetime.now(UTC),
                facilities=facility or (session.profile.facility,),
                receipts=receipts,
                patience=timedelta(hours=patience),
                start=None if carried_on else 1,
            )
            while True:
                raised = await watch.check()
                if raised or every is None:
                    click.echo(f"followed {kept.followed(datetime.now(UTC)).size} entries")
                    return [str(one) for one in raised]
                await asyncio.sleep(every)
        finally:
            kept.close()

    try:
        alarms = call(session, work)
    except StateInvalid as error:
        raise click.ClickException(f"STATE_INVALID: {error}") from error
    if alarms:
        raise click.ClickException("\n".join(alarms))


def _trust(session: Session, policy: Path | None) -> TrustPolicy:
    try:
        return load_policy((policy or session.profile.policy).read_text("utf-8"))
    except (PolicyInvalid, OSError) as error:
        raise click.ClickException(f"POLICY_INVALID: {error}") from error


def _opened(note: str, trust: TrustPolicy) -> Checkpoint:
    try:
        return open_checkpoint(note, trust.logs)[0]
    except NoteError as error:
        raise click.ClickException(f"CHECKPOINT_INVALID: {error}") from error
