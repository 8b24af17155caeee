"""The verdicts of a package, and the evidence that they rest on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography import x509
from google.protobuf import json_format
from google.protobuf.message import Message

from lienthong.client.evidence.certificates import (
    CertificateRefused,
    Status,
    check_chain,
    load,
    revoked_by_answer,
    revoked_by_list,
)
from lienthong.client.evidence.errors import (
    ChainInvalid,
    EvidenceAltered,
    EvidenceMissing,
    MemberMalformed,
    MemberMissing,
    RevocationInvalid,
    TimestampInvalid,
    VerdictMismatch,
)
from lienthong.client.evidence.signatures import Rechecked
from lienthong.client.evidence.timestamps import TokenRefused, open_token
from lienthong.client.tlog.receipt import LoggedEntry
from lienthong.records.v1.evidence_service_pb2 import RecordedVerdict
from lienthong.signing.v1 import verdict_pb2

_NAME = re.compile(r"verdicts/([1-9][0-9]{0,2})\.json")
_PIECE = re.compile(r"evidence/([0-9a-f]{64})\.(cer|crl|ors|tst)")
_CERTIFICATE = "cer"
RECEIVED = "RECEIVED"
_PASSED = verdict_pb2.INDICATION_TOTAL_PASSED


class Evidence:
    """The pieces of a package, by their hash."""

    def __init__(self, members: Mapping[str, bytes]) -> None:
        """Raises EvidenceAltered, MemberMalformed."""
        self._pieces: dict[str, tuple[str, bytes]] = {}
        self.certificates: dict[str, x509.Certificate] = {}
        for name, content in members.items():
            if not name.startswith("evidence/"):
                continue
            found = _PIECE.fullmatch(name)
            if found is None:
                raise MemberMalformed("not the name of a piece of evidence", name)
            sha256, kind = found[1], found[2]
            if hashlib.sha256(content).hexdigest() != sha256:
                raise EvidenceAltered("has another hash than its name", name)
            self._pieces[sha256] = kind, content
            if kind == _CERTIFICATE:
                try:
                    self.certificates[sha256] = load(content)
                except CertificateRefused as error:
                    raise MemberMalformed("not a certificate", name) from error

    def __len__(self) -> int:
        return len(self._pieces)

    def get(self, sha256: str) -> tuple[str, bytes]:
        """Kind (the suffix) and bytes. Raises EvidenceMissing."""
        if sha256 not in self._pieces:
            raise EvidenceMissing(f"{sha256} is named by a verdict and not there")
        return self._pieces[sha256]

    def certificate(self, sha256: str) -> x509.Certificate:
        """A certificate. Raises EvidenceMissing."""
        if sha256 not in self.certificates:
            raise EvidenceMissing(f"certificate {sha256} is named by a verdict and not there")
        return self.certificates[sha256]


def read_verdicts(members: Mapping[str, bytes]) -> list[RecordedVerdict]:
    """The verdicts, oldest first. Raises MemberMissing, MemberMalformed."""
    named = {int(found[1]): name for name in members if (found := _NAME.fullmatch(name))}
    if not named or sorted(named) != list(range(1, len(named) + 1)):
        raise MemberMissing("verdicts are numbered from 1 without a gap", f"verdicts/{len(named) or 1}.json")
    if sum(name.startswith("verdicts/") for name in members) != len(named):
        raise MemberMalformed("a file that is no verdict", "verdicts/")
    verdicts: list[RecordedVerdict] = []
    for number in sorted(named):
        try:
            verdicts.append(json_format.Parse(members[named[number]], RecordedVerdict(), max_recursion_depth=16))
        except (json_format.ParseError, UnicodeDecodeError) as error:
            raise MemberMalformed("not a verdict", named[number]) from error
    return verdicts


def check_history(verdicts: Sequence[RecordedVerdict], entry: LoggedEntry) -> None:
    """Raises VerdictMismatch unless the verdicts are of the receipt's document, in the order of time."""
    first = verdicts[0]
    if [one.occasion == RECEIVED for one in verdicts] != [True] + [False] * (len(verdicts) - 1):
        raise VerdictMismatch("the first verdict, and no other, is the one of the receipt", "verdicts/1.json")
    if verdict_pb2.Indication.Name(first.verdict.indication) != f"INDICATION_{entry.indication}":
        raise VerdictMismatch("the receipt names another indication", "verdicts/1.json")
    signers = {one.signer_certificate_sha256 for one in first.verdict.signatures}
    if entry.signer_certificate_sha256 not in signers:
        raise VerdictMismatch("the receipt names another signer", "verdicts/1.json")
    before = entry.received_at
    for number, one in enumerate(verdicts, 1):
        member = f"verdicts/{number}.json"
        # A receipt counts in whole seconds.
        control = _time(one.verdict, "control_time", member).replace(microsecond=0)
        made = _time(one, "create_time", member)
        if control != entry.received_at.replace(microsecond=0):
            raise VerdictMismatch("it judges another time than that of the receipt", member)
        if made < before:
            raise VerdictMismatch("it is older than what it follows", member)
        before = made


