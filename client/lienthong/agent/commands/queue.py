"""`lienthong queue`: documents that wait, sealed, until the gateway can be reached."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from lienthong.agent.queue import DEFAULT_MEGABYTES, QueueError, SealedQueue
from lienthong.agent.sending import QueueSender, Sent
from lienthong.agent.session import Session, describe, run
from lienthong.agent.sidecars import SidecarInvalid
from lienthong.agent.signing import SigningError
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.agent.spool import Spool
from lienthong.agent.submission import LARGEST_DOCUMENT, message, outgoing
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import submission_pb2

_SIGNED = b"http://www.w3.org/2000/09/xmldsig#"


@click.group()
def queue() -> None:
    """Documents that wait for the gateway, encrypted."""


def _queue(session: Session) -> SealedQueue:
    size = int(session.profile.queue_megabytes or DEFAULT_MEGABYTES)
    try:
        return SealedQueue(session.profile.spool, megabytes=size)
    except (QueueError, OSError) as error:
        raise click.ClickException(str(error)) from error


@queue.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def add(session: Session, paths: tuple[Path, ...]) -> None:
    """Signs what has no signature yet, and puts every document of PATHS (files, or folders of .xml) into the queue."""
    waiting = _queue(session)
    files = [file for path in paths for file in (sorted(path.glob("*.xml")) if path.is_dir() else [path])]
    added = failed = 0
    try:
        with waiting.locked():
            for file in files:
                try:
                    added += waiting.add(_message(session, file), datetime.now(UTC))
                except (QueueError, SigningError, SidecarInvalid, OSError) as error:
                    failed += 1
                    click.echo(f"{file.name}: {error}", err=True)
    except QueueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"queued {added}, waiting already {len(files) - added - failed}, not taken {failed}")
    if failed:
        raise SystemExit(1)


def _message(session: Session, file: Path) -> submission_pb2.DocumentSubmission:
    if file.stat().st_size > LARGEST_DOCUMENT:
        raise QueueError(f"larger than {LARGEST_DOCUMENT} bytes")
    found = message(outgoing(file))
    if not found.signatures and _SIGNED not in found.content:
        found.content = sign_envelope(found.content, session.signer())
    return found


@queue.command("list")
@click.pass_obj
def list_(session: Session) -> None:
    """Shows what waits, oldest first, and what the system refused."""
    spool = Spool(session.profile.spool)
    try:
        items = _queue(session).items()
    except QueueError as error:
        raise click.ClickException(str(error)) from error
    for item in items:
        entry = spool.find(item.document_id) if item.refused else None
        state = f"REFUSED\t{entry.reason if entry else ''}" if item.refused else "WAITING"
        click.echo(f"{item.document_id}\t{item.queued_at:%Y-%m-%dT%H:%M:%SZ}\t{item.size}\t{state}".rstrip())
    click.echo(f"{sum(1 for item in items if not item.refused)} waiting", err=True)


@queue.command()
@click.option("--until-empty", is_flag=True, help="Go on trying, with growing pauses, until nothing waits.")
@click.pass_obj
def send(session: Session, until_empty: bool) -> None:
    """Sends what waits. Documents go from the queue once their receipts are kept."""
    waiting, total = _queue(session), Sent()
    sender = QueueSender(
        waiting,
        Spool(session.profile.spool),
        session.channel,
        report=lambda name, error: click.echo(f"{name}: {describe(error)}", err=True),
    )

    async def work() -> None:
        with waiting.locked():
            if not until_empty:
                _add(total, await sender.send())
                return
            async for found in sender.send_until_empty():
                if isinstance(found, Sent):
                    _add(total, found)
                else:
                    text = describe(found) if isinstance(found, LienthongError) else str(found)
                    click.echo(f"not yet: {text.splitlines()[0]}", err=True)

    try:
        run(work())
    except (QueueError, asyncio.CancelledError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"accepted {total.accepted}, refused {total.refused}, waiting {total.waiting}")
    if total.refused or total.waiting:
        raise SystemExit(1)


@queue.command()
@click.argument("document_id")
@click.pass_obj
def drop(session: Session, document_id: str) -> None:
    """Shreds DOCUMENT_ID, which the system refused."""
    waiting = _queue(session)
    try:
        with waiting.locked():
            found = [item for item in waiting.items() if item.document_id == document_id and item.refused]
            for item in found:
                waiting.shred(item)
    except QueueError as error:
        raise click.ClickException(str(error)) from error
    if not found:
        raise click.ClickException(f"{document_id}: no refused document of this id is in the queue")


def _add(total: Sent, sent: Sent) -> None:
    total.accepted += sent.accepted
    total.refused += sent.refused
    total.waiting = sent.waiting
