"""Judging one signature: the building blocks of ETSI EN 319 102-1 §5.2 in their order, ending in a verdict that says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509

from services.signing import certificates
from services.signing.certificates import Path, PathCache, Signer
from services.signing.formats import Place
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.model import (
    BuildingBlock,
    CarriedSignature,
    Check,
    CheckState,
    DocumentPart,
    Evidence,
    EvidenceKind,
    Indication,
    RevocationStatus,
    SignatureFormat,
    SignatureLevel,
    SignatureVerdict,
    SignedDocument,
    SignerCertificate,
    SignerState,
    TimeSource,
)
from services.signing.policy import SignaturePolicy
from services.signing.service.verification.revocation import RevocationResult, decide, statements
from services.signing.service.verification.timestamps import JudgedTimestamp, judge_timestamp
from services.signing.service.verification.trust import Trust

MOST_TIMESTAMPS = 4
"""Most time-stamps of a signature that are looked at."""
_FAILED = frozenset(
    {
        SubIndication.FORMAT_FAILURE,
        SubIndication.HASH_FAILURE,
        SubIndication.SIG_CRYPTO_FAILURE,
        SubIndication.NOT_YET_VALID,
    }
)
_BLOCKS = tuple(BuildingBlock)
_ALL_OK = tuple(Check(block, CheckState.OK) for block in BuildingBlock)
_BLOCK_OF = {
    SubIndication.NO_SIGNATURE_FOUND: BuildingBlock.FORMAT_CHECKING,
    SubIndication.FORMAT_FAILURE: BuildingBlock.FORMAT_CHECKING,
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: BuildingBlock.SIGNER_IDENTIFICATION,
    SubIndication.HASH_FAILURE: BuildingBlock.CRYPTOGRAPHIC_VERIFICATION,
    SubIndication.SIG_CRYPTO_FAILURE: BuildingBlock.CRYPTOGRAPHIC_VERIFICATION,
    SubIndication.SIGNED_DATA_NOT_FOUND: BuildingBlock.CRYPTOGRAPHIC_VERIFICATION,
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: BuildingBlock.ACCEPTANCE_VALIDATION,
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE: BuildingBlock.ACCEPTANCE_VALIDATION,
}


@dataclass(frozen=True)
class OpenQuestion:
    """A certificate whose revocation state is open, with its issuer's certificate and the fingerprint of it."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    issuer_fingerprint: str


@dataclass(frozen=True)
class JudgedSignature:
    """A verdict, the evidence it rests on as bytes, and what an OCSP responder could settle."""

    verdict: SignatureVerdict
    evidence: Sequence[Evidence] = ()
    questions: Sequence[OpenQuestion] = ()


@dataclass
class _Report:
    """What is found out on the way."""

    warnings: dict[BuildingBlock, str] = field(default_factory=dict)
    fingerprint: str = ""
    best_time: datetime | None = None
    source: TimeSource | None = None
    timestamps: Sequence[JudgedTimestamp] = ()
    path: Path | None = None
    signer: SignerCertificate | None = None
    revocation: RevocationResult | None = None
    used: list[RevocationStatus] = field(default_factory=list)
    questions: list[OpenQuestion] = field(default_factory=list)
    block: BuildingBlock = BuildingBlock.SIGNER_IDENTIFICATION