def check_evidence(
    verdict: verdict_pb2.Verdict,
    member: str,
    evidence: Evidence,
    authorities: Sequence[x509.Certificate],
    timestamp_authorities: Sequence[x509.Certificate],
    rechecked: Sequence[Rechecked],
) -> None:
    """Checks what a verdict rests on: all of it is there, and for each signature that passed, the chain at its best time,
    the revocation evidence and the time-stamps. Raises EvidenceMissing, ChainInvalid, RevocationInvalid, TimestampInvalid.
    """
    for one in verdict.signatures:
        for sha256 in one.evidence_sha256:
            evidence.get(sha256)
        if one.indication != _PASSED:
            continue
        at = _time(one, "best_signature_time", member)
        chain = [evidence.certificate(sha256) for sha256 in one.chain_sha256]
        if not chain or one.chain_sha256[0] != one.signer_certificate_sha256:
            raise ChainInvalid("the chain does not begin with the signer", member)
        try:
            check_chain(chain, authorities, at)
        except CertificateRefused as error:
            raise ChainInvalid(str(error), member) from error
        if not one.revocation.source:
            raise RevocationInvalid("a signature passed without revocation evidence", member)
        _check_revocation(one.revocation, chain, [*chain, *authorities], at, evidence, member)
        for stamp in one.timestamps:
            if stamp.valid:
                _check_timestamp(one, stamp, evidence, timestamp_authorities, rechecked, member)


def _check_revocation(
    revocation: verdict_pb2.Revocation,
    chain: Sequence[x509.Certificate],
    above: Sequence[x509.Certificate],
    at: datetime,
    evidence: Evidence,
    member: str,
) -> None:
    kind, content = evidence.get(revocation.evidence_sha256)
    issuer = next((one for one in above if one.subject == chain[0].issuer), None)
    if issuer is None:
        raise RevocationInvalid("the issuer is not there", member)
    try:
        if kind == "crl" and revocation.source == "CRL":
            status = revoked_by_list(content, chain[0], issuer)
        elif kind == "ors" and revocation.source == "OCSP":
            status = revoked_by_answer(content, chain[0], issuer)
        else:
            raise CertificateRefused("the evidence is of another kind")
    except CertificateRefused as error:
        raise RevocationInvalid(str(error), member) from error
    _check_stated(revocation, status, at, member)


def _check_stated(revocation: verdict_pb2.Revocation, status: Status, at: datetime, member: str) -> None:
    stated = [_optional(revocation, name, member) for name in ("this_update", "next_update", "revocation_time")]
    if stated != [status.this_update, status.next_update, status.revoked_at]:
        raise RevocationInvalid("the evidence states other times than the verdict", member)
    if status.revoked_at is not None and status.revoked_at <= at:
        raise RevocationInvalid("the certificate was revoked before the signature's best time", member)


def _check_timestamp(  # noqa: PLR0913 - what a token is held against
    signature: verdict_pb2.SignatureVerdict,
    stamp: verdict_pb2.TimestampVerdict,
    evidence: Evidence,
    authorities: Sequence[x509.Certificate],
    rechecked: Sequence[Rechecked],
    member: str,
) -> None:
    _, content = evidence.get(stamp.token_sha256)
    try:
        token = open_token(content, authorities, evidence.certificates.values())
    except TokenRefused as error:
        raise TimestampInvalid(str(error), member) from error
    if token.time != _time(stamp, "time", member):
        raise TimestampInvalid("the time-stamp states another time than the verdict", member)
    form = verdict_pb2.SignatureFormat.Name(signature.format).removeprefix("SIGNATURE_FORMAT_")
    values = [
        one.value
        for one in rechecked
        if (one.form, one.part, one.certificate) == (form, signature.part, signature.signer_certificate_sha256)
    ]
    # What a time-stamp inside an XML signature covers is canonical XML; that stays with the verdict.
    if values and not any(token.covers(value) for value in values):
        raise TimestampInvalid("the time-stamp is not over the signature", member)


def _time(message: Message, field: str, member: str) -> datetime:
    at = _optional(message, field, member)
    if at is None:
        raise VerdictMismatch(f"{field} is missing", member)
    return at


def _optional(message: Message, field: str, member: str) -> datetime | None:
    if not message.HasField(field):
        return None
    try:
        at: datetime = getattr(message, field).ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise MemberMalformed(f"{field} is not a time", member) from error
    return at
