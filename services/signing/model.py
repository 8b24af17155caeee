"""What the signing role talks about: authorities, signer certificates, revocations, verdicts and the log's checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class AuthorityKind(Enum):
    """Roots are trusted by decision, intermediates through a registered root."""

    ROOT = "ROOT"
    INTERMEDIATE = "INTERMEDIATE"


class AuthorityPurpose(Enum):
    """What certificates of an authority are trusted for."""

    SIGNING = "SIGNING"
    TIMESTAMPING = "TIMESTAMPING"


class SignerState(Enum):
    """Whether signatures of a certificate are accepted, whatever its revocation state."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    COMPROMISED = "COMPROMISED"


class EvidenceKind(Enum):
    """What a piece of evidence is; all are DER."""

    CERTIFICATE = "CERTIFICATE"
    REVOCATION_LIST = "REVOCATION_LIST"
    OCSP_RESPONSE = "OCSP_RESPONSE"
    TIMESTAMP_TOKEN = "TIMESTAMP_TOKEN"  # noqa: S105 - a kind, no secret


class RevocationSource(Enum):
    """Where a revocation state comes from."""

    CRL = "CRL"
    OCSP = "OCSP"


class TimeSource(Enum):
    """What proves the best signature time: our receipt, a time-stamp in the signature, or an earlier receipt of ours."""

    RECEIVED = "RECEIVED"
    TIMESTAMP = "TIMESTAMP"
    CHECKPOINT = "CHECKPOINT"


class Indication(Enum):
    """Main result of validation (ETSI EN 319 102-1 §5.1.3)."""

    TOTAL_PASSED = "TOTAL_PASSED"
    INDETERMINATE = "INDETERMINATE"
    TOTAL_FAILED = "TOTAL_FAILED"
    NO_SIGNATURE_FOUND = "NO_SIGNATURE_FOUND"


class SignatureFormat(Enum):
    """Accepted forms of a signature."""

    XMLDSIG_ENVELOPED = "XMLDSIG_ENVELOPED"
    CMS_DETACHED = "CMS_DETACHED"
    XADES_ENVELOPED = "XADES_ENVELOPED"
    XADES_DETACHED = "XADES_DETACHED"
    JWS_DETACHED = "JWS_DETACHED"
    PADES = "PADES"
    BATCH = "BATCH"


class SignatureLevel(Enum):
    """How much evidence a signature carries itself (ETSI EN 319 102-1 §5); T is reached only by a time-stamp that was verified."""

    PLAIN = "PLAIN"
    B = "B"
    T = "T"


class SignerRole(Enum):
    """In whose name a signature was made."""

    FACILITY = "FACILITY"
    PRACTITIONER = "PRACTITIONER"


class BuildingBlock(Enum):
    """Steps of validation in their order (ETSI EN 319 102-1 §5.2)."""

    FORMAT_CHECKING = "FORMAT_CHECKING"
    SIGNER_IDENTIFICATION = "SIGNER_IDENTIFICATION"
    CRYPTOGRAPHIC_VERIFICATION = "CRYPTOGRAPHIC_VERIFICATION"
    CERTIFICATE_VALIDATION = "CERTIFICATE_VALIDATION"
    ACCEPTANCE_VALIDATION = "ACCEPTANCE_VALIDATION"


class CheckState(Enum):
    """Result of one building block."""

    OK = "OK"
    WARNING = "WARNING"
    NOT_OK = "NOT_OK"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Authority:
    """A certification authority on the trust list; `fingerprint` is the SHA-256 of the DER, 64 hex digits.

    The addresses are http or https URLs that an administrator registered; empty for none. Trust ends at `sunset_at`.
    """

    fingerprint: str
    kind: AuthorityKind
    certificate: bytes
    created_at: datetime
    expires_at: datetime
    purpose: AuthorityPurpose = AuthorityPurpose.SIGNING
    revocation_list_uri: str = ""
    ocsp_uri: str = ""
    sunset_at: datetime | None = None