class SignatureJudge:
    """Judges signatures under one policy. Paths are cached; everything else is worked out anew."""

    def __init__(self, policy: SignaturePolicy) -> None:
        self._policy = policy
        self._paths = PathCache()

    def judge(
        self,
        document: SignedDocument,
        place: Place,
        found: SignatureFacts | Finding,
        trust: Trust,
        now: datetime,
    ) -> JudgedSignature:
        """Judges a signature from its facts, or from the finding that there are none."""
        report = _Report()
        if isinstance(found, Finding):
            return self._judged(document, place, None, report, found)
        try:
            self._walk(document, place, found, report, trust, now)
        except Finding as finding:
            return self._judged(document, place, found, report, finding)
        state = report.revocation
        unsettled = (
            Finding(SubIndication.TRY_LATER, state.reason, "the revocation state is open")
            if state is not None and state.open
            else None
        )
        return self._judged(document, place, found, report, unsettled)

    def _walk(
        self,
        document: SignedDocument,
        place: Place,
        facts: SignatureFacts,
        report: _Report,
        trust: Trust,
        now: datetime,
    ) -> None:
        signer = certificates.signer(facts.signer_certificate_der)
        report.fingerprint = signer.fingerprint
        registered = trust.snapshot.signers.get(report.fingerprint)
        report.signer = registered if registered and registered.facility == document.facility else None
        self._set_times(document, facts, report, trust, now)
        best_time = report.best_time or document.received_at
        report.block = BuildingBlock.CERTIFICATE_VALIDATION
        if signer.finding is not None:
            raise signer.finding.again()
        _check_validity(signer, best_time, report)
        anchors = trust.signing
        path = report.path = self._paths.find(
            signer.certificate,
            anchors.roots,
            anchors.intermediates,
            best_time,
            trust.generation,
            anchors.sunsets,
            signer.fingerprint,
        )
        self._check_revocation(path, best_time, report, trust, now)
        report.block = BuildingBlock.ACCEPTANCE_VALIDATION
        self._check_algorithms(facts, signer, path, best_time)
        _check_registered(report, document, trust)
        _check_compromise(report.signer, best_time)
        _check_batch(document, facts)
        claimed = facts.claimed_signing_time
        if claimed is not None and claimed > best_time + self._policy.claimed_ahead:
            report.warnings[BuildingBlock.ACCEPTANCE_VALIDATION] = "SIGNING_TIME_AHEAD"

    def _set_times(
        self, document: SignedDocument, facts: SignatureFacts, report: _Report, trust: Trust, now: datetime
    ) -> None:
        """The best signature time: the earliest proof that the signature existed."""
        proofs = [(document.received_at, TimeSource.RECEIVED)]
        if document.existed_at is not None:
            proofs.append((document.existed_at, TimeSource.CHECKPOINT))
        report.timestamps = [
            judge_timestamp(token, facts.timestamped, document.received_at, now, trust, self._policy, self._paths)
            for token in facts.timestamps[:MOST_TIMESTAMPS]
        ]
        for judged in report.timestamps:
            if judged.verdict.reason:
                report.warnings.setdefault(BuildingBlock.ACCEPTANCE_VALIDATION, judged.verdict.reason)
            elif judged.verdict.at is not None:
                proofs.append((judged.verdict.at, TimeSource.TIMESTAMP))
        report.best_time, report.source = min(proofs, key=lambda proof: proof[0])

    def _check_revocation(self, path: Path, best_time: datetime, report: _Report, trust: Trust, now: datetime) -> None:
        """Signer first, then the authorities above it, but not the root: trust in that is decided, not looked up."""
        for place, certificate in enumerate(path.certificates[:-1]):
            issuer = path.fingerprints[place + 1]
            found = statements(trust.snapshot, trust.namesakes(issuer), path.serials[place])
            result = decide(found, best_time, now, self._policy)
            if result.status is not None:
                report.used.append(result.status)
            if result.open:
                report.questions.append(OpenQuestion(certificate, path.certificates[place + 1], issuer))
            if place == 0:
                report.revocation = result
                if result.sub_indication and not result.open:
                    raise _finding(result.sub_indication, result.reason)
            elif result.open:
                reason = "ISSUER_REVOCATION_UNKNOWN"
                report.warnings.setdefault(BuildingBlock.CERTIFICATE_VALIDATION, reason)
                if self._policy.authority_revocation_required and not (report.revocation and report.revocation.open):
                    report.revocation = RevocationResult(result.status, SubIndication.TRY_LATER, reason)
            elif result.sub_indication:
                raise Finding(SubIndication.REVOKED_CA_NO_POE, "ISSUER_REVOKED", "an issuer's certificate was revoked")

    def _check_algorithms(self, facts: SignatureFacts, signer: Signer, path: Path, best_time: datetime) -> None:
        self._policy.check_algorithm(facts.algorithm, signer.key_bits, best_time, signer.starts_at)
        self._policy.check_algorithm(facts.digest_algorithm, 0, best_time, signer.starts_at)
        for used in path.algorithms:
            self._policy.check_algorithm(used.name, used.key_bits, best_time, used.produced_after)

    def _judged(
        self,
        document: SignedDocument,
        place: Place,
        facts: SignatureFacts | None,
        report: _Report,
        finding: Finding | None,
    ) -> JudgedSignature:
        indication, sub = _indication(finding)
        kept = _evidence(report)
        revocation = report.revocation
        verdict = SignatureVerdict(
            format=_format(document, place, facts),
            indication=indication,
            sub_indication=sub,
            reason=finding.reason if finding else "",
            checks=_checks(finding, report),
            covers_all=facts is not None,
            signer_fingerprint=report.fingerprint,
            chain=report.path.fingerprints if report.path else (),
            algorithm=facts.algorithm if facts else "",
            claimed_at=facts.claimed_signing_time if facts else None,
            best_time=report.best_time,
            revocation=revocation.status if revocation else None,
            role=report.signer.role if report.signer else None,
            licence=report.signer.licence if report.signer else "",
            level=_level(facts, report),
            part=_part(place, facts),
            best_time_source=report.source,
            timestamps=tuple(judged.verdict for judged in report.timestamps),
            grace_period_end=revocation.grace_period_end if revocation and finding is None else None,
            evidence=tuple(dict.fromkeys([*(one.sha256 for one in kept), *_named(report)])),
        )
        return JudgedSignature(verdict, kept, tuple(report.questions) if _can_settle(finding) else ())


