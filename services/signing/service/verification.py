"""Judging signatures: the building blocks of ETSI EN 319 102-1 in their order, ending in a verdict that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.signing import certificates
from services.signing.certificates import Path, PathCache
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.formats.xmldsig import verify_xmldsig
from services.signing.model import (
    AuthorityKind,
    BuildingBlock,
    Check,
    CheckState,
    Indication,
    RevocationStatus,
    SignatureFormat,
    SignatureVerdict,
    SignedDocument,
    SignerRole,
    SignerState,
    TimeSource,
    TrustSnapshot,
    Verdict,
    acceptable,
    worst,
)
from services.signing.policy import SignaturePolicy
from services.signing.ports import TrustStore
from services.signing.service.evidence import EvidenceService

LARGEST_BATCH = 200
MOST_SIGNATURES = 8
LARGEST_SIGNATURE = 64 * 1024
CLOCK_AHEAD = timedelta(minutes=5)
"""How far ahead of receipt a claimed signing time may lie without a warning."""
_BLOCKS = tuple(BuildingBlock)
_FAILED = frozenset({SubIndication.FORMAT_FAILURE, SubIndication.HASH_FAILURE, SubIndication.SIG_CRYPTO_FAILURE})
_BLOCK_OF = {
    SubIndication.NO_SIGNATURE_FOUND: BuildingBlock.FORMAT_CHECKING,
    SubIndication.FORMAT_FAILURE: BuildingBlock.FORMAT_CHECKING,
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: BuildingBlock.SIGNER_IDENTIFICATION,
    SubIndication.HASH_FAILURE: BuildingBlock.CRYPTOGRAPHIC_VERIFICATION,
    SubIndication.SIG_CRYPTO_FAILURE: BuildingBlock.CRYPTOGRAPHIC_VERIFICATION,
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: BuildingBlock.ACCEPTANCE_VALIDATION,
}


@dataclass(frozen=True)
class _Trust:
    """A snapshot with its certificates parsed."""

    snapshot: TrustSnapshot
    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]


class VerificationService:
    """Judges batches. The trust list is held parsed and read anew whenever its version has moved, so a suspension holds at once."""

    def __init__(self, store: TrustStore, evidence: EvidenceService, policy: SignaturePolicy, clock: Clock) -> None:
        self._store = store
        self._evidence = evidence
        self._policy = policy
        self._clock = clock
        self._trust: _Trust | None = None
        self._paths = PathCache()

    async def judge(self, documents: Sequence[SignedDocument]) -> Sequence[Verdict]:
        """A verdict per document, 1 to 200. All of the batch's cryptography is one job of one worker thread."""
        if not 1 <= len(documents) <= LARGEST_BATCH:
            raise InvalidArgument.of(
                FieldViolation("documents", f"1 to {LARGEST_BATCH} documents", "COUNT_OUT_OF_RANGE")
            )
        trust = await self._current()
        return await asyncio.to_thread(lambda: [self._judge(document, trust) for document in documents])

    async def validate(self, principal: Principal, document: SignedDocument) -> Verdict:
        """The verdict on one file that someone holds."""
        return (await self.judge([document]))[0]

    async def _current(self) -> _Trust:
        version = await self._store.version()
        if self._trust is None or self._trust.snapshot.version != version:
            snapshot = await self._store.snapshot()
            by_kind = {
                kind: [
                    x509.load_der_x509_certificate(one.certificate) for one in snapshot.authorities if one.kind is kind
                ]
                for kind in AuthorityKind
            }
            self._trust = _Trust(snapshot, by_kind[AuthorityKind.ROOT], by_kind[AuthorityKind.INTERMEDIATE])
        return self._trust

    def _judge(self, document: SignedDocument, trust: _Trust) -> Verdict:
        signatures = [self._signature(document, detached, trust) for detached in _carried(document)]
        decisive = worst(signatures)
        return Verdict(
            signatures=tuple(signatures),
            indication=decisive.indication,
            sub_indication=decisive.sub_indication,
            reason=decisive.reason,
            control_time=document.received_at,
            trust_version=trust.snapshot.version,
            acceptable=acceptable(decisive),
            policy_version=self._policy.version,
        )

    def _signature(self, document: SignedDocument, detached: bytes | None, trust: _Trust) -> SignatureVerdict:
        facts: SignatureFacts | None = None
        path: Path | None = None
        revocation: RevocationStatus | None = None
        signer_fingerprint = ""
        block = BuildingBlock.FORMAT_CHECKING
        try:
            facts = _verify(document, detached)
            block = BuildingBlock.SIGNER_IDENTIFICATION
            certificate = certificates.load(facts.signer_certificate_der)
            signer_fingerprint = certificates.fingerprint(certificate)
            block = BuildingBlock.CERTIFICATE_VALIDATION
            certificates.check_algorithms(certificate)
            certificates.check_purpose(certificate)
            path = self._paths.find(
                certificate, trust.roots, trust.intermediates, document.received_at, trust.snapshot.version
            )
            certificates.check_time(certificate, document.received_at)
            block = BuildingBlock.ACCEPTANCE_VALIDATION
            _check_registered(signer_fingerprint, document.facility, trust.snapshot)
            revocation = _revocation(trust.snapshot, path.issuer, certificates.serial(certificate))
        except Finding as finding:
            failed = _BLOCK_OF.get(finding.sub_indication, block)
            return _verdict(
                document, facts, path, signer_fingerprint, None, str(finding.sub_indication), finding.reason, failed
            )
        sub, reason = _revocation_result(revocation, document)
        return _verdict(
            document, facts, path, signer_fingerprint, revocation, sub, reason, BuildingBlock.CERTIFICATE_VALIDATION
        )