@dataclass(frozen=True)
class SignerCertificate:
    """A signing certificate registered for a facility (5-character code) before its first use.

    `licence` is the practitioner's, empty for a facility's. `suspended_at` and `compromised_at` are set by their states.
    """

    fingerprint: str
    facility: str
    certificate: bytes
    state: SignerState
    created_at: datetime
    expires_at: datetime
    role: SignerRole = SignerRole.FACILITY
    licence: str = ""
    suspended_at: datetime | None = None
    compromised_at: datetime | None = None

    def days_left(self, now: datetime) -> int:
        """Whole days until it expires, 0 when it has."""
        return max((self.expires_at - now).days, 0)


@dataclass(frozen=True)
class WantedAuthority:
    """An authority as an administrator asks for it; fields as of `Authority`."""

    kind: AuthorityKind
    certificate: bytes
    purpose: AuthorityPurpose = AuthorityPurpose.SIGNING
    revocation_list_uri: str = ""
    ocsp_uri: str = ""
    sunset_at: datetime | None = None


@dataclass(frozen=True)
class WantedSigner:
    """A registration as an administrator asks for it; fields as of `SignerCertificate`."""

    facility: str
    certificate: bytes
    role: SignerRole = SignerRole.FACILITY
    licence: str = ""


@dataclass(frozen=True)
class Evidence:
    """A public fact that verdicts rest on; `sha256` is that of the content, 64 hex digits."""

    sha256: str
    kind: EvidenceKind
    content: bytes

    @classmethod
    def of(cls, kind: EvidenceKind, content: bytes) -> Evidence:
        """Evidence under the hash of its content."""
        return cls(hashlib.sha256(content).hexdigest(), kind, content)


@dataclass(frozen=True)
class TrustListImport:
    """A trusted list (ETSI TS 119 612) that was verified: its scheme territory, sequence number and dates, and what it changes.

    `authorities` are granted, or withdrawn where they have a sunset.
    """

    territory: str
    sequence: int
    issued_at: datetime
    next_update: datetime
    sha256: str
    authorities: Sequence[Authority]

    def named(self, *, withdrawn: bool) -> Sequence[str]:
        """Fingerprints of the authorities that it withdraws, or of those that it grants."""
        return [one.fingerprint for one in self.authorities if (one.sunset_at is not None) is withdrawn]


@dataclass(frozen=True)
class RevocationList:
    """A verified CRL of one authority (RFC 5280 §5); `number` is its CRL number."""

    issuer: str
    number: int
    this_update: datetime
    next_update: datetime
    der: bytes

    @property
    def evidence(self) -> Evidence:
        """The list as evidence."""
        return Evidence.of(EvidenceKind.REVOCATION_LIST, self.der)


@dataclass(frozen=True)
class RevokedCertificate:
    """One line of a CRL; `serial` is hexadecimal."""

    serial: str
    revoked_at: datetime
    reason: str
    invalid_since: datetime | None


@dataclass(frozen=True)
class RevocationStatus:
    """What one piece of evidence says of a certificate: its times, and when the certificate was revoked, if it was.

    `sha256` names the evidence, `reason` is that of RFC 5280 §5.3.1.
    """

    this_update: datetime
    next_update: datetime
    revoked_at: datetime | None = None
    invalid_since: datetime | None = None
    source: RevocationSource = RevocationSource.CRL
    sha256: str = ""
    reason: str = ""


@dataclass(frozen=True)
class AnsweredRevocation:
    """An OCSP answer that was verified, for the certificate of an issuer (fingerprint) with a serial number (hex)."""

    issuer: str
    serial: str
    status: RevocationStatus
    evidence: Evidence


@dataclass(frozen=True)
class TrustSnapshot:
    """All that a verdict needs, at one version of the trust list. `revocations` is keyed by (issuer fingerprint, serial in hex) for revoked
    certificates, `lists` by issuer fingerprint, `answers` (OCSP) by (issuer fingerprint, serial in hex)."""

    version: int
    authorities: Sequence[Authority]
    signers: Mapping[str, SignerCertificate]
    lists: Mapping[str, RevocationStatus]
    revocations: Mapping[tuple[str, str], RevokedCertificate]
    answers: Mapping[tuple[str, str], RevocationStatus] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """One building block with its result; `reason` is UPPER_SNAKE where it is not OK."""

    block: BuildingBlock
    state: CheckState
    reason: str = ""