def _check_validity(signer: Signer, best_time: datetime, report: _Report) -> None:
    """A trusted time-stamp older than the certificate proves that the signature is not of its time; a receipt proves nothing more than
    that it is out of bounds."""
    if best_time < signer.starts_at and report.source is TimeSource.TIMESTAMP:
        raise Finding(
            SubIndication.NOT_YET_VALID, "CERTIFICATE_NOT_YET_VALID", "the time-stamp is older than the certificate"
        )


def _check_registered(report: _Report, document: SignedDocument, trust: Trust) -> None:
    """Registered before use, for the facility that submits, and not suspended when it did."""
    if report.signer is None:
        known = report.fingerprint in trust.snapshot.signers
        reason = "SIGNER_OF_OTHER_FACILITY" if known else "SIGNER_NOT_REGISTERED"
        raise Finding(SubIndication.SIG_CONSTRAINTS_FAILURE, reason, "the certificate is not this facility's")
    suspended = report.signer.suspended_at
    if suspended is not None and suspended <= document.received_at:
        raise Finding(SubIndication.SIG_CONSTRAINTS_FAILURE, "SIGNER_SUSPENDED", "the certificate is suspended")


def _check_compromise(signer: SignerCertificate | None, best_time: datetime) -> None:
    """A reported compromise is a revocation by the registry: signatures without proof that they are older do not count."""
    if (
        signer is not None
        and signer.state is SignerState.COMPROMISED
        and (signer.compromised_at is None or signer.compromised_at <= best_time)
    ):
        raise Finding(SubIndication.REVOKED_NO_POE, "KEY_COMPROMISED", "the key was not the signer's alone any more")


def _check_batch(document: SignedDocument, facts: SignatureFacts) -> None:
    """A batch is signed in the name of the facility that its manifest gives."""
    if facts.format is SignatureFormat.BATCH and facts.facility != document.facility:
        raise Finding(
            SubIndication.SIG_CONSTRAINTS_FAILURE, "BATCH_OF_OTHER_FACILITY", "the batch is another facility's"
        )


