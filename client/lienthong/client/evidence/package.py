"""Verification of an evidence package, offline: nothing is asked of anybody, and public keys are all it takes.

What is checked: the seal and its key; that the files are those of the manifest; the receipt by the keys of log, promise
and witnesses, and that it is for exactly this document; that the verdicts are of this receipt, in order; that every piece
of evidence they name is there under its hash; chains, revocation evidence and time-stamps of every signature that passed;
the CMS, batch and JWS signatures themselves; the time-stamped checkpoint. What is not: the value of an XML signature,
because canonical XML needs a library that the client wheel does not have; `lienthong verify` of the agent checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from lienthong.client.evidence import container, signed_data
from lienthong.client.evidence.certificates import fingerprint, issued, valid_at
from lienthong.client.evidence.der import DerInvalid
from lienthong.client.evidence.errors import (
    CheckpointInvalid,
    MemberMalformed,
    MemberMissing,
    ReceiptInvalid,
    SealInvalid,
    SealUntrusted,
    SignatureInvalid,
    TimestampInvalid,
)
from lienthong.client.evidence.renewals import RenewalLine, check_renewals
from lienthong.client.evidence.signatures import XADES, Rechecked, read_listed, recheck
from lienthong.client.evidence.signed_data import SignedDataInvalid
from lienthong.client.evidence.timestamps import TokenRefused, open_token
from lienthong.client.evidence.verdicts import Evidence, check_evidence, check_history, read_verdicts
from lienthong.client.tlog.checkpoint import open_checkpoint
from lienthong.client.tlog.merkle import MerkleProofInvalid, leaf_hash, verify_inclusion
from lienthong.client.tlog.note import NoteError
from lienthong.client.tlog.policy import TrustPolicy, load_policy
from lienthong.client.tlog.promise import format_time
from lienthong.client.tlog.proof import ProofMalformed, TlogProof
from lienthong.client.tlog.receipt import Receipt, ReceiptError, ReceiptReport, ReceiptState, verify_receipt
from lienthong.signing.v1 import verdict_pb2

DOCUMENT, RECEIPT = "document.xml", "receipt.json"
CHECKPOINT, CHECKPOINT_TOKEN, CHECKPOINT_PROOF = (
    "log/checkpoint.txt",
    "log/checkpoint.tst",
    "log/checkpoint.tlog-proof",
)
# What an archive time-stamp must protect at least.
_NEEDED = (DOCUMENT, RECEIPT, "signatures.json", "verdicts/1.json")
_TOLERANCE = timedelta(minutes=5)
_PASSED = verdict_pb2.INDICATION_TOTAL_PASSED


@dataclass(frozen=True)
class EvidenceTrust:
    """Public keys that a verifier trusts. `receipts` are those of log, promise and witnesses; `authorities` the roots of
    signers; `timestamp_authorities` those of time-stamps; `seals` the system's seal certificates or the authorities that
    issue nothing else.
    """

    receipts: TrustPolicy
    authorities: tuple[x509.Certificate, ...]
    timestamp_authorities: tuple[x509.Certificate, ...]
    seals: tuple[x509.Certificate, ...]

    @classmethod
    def load(cls, folder: Path) -> EvidenceTrust:
        """Reads `trust.policy`, `authorities.pem`, `timestamps.pem` and `seals.pem`. Raises OSError, PolicyInvalid,
        ValueError.
        """
        pems = [
            tuple(x509.load_pem_x509_certificates((folder / name).read_bytes()))
            for name in ("authorities.pem", "timestamps.pem", "seals.pem")
        ]
        return cls(load_policy((folder / "trust.policy").read_text("utf-8")), *pems)


@dataclass(frozen=True)
class VerdictLine:
    """One verdict in short."""

    occasion: str
    made_at: datetime
    indication: str
    sub_indication: str
    reason: str


@dataclass(frozen=True)
class SignatureLine:
    """One signature that the newest verdict judges; `rechecked` says that its value was verified here too."""

    form: str
    part: str
    certificate: str
    indication: str
    rechecked: bool


@dataclass(frozen=True)
class EvidenceReport:
    """What a valid package proves. `existed_at` is the time that a time-stamping authority states for a checkpoint that
    covers the document; None where the package has none. `renewals` are the archive time-stamps, oldest first.
    """

    receipt: ReceiptReport
    sealed_at: datetime
    seal_certificate: str
    verdicts: tuple[VerdictLine, ...]
    signatures: tuple[SignatureLine, ...]
    pieces: int
    existed_at: datetime | None
    renewals: tuple[RenewalLine, ...] = ()

    def __str__(self) -> str:
        lines = [
            str(self.receipt),
            f"  sealed       {format_time(self.sealed_at)}, certificate {self.seal_certificate}",
        ]
        for one in self.verdicts:
            said = "/".join(filter(None, (one.indication, one.sub_indication, one.reason)))
            lines.append(f"  verdict      {one.occasion} {format_time(one.made_at)}: {said}")
        for signature in self.signatures:
            over = signature.part or "the document"
            value = "verified again" if signature.rechecked else "value not verified again"
            lines.append(f"  signature    {signature.form} over {over}: {signature.indication}, {value}")
        lines.append(f"  evidence     {self.pieces} pieces, all at hand")
        if self.existed_at is not None:
            lines.append(f"  existed      before {format_time(self.existed_at)}, by a time-stamp over the log")
        lines += [f"  renewed      {format_time(one.time)}, {one.digest}" for one in self.renewals]
        return "\n".join(lines)


def verify_package(package: bytes, trust: EvidenceTrust, *, now: datetime | None = None) -> EvidenceReport:
    """Verifies a package. `now` defaults to the clock. Raises the EvidenceError whose class and `reason` name the first
    thing found wrong; no input makes it raise anything else.
    """
    at = now or datetime.now(UTC)
    members = container.unpack(package)
    seal, sealed_at = check_seal(members, trust, at)
    listing = container.read_listing(members[container.MANIFEST], container.MANIFEST)
    if listing.protected_by != container.SEAL:
        raise SealInvalid("the manifest names another seal", container.MANIFEST)
    container.check_listed(listing, members)
    container.check_complete(listing, members)
    document = _member(members, DOCUMENT)
    receipt, report = _receipt(members, trust, document, at)
    if sealed_at < report.entry.received_at - _TOLERANCE:
        raise SealUntrusted("sealed before the document was received", container.SEAL)
    verdicts = read_verdicts(members)
    check_history(verdicts, report.entry)
    evidence = Evidence(members)
    rechecked = _signatures(members, document, verdicts[-1].verdict)
    for number, one in enumerate(verdicts, 1):
        check_evidence(
            one.verdict,
            f"verdicts/{number}.json",
            evidence,
            trust.authorities,
            trust.timestamp_authorities,
            rechecked,
        )
    return EvidenceReport(
        receipt=report,
        sealed_at=sealed_at,
        seal_certificate=fingerprint(seal),
        verdicts=tuple(
            VerdictLine(
                one.occasion,
                one.create_time.ToDatetime(UTC),
                _short(verdict_pb2.Indication.Name(one.verdict.indication), "INDICATION_"),
                _short(verdict_pb2.SubIndication.Name(one.verdict.sub_indication), "SUB_INDICATION_"),
                one.verdict.reason,
            )
            for one in verdicts
        ),
        signatures=tuple(_line(one, rechecked) for one in verdicts[-1].verdict.signatures),
        pieces=len(evidence),
        renewals=tuple(check_renewals(members, _NEEDED, trust.timestamp_authorities, evidence.certificates.values())),
        existed_at=_checkpoint(members, trust, receipt, report, evidence),
    )


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        raise MemberMissing("not there", name)
    return members[name]


def check_seal(members: Mapping[str, bytes], trust: EvidenceTrust, now: datetime) -> tuple[x509.Certificate, datetime]:
    """The certificate and time of the seal over the manifest. Raises SealInvalid, SealUntrusted, MemberMissing."""
    listing, sealed = _member(members, container.MANIFEST), members.get(container.SEAL)
    if sealed is None:
        raise SealInvalid("there is none", container.SEAL)
    try:
        signed = signed_data.parse(sealed)
        certificate = signed_data.verify(signed, listing)
        claimed = signed.signing_time
        at = None if claimed is None else claimed.time()
    except (SignedDataInvalid, DerInvalid) as error:
        raise SealInvalid(str(error), container.SEAL) from error
    if at is None:
        raise SealInvalid("it states no time", container.SEAL)
    if not any(certificate == one or issued(certificate, one) for one in trust.seals):
        raise SealUntrusted("by no key that is trusted for seals", container.SEAL)
    if not valid_at(certificate, at) or at > now + _TOLERANCE:
        raise SealUntrusted("made outside the validity of its certificate", container.SEAL)
    return certificate, at


def _receipt(
    members: Mapping[str, bytes], trust: EvidenceTrust, document: bytes, now: datetime
) -> tuple[Receipt, ReceiptReport]:
    content = _member(members, RECEIPT)
    try:
        receipt = Receipt.from_json(content.decode())
        return receipt, verify_receipt(receipt, trust.receipts, document=document, now=now)
    except UnicodeDecodeError as error:
        raise MemberMalformed("not a text", RECEIPT) from error
    except ReceiptError as error:
        raise ReceiptInvalid(str(error), error.reason) from error


def _signatures(members: Mapping[str, bytes], document: bytes, verdict: verdict_pb2.Verdict) -> list[Rechecked]:
    """The signatures that were verified again; each must be one that the verdict passed, by the same certificate."""
    passed = {
        (_short(verdict_pb2.SignatureFormat.Name(one.format), "SIGNATURE_FORMAT_"), one.part): one
        for one in verdict.signatures
    }
    found = []
    for listed in read_listed(members):
        judged = passed.get((listed.form, listed.part))
        if judged is None:
            raise SignatureInvalid("no verdict is about it", listed.file)
        if judged.indication != _PASSED or listed.form == XADES:
            continue
        one = recheck(listed, document)
        if one is None:
            continue
        certificates = {
            other.signer_certificate_sha256
            for other in verdict.signatures
            if (_short(verdict_pb2.SignatureFormat.Name(other.format), "SIGNATURE_FORMAT_"), other.part)
            == (listed.form, listed.part)
        }
        if one.certificate not in certificates:
            raise SignatureInvalid("by another certificate than the verdict says", listed.file)
        found.append(one)
    return found


def _line(judged: verdict_pb2.SignatureVerdict, rechecked: Sequence[Rechecked]) -> SignatureLine:
    form = _short(verdict_pb2.SignatureFormat.Name(judged.format), "SIGNATURE_FORMAT_")
    again = any(
        (one.form, one.part, one.certificate) == (form, judged.part, judged.signer_certificate_sha256)
        for one in rechecked
    )
    indication = _short(verdict_pb2.Indication.Name(judged.indication), "INDICATION_")
    return SignatureLine(form, judged.part, judged.signer_certificate_sha256, indication, again)


def _short(name: str, prefix: str) -> str:
    short = name.removeprefix(prefix)
    return "" if short == "UNSPECIFIED" else short


def _checkpoint(
    members: Mapping[str, bytes],
    trust: EvidenceTrust,
    receipt: Receipt,
    report: ReceiptReport,
    evidence: Evidence,
) -> datetime | None:
    """Time of the time-stamp over a checkpoint that covers the entry; None where the package has none."""
    present = [name for name in (CHECKPOINT, CHECKPOINT_TOKEN, CHECKPOINT_PROOF) if name in members]
    if not present:
        return None
    checkpoint, token, proof = (_member(members, name) for name in (CHECKPOINT, CHECKPOINT_TOKEN, CHECKPOINT_PROOF))
    if report.state is not ReceiptState.LOGGED:
        raise CheckpointInvalid("the receipt is not in the log", CHECKPOINT)
    try:
        stated, _ = open_checkpoint(checkpoint.decode(), trust.receipts.logs)
        shown = TlogProof.parse(proof.decode())
        if shown.index != report.leaf_index or shown.extra != receipt.entry:
            raise CheckpointInvalid("the proof is of another entry", CHECKPOINT_PROOF)
        verify_inclusion(shown.index, stated.size, leaf_hash(receipt.entry), shown.path, stated.root)
    except (NoteError, ProofMalformed, MerkleProofInvalid, UnicodeDecodeError) as error:
        raise CheckpointInvalid(str(error), CHECKPOINT) from error
    try:
        stamp = open_token(token, trust.timestamp_authorities, evidence.certificates.values())
    except TokenRefused as error:
        raise TimestampInvalid(str(error), CHECKPOINT_TOKEN) from error
    if not stamp.covers(checkpoint):
        raise TimestampInvalid("it is not over the checkpoint", CHECKPOINT_TOKEN)
    if stamp.time < report.entry.received_at - _TOLERANCE:
        raise TimestampInvalid("it is older than the document", CHECKPOINT_TOKEN)
    return stamp.time
