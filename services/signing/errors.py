"""Errors of the signing role; reasons are those of `lienthong.signing.v1.ErrorReason`."""

from __future__ import annotations

from services.chassis.errors import DomainError, Kind


class CertificateUnreadable(DomainError):
    """The bytes are not one DER certificate."""

    kind = Kind.INVALID
    reason = "CERTIFICATE_UNREADABLE"


class CertificateNotAuthority(DomainError):
    """The certificate lacks basicConstraints CA or keyCertSign (RFC 5280 §4.2.1.9)."""

    kind = Kind.INVALID
    reason = "CERTIFICATE_NOT_AUTHORITY"


class CertificateUntrusted(DomainError):
    """No chain from the certificate to a registered root."""

    kind = Kind.PRECONDITION
    reason = "CERTIFICATE_UNTRUSTED"


class CertificateOutOfBounds(DomainError):
    """The certificate is expired or not yet valid."""

    kind = Kind.PRECONDITION
    reason = "CERTIFICATE_OUT_OF_BOUNDS"


class CertificateAlgorithm(DomainError):
    """The key or an algorithm is below the policy (Circular 15/2025/TT-BKHCN)."""

    kind = Kind.PRECONDITION
    reason = "CERTIFICATE_ALGORITHM"


class SignerCertificateExists(DomainError):
    """The certificate is registered for another facility."""

    kind = Kind.EXISTS
    reason = "SIGNER_CERTIFICATE_EXISTS"


class SignerCertificateNotFound(DomainError):
    """No signing certificate of that name, or none the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "SIGNER_CERTIFICATE_NOT_FOUND"


class RevocationListRefused(DomainError):
    """Unreadable, not signed by a registered authority, or older than the list at hand."""

    kind = Kind.PRECONDITION
    reason = "REVOCATION_LIST_REFUSED"


class TrustListRefused(DomainError):
    """Unreadable, not signed by a registered scheme operator, out of its time, or older than the list at hand."""

    kind = Kind.PRECONDITION
    reason = "TRUST_LIST_REFUSED"


class TreeSizeOutOfRange(DomainError):
    """A size or index beyond the newest published checkpoint."""

    kind = Kind.INVALID
    reason = "TREE_SIZE_OUT_OF_RANGE"


class CheckpointNotFound(DomainError):
    """Nothing is published yet."""

    kind = Kind.NOT_FOUND
    reason = "CHECKPOINT_NOT_FOUND"


class LogForked(DomainError):
    """The tree no longer extends the last signed checkpoint; nothing MUST be signed until an operator has looked."""

    kind = Kind.INTERNAL
    reason = "LOG_FORKED"
