"""`lienthong sign`: signatures with the facility's or a practitioner's key. The key never leaves the facility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lienthong.agent.session import Session
from lienthong.client.batch import MOST_DOCUMENTS

if TYPE_CHECKING:
    from lienthong.agent.signing.signer import Signer
    from lienthong.agent.signing.timestamping import Stamp

_INSIDE = ("xmldsig", "xades", "pades")
_BESIDE = {"cms": ".p7s", "xades-detached": ".xades", "jws": ".jws"}


@dataclass(frozen=True)
class _Manner:
    """How documents are signed: the form, and the inner table where it is not the whole document."""

    form: str
    part: str
    signer: Signer
    stamp: Stamp | None

    def sign(self, source: Path, out: Path) -> None:
        """Writes the signed document, or the document and its signature, into `out`. Raises SigningError or OSError."""
        from lienthong.agent.signing.pades import sign_pdf
        from lienthong.agent.signing.xades import sign_xades_envelope
        from lienthong.agent.signing.xmldsig import sign_envelope

        content = source.read_bytes()
        if self.form in _INSIDE:
            if self.form == "xmldsig":
                signed = sign_envelope(content, self.signer)
            elif self.form == "xades":
                signed = sign_xades_envelope(content, self.signer, stamp=self.stamp)
            else:
                signed = sign_pdf(content, self.signer, stamp=self.stamp)
            (out / source.name).write_bytes(signed)
            return
        name = f"{source.name}{'.' + self.part if self.part else ''}{_BESIDE[self.form]}"
        signature = self._beside(content, source.name)
        _copy(source, out)
        (out / name).write_bytes(signature)

    def _beside(self, content: bytes, name: str) -> bytes:
        from lienthong.agent.inner_table import inner_table
        from lienthong.agent.signing.cms import sign_detached
        from lienthong.agent.signing.jws import sign_jws
        from lienthong.agent.signing.xades import sign_xades_detached

        covered = inner_table(content, self.part) if self.part else content
        if self.form == "cms":
            return sign_detached(covered, self.signer, stamp=self.stamp)
        if self.form == "jws":
            return sign_jws(covered, self.signer)
        return sign_xades_detached(
            covered, self.signer, name=f"{self.part}.xml" if self.part else name, stamp=self.stamp
        )


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the signed documents.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*_INSIDE, *_BESIDE]),
    help="xmldsig, xades and, for PDF files, pades stand inside the document, the others beside it.  [default: xmldsig, pades for a PDF file; "
    "cms with --part]",
)
@click.option("--detached", is_flag=True, help="The same as --format cms.")
@click.option("--timestamp", is_flag=True, help="With a time-stamp of the profile's authority (level T).")
@click.option(
    "--role",
    type=click.Choice(["facility", "practitioner"]),
    default="facility",
    show_default=True,
    help="Whose key of the profile signs.",
)
@click.option("--part", default="", help="Sign one inner table only, such as XML13.")
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
def sign(
    session: Session,
    source: Path,
    out: Path,
    form: str | None,
    detached: bool,
    timestamp: bool,
    role: str,
    part: str,
    batch: bool,
    batch_size: int,
) -> None:
    """Signs SOURCE, an XML document, a PDF file, or a folder of documents of one kind. Signatures that lie beside a document already go along."""
    from lienthong.agent.signing import SigningError

    paths = _documents(source, form)
    if not paths:
        raise click.ClickException(f"{source}: no .xml or .pdf file")
    pdf = paths[0].suffix.lower() == ".pdf"
    form = form or ("cms" if detached or part else "pades" if pdf else "xmldsig")
    if part and form in _INSIDE:
        raise click.ClickException("--part needs a form that stands beside the document")
    if timestamp and (form in ("xmldsig", "jws") or batch):
        raise click.ClickException("--timestamp needs the form xades, xades-detached, pades or cms, and no batch")
    manner = _Manner(form, part, session.signer(role), session.stamp() if timestamp else None)
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    if batch:
        _in_batches(session, paths, out, batch_size, manner.signer)
    else:
        for path in paths:
            try:
                manner.sign(path, out)
                _copy_beside(path, out)
            except (SigningError, OSError) as error:
                failed += 1
                click.echo(f"{path.name}: {error}", err=True)
    click.echo(f"signed {len(paths) - failed} of {len(paths)} into {out}")
    if failed:
        raise SystemExit(1)


def _documents(source: Path, form: str | None) -> list[Path]:
    """The file, or those of the folder: its XML documents, or its PDF files where there are none or PAdES is wanted."""
    if not source.is_dir():
        return [source]
    xml = [] if form == "pades" else sorted(source.glob("*.xml"))
    return xml or sorted(source.glob("*.pdf"))


def _in_batches(session: Session, paths: Sequence[Path], out: Path, size: int, signer: Signer) -> None:
    from lienthong.agent.signing import SigningError
    from lienthong.agent.signing.batch import batches, sign_batch

    try:
        for path in paths:
            _copy(path, out)
            _copy_beside(path, out)
        for some in batches([out / path.name for path in paths], size):
            manifest = sign_batch(session.profile.facility, some, signer)
            click.echo(f"batch {manifest.batch_id}: one signature for {manifest.count} documents")
    except (SigningError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _copy(path: Path, out: Path) -> None:
    if out.resolve() != path.parent.resolve():
        (out / path.name).write_bytes(path.read_bytes())


def _copy_beside(path: Path, out: Path) -> None:
    """Takes signatures over inner tables along; those over the whole document do not survive another one inside it."""
    from lienthong.agent.sidecars import SidecarInvalid, sidecars

    try:
        for one in sidecars(path):
            if one.part and not (out / one.path.name).exists():
                _copy(one.path, out)
    except SidecarInvalid as error:
        raise OSError(str(error)) from error
