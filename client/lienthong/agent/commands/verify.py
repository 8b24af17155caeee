"""`lienthong verify`: what a signed file, a receipt, an evidence package, a ledger or a person's copy proves, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.agent.sidecars import Sidecar, SidecarInvalid, named, sidecars

if TYPE_CHECKING:
    import grpc

    from lienthong.signing.v1 import verdict_pb2, verification_service_pb2

LARGEST_FILE = 16 * 1024 * 1024
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TRUST_FILES = "trust.policy, authorities.pem, timestamps.pem and seals.pem"


@click.command()
@click.argument("file", type=_FILE)
@click.option("--signature", "extra", multiple=True, type=_FILE, help="A signature that does not lie beside FILE.")
@click.option("--document", type=_FILE, help="For a receipt: the document that it is for.")
@click.option("--earlier", type=_FILE, help="For a ledger: a copy of before, which this one must go on from.")
@click.option("--facility", default="", help="In whose name the file was signed; else the profile's facility.")
@click.option(
    "--trust",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=f"For all but signed files: folder with {_TRUST_FILES}; else that of the profile's policy.",
)
@click.option("--language", type=click.Choice(["en", "vi"]), default="en", show_default=True)
@click.pass_obj
def verify(
    session: Session,
    file: Path,
    extra: tuple[Path, ...],
    document: Path | None,
    earlier: Path | None,
    facility: str,
    trust: Path | None,
    language: str,
) -> None:
    """Explains what FILE proves: a receipt, an evidence package, a ledger or a person's copy offline, a signed document by asking the system.

    Ends with 0 when it holds, and 1 when it does not.
    """
    if _is_export(file):
        _export(file, trust or session.profile.policy.parent)
        return
    with file.open("rb") as opened:
        content = opened.read(LARGEST_FILE * 2 + 1)
    if content.startswith(b"PK\x03\x04"):
        _package(content, trust or session.profile.policy.parent)
    elif content.lstrip()[:1] == b"{" and b'"lienthong_receipt"' in content:
        _receipt(content, document, (trust / "trust.policy") if trust else session.profile.policy)
    elif content.lstrip()[:1] == b"{" and b'"lienthong_ledger"' in content[:64]:
        _ledger(content, earlier, (trust / "trust.policy") if trust else session.profile.policy)
    elif len(content) > LARGEST_FILE:
        raise click.ClickException(f"{file.name}: more than {LARGEST_FILE} bytes")
    else:
        _signed(session, file, content, extra, facility, language)


def _is_export(file: Path) -> bool:
    with file.open("rb") as opened:
        if opened.read(4) != b"PK\x03\x04":
            return False
    from lienthong.client.evidence import is_export

    return is_export(file)


def _export(file: Path, folder: Path) -> None:
    from lienthong.client.evidence import EvidenceError, EvidenceTrust, verify_export
    from lienthong.client.tlog.policy import PolicyInvalid

    try:
        trust = EvidenceTrust.load(folder)
    except (OSError, ValueError, PolicyInvalid) as error:
        raise click.ClickException(f"TRUST_INVALID: {folder} needs {_TRUST_FILES} ({type(error).__name__})") from error
    try:
        click.echo(str(verify_export(file, trust)))
    except EvidenceError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error


def _package(content: bytes, folder: Path) -> None:
    from lienthong.client.evidence import EvidenceError, EvidenceTrust, verify_package
    from lienthong.client.tlog.policy import PolicyInvalid

    try:
        trust = EvidenceTrust.load(folder)
    except (OSError, ValueError, PolicyInvalid) as error:
        raise click.ClickException(f"TRUST_INVALID: {folder} needs {_TRUST_FILES} ({type(error).__name__})") from error
    try:
        click.echo(str(verify_package(content, trust)))
    except EvidenceError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error


def _receipt(content: bytes, document: Path | None, policy: Path) -> None:
    from lienthong.client.tlog.policy import PolicyInvalid, load_policy
    from lienthong.client.tlog.receipt import Receipt, ReceiptError, verify_receipt

    try:
        trust = load_policy(policy.read_text("utf-8"))
        given = document.read_bytes() if document else None
        click.echo(str(verify_receipt(Receipt.from_json(content.decode("utf-8", "replace")), trust, document=given)))
    except ReceiptError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error
    except PolicyInvalid as error:
        raise click.ClickException(f"POLICY_INVALID: {error}") from error


def _ledger(content: bytes, earlier: Path | None, policy: Path) -> None:
    from lienthong.client.ledger import LedgerError, LedgerProof, LedgerProofMalformed, verify_ledger
    from lienthong.client.tlog.policy import PolicyInvalid, load_policy

    try:
        trust = load_policy(policy.read_text("utf-8"))
        before = LedgerProof.from_json(earlier.read_text("utf-8")) if earlier else None
        click.echo(str(verify_ledger(LedgerProof.from_json(content.decode("utf-8", "replace")), trust, earlier=before)))
    except LedgerProofMalformed as error:
        raise click.ClickException(f"LEDGER_MALFORMED: {error}") from error
    except LedgerError as error:
        raise click.ClickException(f"{error.reason}: {error}") from error
    except PolicyInvalid as error:
        raise click.ClickException(f"POLICY_INVALID: {error}") from error


def _signed(
    session: Session, file: Path, content: bytes, extra: tuple[Path, ...], facility: str, language: str
) -> None:
    from lienthong.agent.explanation import explain
    from lienthong.agent.inner_table import inner_table
    from lienthong.agent.signing import SigningError
    from lienthong.signing.v1 import (
        validation_service_pb2,
        validation_service_pb2_grpc,
        verdict_pb2,
    )

    try:
        beside = [*sidecars(file), *(named(path, file) for path in extra)]
        whole = [_carried(one) for one in beside if not one.part]
        # What was signed of a part are its decoded bytes, so it is judged as a file of its own.
        parts = {one.part: inner_table(content, one.part) for one in beside if one.part}
        carried = {part: [_carried(one) for one in beside if one.part == part] for part in sorted(parts)}
    except (SidecarInvalid, SigningError) as error:
        raise click.ClickException(str(error)) from error
    inside = _inside(content)
    if whole and not (b"SignatureValue" in content or b"/ByteRange" in content):
        # A file without a signature inside is judged by those beside it alone.
        inside = verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED
    in_whose_name = facility or session.profile.facility
    requests = {
        "": validation_service_pb2.ValidateSignaturesRequest(
            content=content, format=inside, signatures=whole, facility=in_whose_name
        )
    }
    for part, signatures in carried.items():
        requests[part] = validation_service_pb2.ValidateSignaturesRequest(
            content=parts[part], signatures=signatures, facility=in_whose_name
        )

    async def ask(channel: grpc.aio.Channel) -> dict[str, verdict_pb2.Verdict]:
        stub = validation_service_pb2_grpc.ValidationServiceStub(channel)
        return {
            part: (await stub.ValidateSignatures(request, timeout=CALL_SECONDS)).verdict
            for part, request in requests.items()
        }

    verdicts = call(session, ask)
    for part, verdict in verdicts.items():
        for signature in verdict.signatures:
            signature.part = part
        click.echo((f"\n{part}\n" if part else "") + explain(verdict, now=datetime.now(UTC), language=language))
    if any(verdict.indication != verdict_pb2.INDICATION_TOTAL_PASSED for verdict in verdicts.values()):
        raise click.exceptions.Exit(1)


def _inside(content: bytes) -> verdict_pb2.SignatureFormat.ValueType:
    """Form of a signature that the file itself may hold."""
    from lienthong.signing.v1 import verdict_pb2

    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:5]
    if start.startswith(b"%PDF-"):
        return verdict_pb2.SIGNATURE_FORMAT_PADES
    if start.startswith(b"<"):
        return verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED
    return verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED


def _carried(one: Sidecar) -> verification_service_pb2.CarriedSignature:
    from lienthong.agent.submission import membership_of
    from lienthong.signing.v1 import verdict_pb2, verification_service_pb2

    return verification_service_pb2.CarriedSignature(
        format=verdict_pb2.SignatureFormat.Value(f"SIGNATURE_FORMAT_{one.form}"),
        content=one.content,
        batch=membership_of(one),
    )
