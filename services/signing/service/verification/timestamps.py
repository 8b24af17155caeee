"""RFC 3161 time-stamps: what a token proves about the bytes it is said to cover. `rfc3161-client` checks imprint, signature
and form; path, purpose, algorithms and revocation of the authority are ours, from the trust list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from rfc3161_client import TimeStampResponse, VerificationError, VerifierBuilder, decode_timestamp_response

from services.signing import certificates
from services.signing.certificates import Path, PathCache
from services.signing.formats.facts import Finding
from services.signing.model import Evidence, EvidenceKind, RevocationStatus, TimestampVerdict
from services.signing.policy import SignaturePolicy
from services.signing.service.verification.revocation import decide, statements
from services.signing.service.verification.trust import Trust

LARGEST_TOKEN = 32 * 1024
"""Longest token that is looked at, in bytes."""
_AHEAD = timedelta(minutes=5)
_GRANTED = bytes.fromhex("3003020100")
"""PKIStatusInfo `granted`, which makes an answer of a bare token (RFC 3161 §2.4.2)."""
_COMPROMISES = frozenset({"keyCompromise", "cACompromise", "aACompromise"})


class TimestampRefused(Exception):
    """A token that proves nothing; `reason` is a stable UPPER_SNAKE name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class JudgedTimestamp:
    """A verdict on a token with the evidence it rests on."""

    verdict: TimestampVerdict
    evidence: Sequence[Evidence] = ()
    used: Sequence[str] = ()


def judge_timestamp(
    token: bytes,
    covered: bytes,
    received_at: datetime,
    now: datetime,
    trust: Trust,
    policy: SignaturePolicy,
    paths: PathCache,
) -> JudgedTimestamp:
    """Judges a token (DER) over `covered`. Never raises: what does not hold has a reason, and proves no time."""
    refused = TimestampVerdict(hashlib.sha256(token).hexdigest())
    try:
        answer = _parsed(token)
        info = answer.tst_info
        stated = info.gen_time.replace(tzinfo=UTC) if info.gen_time.tzinfo is None else info.gen_time.astimezone(UTC)
        refused = replace(refused, at=stated)
        authority = _authority(answer)
        refused = replace(refused, authority_fingerprint=certificates.fingerprint(authority))
        path = _trusted(authority, stated, trust, policy, paths)
        _verify(answer, covered, path)
        used = _unrevoked(path, stated, now, trust, policy)
        at = stated + _accuracy(answer)
        if at > received_at + _AHEAD:
            raise TimestampRefused("TIMESTAMP_IN_FUTURE")
    except TimestampRefused as error:
        return JudgedTimestamp(replace(refused, reason=error.reason))
    evidence = [
        Evidence.of(EvidenceKind.TIMESTAMP_TOKEN, token),
        *(Evidence.of(EvidenceKind.CERTIFICATE, one) for one in path.encoded),
    ]
    return JudgedTimestamp(replace(refused, at=at), evidence, [one.sha256 for one in used if one.sha256])


def _parsed(token: bytes) -> TimeStampResponse:
    if len(token) > LARGEST_TOKEN:
        raise TimestampRefused("TIMESTAMP_TOO_LARGE")
    content = _GRANTED + token
    length = len(content)
    head = (
        bytes([length])
        if length < 0x80
        else (b"\x81" if length < 0x100 else b"\x82") + length.to_bytes(1 if length < 0x100 else 2, "big")
    )
    try:
        answer = decode_timestamp_response(b"\x30" + head + content)
        if answer.time_stamp_token() != token:
            raise TimestampRefused("TIMESTAMP_UNREADABLE")
        answer.tst_info  # noqa: B018 - parses it, so that a malformed one shows here
    except (ValueError, OverflowError) as error:
        raise TimestampRefused("TIMESTAMP_UNREADABLE") from error
    return answer


def _authority(answer: TimeStampResponse) -> x509.Certificate:
    """The certificate of the one signer, which the token carries."""
    try:
        signers = list(answer.signed_data.signer_infos)
        if len(signers) != 1:
            raise TimestampRefused("TIMESTAMP_SIGNERS")
        for der in answer.signed_data.certificates:
            certificate = certificates.load(der)
            if (certificate.issuer, certificate.serial_number) == (signers[0].issuer, signers[0].serial_number):
                return certificate
    except (Finding, ValueError) as error:
        raise TimestampRefused("TIMESTAMP_UNREADABLE") from error
    raise TimestampRefused("TIMESTAMP_WITHOUT_CERTIFICATE")


def _trusted(
    authority: x509.Certificate, at: datetime, trust: Trust, policy: SignaturePolicy, paths: PathCache
) -> Path:
    anchors = trust.timestamping
    try:
        certificates.check_algorithms(authority)
        certificates.check_timestamping(authority)
        path = paths.find(authority, anchors.roots, anchors.intermediates, at, -trust.generation, anchors.sunsets)
        for used in path.algorithms:
            policy.check_algorithm(used.name, used.key_bits, at, used.produced_after)
    except Finding as finding:
        raise TimestampRefused(f"TIMESTAMP_{finding.reason}") from finding
    return path


def _verify(answer: TimeStampResponse, covered: bytes, path: Path) -> None:
    *others, root = path.certificates
    builder = VerifierBuilder(tsa_certificate=others[0], intermediates=list(others[1:]), roots=[root])
    try:
        builder.build().verify_message(answer, covered)
    except (VerificationError, ValueError, x509.InvalidVersion) as error:
        raise TimestampRefused("TIMESTAMP_IMPRINT_OR_SIGNATURE") from error


def _unrevoked(
    path: Path, at: datetime, now: datetime, trust: Trust, policy: SignaturePolicy
) -> Sequence[RevocationStatus]:
    """The revocation evidence used. A key that was compromised proves nothing at any time (RFC 3161 §4)."""
    used = []
    for place in range(len(path.certificates) - 1):
        issuers = trust.namesakes(path.fingerprints[place + 1])
        found = statements(trust.snapshot, issuers, path.serials[place])
        if any(status.reason in _COMPROMISES for status in found):
            raise TimestampRefused("TIMESTAMP_AUTHORITY_COMPROMISED")
        result = decide(found, at, now, policy)
        if result.sub_indication and not result.open:
            raise TimestampRefused("TIMESTAMP_AUTHORITY_REVOKED")
        if result.open and policy.authority_revocation_required:
            raise TimestampRefused("TIMESTAMP_REVOCATION_UNKNOWN")
        if result.status is not None:
            used.append(result.status)
    return used


def _accuracy(answer: TimeStampResponse) -> timedelta:
    """How much later than stated the time may be; nothing when the token does not say."""
    accuracy = answer.tst_info.accuracy
    if accuracy is None:
        return timedelta()
    return timedelta(
        seconds=accuracy.seconds or 0, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0
    )