@dataclass(frozen=True)
class TimestampVerdict:
    """The verdict on one RFC 3161 token; `reason` is empty when it holds. Fingerprints and hashes are 64 hex digits."""

    token_sha256: str
    at: datetime | None = None
    reason: str = ""
    authority_fingerprint: str = ""


@dataclass(frozen=True)
class SignatureVerdict:
    """The verdict on one signature. `sub_indication` is a name of ETSI EN 319 102-1 or empty; times are UTC."""

    format: SignatureFormat
    indication: Indication
    sub_indication: str
    reason: str
    checks: Sequence[Check]
    covers_all: bool = False
    signer_fingerprint: str = ""
    chain: Sequence[str] = ()
    algorithm: str = ""
    claimed_at: datetime | None = None
    best_time: datetime | None = None
    revocation: RevocationStatus | None = None
    role: SignerRole | None = None
    licence: str = ""
    level: SignatureLevel | None = None
    part: str = ""
    best_time_source: TimeSource | None = None
    timestamps: Sequence[TimestampVerdict] = ()
    grace_period_end: datetime | None = None
    evidence: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """The verdict on a document: the worst of its required signatures."""

    signatures: Sequence[SignatureVerdict]
    indication: Indication
    sub_indication: str
    reason: str
    control_time: datetime
    trust_version: int
    acceptable: bool
    policy_version: str = ""
    requirements: Sequence[Check] = ()
    grace_period_end: datetime | None = None


@dataclass(frozen=True)
class BatchMembership:
    """A document's place in a batch that was signed once: the manifest's text, the document's index and its Merkle path (32 bytes each)."""

    manifest: str
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True)
class CarriedSignature:
    """A signature beside its document. `part` names the part it covers, empty for the whole document."""

    format: SignatureFormat
    content: bytes
    part: str = ""
    batch: BatchMembership | None = None


@dataclass(frozen=True)
class DocumentPart:
    """A part that can be signed by itself, as decoded; `enveloped` when it holds a signature of its own."""

    name: str
    content: bytes
    enveloped: bool = False


@dataclass(frozen=True)
class SignedDocument:
    """A document to judge. `received_at` is the control time of the verdict; `format` the form of the signature inside the document, None
    when all are carried beside it; `existed_at` the earliest proof that its signatures existed, other than their own time-stamps."""

    content: bytes
    format: SignatureFormat | None
    facility: str
    received_at: datetime
    signatures: Sequence[CarriedSignature] = ()
    parts: Sequence[DocumentPart] = ()
    kinds: Sequence[str] = ()
    existed_at: datetime | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: tree size, root hash of 32 bytes, the note that the log signed, and the cosignature lines of witnesses
    (C2SP tlog-cosignature). `witnessed`: the cosignatures made up the quorum of the policy."""

    size: int
    root: bytes
    note: str
    published_at: datetime
    cosignatures: tuple[str, ...] = ()
    witnessed: bool = False

    @property
    def cosigned(self) -> str:
        """The note with its cosignatures."""
        return self.note + "".join(self.cosignatures)


@dataclass(frozen=True)
class WitnessCosignature:
    """A verified cosignature: name of the witness's key, its line, and the time that it states (UTC, whole seconds)."""

    witness: str
    line: str
    seen_at: datetime


@dataclass(frozen=True)
class CheckpointTimestamp:
    """An RFC 3161 token (DER) over the bytes of a checkpoint's note as the log signed it, without cosignatures."""

    checkpoint: Checkpoint
    token: bytes
    stated_at: datetime


def worst(verdicts: Sequence[SignatureVerdict]) -> SignatureVerdict:
    """The signature that decides the document's verdict. Needs at least one."""
    order = (Indication.TOTAL_FAILED, Indication.NO_SIGNATURE_FOUND, Indication.INDETERMINATE, Indication.TOTAL_PASSED)
    return min(verdicts, key=lambda verdict: (order.index(verdict.indication), verdict.sub_indication == "TRY_LATER"))


def acceptable(verdict: SignatureVerdict) -> bool:
    """Whether intake takes a document with this verdict: all passed, or only the revocation state is open (Circular 15/2025 asks for a
    warning where the state cannot be checked, not for a refusal)."""
    passed = verdict.indication is Indication.TOTAL_PASSED
    return passed or (verdict.indication is Indication.INDETERMINATE and verdict.sub_indication == "TRY_LATER")