def _carried(document: SignedDocument) -> Sequence[bytes | None]:
    carried = tuple(one.content for one in document.signatures[:MOST_SIGNATURES])
    return (None, *carried) if document.format is SignatureFormat.XMLDSIG_ENVELOPED else carried or (b"",)


def _verify(document: SignedDocument, detached: bytes | None) -> SignatureFacts:
    if detached is None:
        return verify_xmldsig(document.content)
    if not detached:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the document has no signature")
    if len(detached) > LARGEST_SIGNATURE or len(document.signatures) > MOST_SIGNATURES:
        raise Finding(SubIndication.FORMAT_FAILURE, "SIGNATURE_TOO_LARGE", "at most 8 signatures of 64 KiB")
    return verify_cms(document.content, detached)


def _check_registered(fingerprint: str, facility: str, snapshot: TrustSnapshot) -> None:
    signer = snapshot.signers.get(fingerprint)
    if signer is None:
        reason, text = "SIGNER_NOT_REGISTERED", "the certificate is not registered"
    elif signer.facility != facility:
        reason, text = "SIGNER_OF_OTHER_FACILITY", "the certificate is registered for another facility"
    elif signer.state is not SignerState.ACTIVE:
        reason, text = "SIGNER_SUSPENDED", "the certificate is suspended"
    else:
        return
    raise Finding(SubIndication.CHAIN_CONSTRAINTS_FAILURE, reason, text)


def _revocation(snapshot: TrustSnapshot, issuer: str, serial: str) -> RevocationStatus | None:
    listed = snapshot.lists.get(issuer)
    if listed is None:
        return None
    revoked = snapshot.revocations.get((issuer, serial))
    if revoked is None:
        return listed
    return RevocationStatus(listed.this_update, listed.next_update, revoked.revoked_at, revoked.invalid_since)


def _revocation_result(revocation: RevocationStatus | None, document: SignedDocument) -> tuple[str, str]:
    """Sub-indication and reason; empty when the certificate is known to be good. Our receipt is the proof of existence."""
    if revocation is None:
        return "TRY_LATER", "REVOCATION_UNKNOWN"
    ended = min((at for at in (revocation.revoked_at, revocation.invalid_since) if at is not None), default=None)
    if ended is not None and ended <= document.received_at:
        return "REVOKED_NO_POE", "CERTIFICATE_REVOKED"
    if document.received_at > revocation.next_update:
        return "TRY_LATER", "REVOCATION_STALE"
    return "", ""


def _verdict(
    document: SignedDocument,
    facts: SignatureFacts | None,
    path: Path | None,
    fingerprint: str,
    revocation: RevocationStatus | None,
    sub: str,
    reason: str,
    failed: BuildingBlock,
) -> SignatureVerdict:
    if reason.startswith("SIGNER_"):
        sub = "SIG_CONSTRAINTS_FAILURE"
    if sub == SubIndication.NO_SIGNATURE_FOUND:
        indication, sub = Indication.NO_SIGNATURE_FOUND, ""
    elif not sub:
        indication = Indication.TOTAL_PASSED
    else:
        indication = Indication.TOTAL_FAILED if sub in _FAILED else Indication.INDETERMINATE
    return SignatureVerdict(
        format=facts.format if facts else document.format or SignatureFormat.CMS_DETACHED,
        indication=indication,
        sub_indication=sub,
        reason=reason,
        checks=_checks(document, facts, sub, reason, failed),
        covers_all=facts is not None,
        signer_fingerprint=fingerprint,
        chain=path.fingerprints if path else (),
        algorithm=facts.algorithm if facts else "",
        claimed_at=facts.claimed_signing_time if facts else None,
        best_time=document.received_at if facts else None,
        best_time_source=TimeSource.RECEIVED if facts else None,
        level=facts.level if facts else None,
        role=SignerRole.FACILITY,
        revocation=revocation,
    )


def _checks(
    document: SignedDocument, facts: SignatureFacts | None, sub: str, reason: str, failed: BuildingBlock
) -> tuple[Check, ...]:
    checks = []
    place = _BLOCKS.index(failed)
    for number, block in enumerate(_BLOCKS):
        if reason and number == place:
            state = CheckState.WARNING if sub == "TRY_LATER" else CheckState.NOT_OK
            checks.append(Check(block, state, reason))
        elif reason and number > place and sub != "TRY_LATER":
            checks.append(Check(block, CheckState.SKIPPED))
        else:
            checks.append(Check(block, CheckState.OK))
    claimed = facts.claimed_signing_time if facts else None
    if claimed is not None and claimed > document.received_at + CLOCK_AHEAD and checks[-1].state is CheckState.OK:
        checks[-1] = Check(BuildingBlock.ACCEPTANCE_VALIDATION, CheckState.WARNING, "SIGNING_TIME_AHEAD")
    return tuple(checks)
