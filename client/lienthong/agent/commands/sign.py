"""`lienthong sign`: signatures with the facility's or a practitioner's key. The key never leaves the facility."""

from __future__ import annotations

from pathlib import Path

import click

from lienthong.agent.session import Session
from lienthong.client.batch import MOST_DOCUMENTS


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the signed documents.")
@click.option("--detached", is_flag=True, help="The same as --format cms.")
@click.option(
    "--batch", is_flag=True, help="One signature for many documents, each with its place in the batch beside it."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, MOST_DOCUMENTS),
    default=MOST_DOCUMENTS,
    show_default=True,
    help="Most documents under one signature.",
)
@click.pass_obj
def sign(session: Session, source: Path, out: Path, detached: bool, batch: bool, batch_size: int) -> None:
    """Signs SOURCE, an XML document or a folder of them."""
    from lienthong.agent.signing import SigningError
    from lienthong.agent.signing.batch import batches, sign_batch
    from lienthong.agent.signing.cms import sign_detached
    from lienthong.agent.signing.xmldsig import sign_envelope

    signer = session.signer()
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("*.xml")) if source.is_dir() else [source]
    if not paths:
        raise click.ClickException(f"{source}: no .xml file")
    failed = 0
    for path in paths:
        content = path.read_bytes()
        try:
            if batch or detached:
                (out / path.name).write_bytes(content)
            if detached:
                (out / (path.name + ".p7s")).write_bytes(sign_detached(content, signer))
            elif not batch:
                (out / path.name).write_bytes(sign_envelope(content, signer))
        except SigningError as error:
            failed += 1
            click.echo(f"{path.name}: {error}", err=True)
    if batch:
        try:
            for part in batches([out / path.name for path in paths], batch_size):
                manifest = sign_batch(session.profile.facility, part, signer)
                click.echo(f"batch {manifest.batch_id}: one signature for {manifest.count} documents")
        except SigningError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"signed {len(paths) - failed} of {len(paths)} into {out}")
    if failed:
        raise SystemExit(1)