def _finding(sub_indication: str, reason: str) -> Finding:
    return Finding(SubIndication(sub_indication), reason, "the certificate was revoked")


def _can_settle(finding: Finding | None) -> bool:
    """Whether an answer could change the verdict. Nobody makes us ask for certificates that are not accepted anyway."""
    return finding is None or finding.sub_indication is SubIndication.TRY_LATER


def _indication(finding: Finding | None) -> tuple[Indication, str]:
    if finding is None:
        return Indication.TOTAL_PASSED, ""
    if finding.sub_indication is SubIndication.NO_SIGNATURE_FOUND:
        return Indication.NO_SIGNATURE_FOUND, ""
    failed = finding.sub_indication in _FAILED
    return Indication.TOTAL_FAILED if failed else Indication.INDETERMINATE, str(finding.sub_indication)


def _format(document: SignedDocument, place: Place, facts: SignatureFacts | None) -> SignatureFormat:
    if facts is not None:
        return facts.format
    if isinstance(place, CarriedSignature):
        return place.format
    if isinstance(place, DocumentPart):
        return SignatureFormat.XMLDSIG_ENVELOPED
    return document.format or SignatureFormat.CMS_DETACHED


def _part(place: Place, facts: SignatureFacts | None) -> str:
    """What was signed; for a signature that does not hold, what it was said to cover."""
    if facts is not None:
        return facts.part
    if isinstance(place, DocumentPart):
        return place.name
    return place.part if place is not None else ""


def _level(facts: SignatureFacts | None, report: _Report) -> SignatureLevel | None:
    """T needs a time-stamp that holds; a plain signature has no place for one."""
    if facts is None:
        return None
    stamped = any(not judged.verdict.reason for judged in report.timestamps)
    return SignatureLevel.T if stamped and facts.level is SignatureLevel.B else facts.level


def _checks(finding: Finding | None, report: _Report) -> tuple[Check, ...]:
    if finding is None and not report.warnings:
        return _ALL_OK
    open_ = finding is not None and finding.sub_indication is SubIndication.TRY_LATER
    failed = BuildingBlock.CERTIFICATE_VALIDATION if open_ else _failed(finding, report)
    checks = []
    for number, block in enumerate(_BLOCKS):
        if finding is not None and block is failed:
            checks.append(Check(block, CheckState.WARNING if open_ else CheckState.NOT_OK, finding.reason))
        elif failed is not None and not open_ and number > _BLOCKS.index(failed):
            checks.append(Check(block, CheckState.SKIPPED))
        elif block in report.warnings:
            checks.append(Check(block, CheckState.WARNING, report.warnings[block]))
        else:
            checks.append(Check(block, CheckState.OK))
    return tuple(checks)


def _failed(finding: Finding | None, report: _Report) -> BuildingBlock | None:
    return None if finding is None else _BLOCK_OF.get(finding.sub_indication, report.block)


@lru_cache(maxsize=4096)
def _certificates(encoded: tuple[bytes, ...]) -> tuple[Evidence, ...]:
    """The certificates of a path as evidence; a path is one object for as long as it is cached, so they are hashed once."""
    return tuple(Evidence.of(EvidenceKind.CERTIFICATE, one) for one in encoded)


def _evidence(report: _Report) -> Sequence[Evidence]:
    """The certificates and tokens as bytes; lists and OCSP answers are kept when they arrive."""
    kept = _certificates(report.path.encoded) if report.path else ()
    return (*kept, *(one for judged in report.timestamps for one in judged.evidence)) if report.timestamps else kept


def _named(report: _Report) -> list[str]:
    """Hashes of the revocation evidence."""
    own = [status.sha256 for status in report.used if status.sha256]
    return [*own, *(sha256 for judged in report.timestamps for sha256 in judged.used)]
