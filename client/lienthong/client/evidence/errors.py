"""Why an evidence package does not hold. Each class has a stable reason; no text names a person."""

from __future__ import annotations

from typing import ClassVar


class EvidenceError(Exception):
    """A package does not hold. `member` is the file of the container that shows it, where there is one."""

    reason: ClassVar[str] = "EVIDENCE_INVALID"

    def __init__(self, text: str, member: str = "") -> None:
        super().__init__(f"{member}: {text}" if member else text)
        self.member = member


class ContainerInvalid(EvidenceError):
    """Not an ASiC-E container within its bounds."""

    reason = "CONTAINER_INVALID"


class SealInvalid(EvidenceError):
    """The seal is missing, is not over this manifest, or its signature is wrong."""

    reason = "SEAL_INVALID"


class SealUntrusted(EvidenceError):
    """The seal is by no key that is trusted for seals, or was made outside its certificate's validity."""

    reason = "SEAL_UNTRUSTED"


class MemberMissing(EvidenceError):
    """A file that the package needs, or that its manifest names, is not there."""

    reason = "MEMBER_MISSING"


class MemberAltered(EvidenceError):
    """A file is not what the manifest says."""

    reason = "MEMBER_ALTERED"


class MemberUnlisted(EvidenceError):
    """A file that the manifest does not name, or a name that stands twice."""

    reason = "MEMBER_UNLISTED"


class MemberMalformed(EvidenceError):
    """A file cannot be read as what it should be."""

    reason = "MEMBER_MALFORMED"


class ReceiptInvalid(EvidenceError):
    """The receipt does not hold or is for another document; `detail` is the receipt's own reason."""

    reason = "RECEIPT_INVALID"

    def __init__(self, text: str, detail: str) -> None:
        super().__init__(text, "receipt.json")
        self.detail = detail


class VerdictMismatch(EvidenceError):
    """The verdicts do not belong to the receipt, or not to each other."""

    reason = "VERDICT_MISMATCH"


class EvidenceMissing(EvidenceError):
    """A piece of evidence that a verdict names is not there."""

    reason = "EVIDENCE_MISSING"


class EvidenceAltered(EvidenceError):
    """A piece of evidence has another hash than its name."""

    reason = "EVIDENCE_ALTERED"


class ChainInvalid(EvidenceError):
    """A certificate that a verdict rests on has no chain to a trusted authority at its time."""

    reason = "CHAIN_INVALID"


class RevocationInvalid(EvidenceError):
    """Revocation evidence is not its issuer's, not about the certificate, or says something else than the verdict."""

    reason = "REVOCATION_INVALID"


class TimestampInvalid(EvidenceError):
    """A time-stamp is over other data, or not by a trusted authority, or states another time."""

    reason = "TIMESTAMP_INVALID"


class CheckpointInvalid(EvidenceError):
    """The time-stamped checkpoint is not of a trusted log or does not cover the document's entry."""

    reason = "CHECKPOINT_INVALID"


class SignatureInvalid(EvidenceError):
    """A signature over the document does not hold although a verdict says that it does."""

    reason = "SIGNATURE_INVALID"


class RenewalInvalid(EvidenceError):
    """An evidence record does not protect the files that its manifest names."""

    reason = "RENEWAL_INVALID"
