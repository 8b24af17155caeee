"""`lienthong sign`: signatures with the facility's key. The key never leaves the facility."""

from __future__ import annotations

from pathlib import Path

import click

from lienthong.agent.session import Session
from lienthong.agent.signing import Pkcs12Signer, SigningError
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the signed documents.")
@click.option(
    "--detached", is_flag=True, help="CMS signature beside the unchanged document instead of XMLDSig inside it."
)
@click.pass_obj
def sign(session: Session, source: Path, out: Path, detached: bool) -> None:
    """Signs SOURCE, an XML document or a folder of them."""
    profile = session.profile
    passphrase = profile.signing_passphrase_file.read_text("utf-8").splitlines()[0]
    signer = Pkcs12Signer(profile.signing_keystore, passphrase)
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("*.xml")) if source.is_dir() else [source]
    if not paths:
        raise click.ClickException(f"{source}: no .xml file")
    failed = 0
    for path in paths:
        content = path.read_bytes()
        try:
            if detached:
                (out / path.name).write_bytes(content)
                (out / (path.name + ".p7s")).write_bytes(sign_detached(content, signer))
            else:
                (out / path.name).write_bytes(sign_envelope(content, signer))
        except SigningError as error:
            failed += 1
            click.echo(f"{path.name}: {error}", err=True)
    click.echo(f"signed {len(paths) - failed} of {len(paths)} into {out}")
    if failed:
        raise SystemExit(1)
