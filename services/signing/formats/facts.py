"""What a verifier of signatures found out: facts about a signature that holds, or the finding that it does not. No
verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from services.signing.model import SignatureFormat, SignatureLevel


class SubIndication(StrEnum):
    """Why a signature or a certificate does not pass (names of ETSI EN 319 102-1 §5.1.3, and NO_SIGNATURE_FOUND of
    DSS).
    """

    NO_SIGNATURE_FOUND = "NO_SIGNATURE_FOUND"
    FORMAT_FAILURE = "FORMAT_FAILURE"
    HASH_FAILURE = "HASH_FAILURE"
    SIG_CRYPTO_FAILURE = "SIG_CRYPTO_FAILURE"
    SIG_CONSTRAINTS_FAILURE = "SIG_CONSTRAINTS_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE = "CRYPTO_CONSTRAINTS_FAILURE"
    NO_SIGNING_CERTIFICATE_FOUND = "NO_SIGNING_CERTIFICATE_FOUND"
    NO_CERTIFICATE_CHAIN_FOUND = "NO_CERTIFICATE_CHAIN_FOUND"
    CERTIFICATE_CHAIN_GENERAL_FAILURE = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
    CHAIN_CONSTRAINTS_FAILURE = "CHAIN_CONSTRAINTS_FAILURE"
    OUT_OF_BOUNDS_NO_POE = "OUT_OF_BOUNDS_NO_POE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    NOT_YET_VALID = "NOT_YET_VALID"
    REVOKED_NO_POE = "REVOKED_NO_POE"
    REVOKED_CA_NO_POE = "REVOKED_CA_NO_POE"
    TRY_LATER = "TRY_LATER"
    SIGNED_DATA_NOT_FOUND = "SIGNED_DATA_NOT_FOUND"
    TIMESTAMP_ORDER_FAILURE = "TIMESTAMP_ORDER_FAILURE"
    CRYPTO_CONSTRAINTS_FAILURE_NO_POE = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
    POLICY_PROCESSING_ERROR = "POLICY_PROCESSING_ERROR"
    SIGNATURE_POLICY_NOT_AVAILABLE = "SIGNATURE_POLICY_NOT_AVAILABLE"
    NO_CERTIFICATE_CHAIN_FOUND_NO_POE = "NO_CERTIFICATE_CHAIN_FOUND_NO_POE"
    OUT_OF_BOUNDS_NOT_REVOKED = "OUT_OF_BOUNDS_NOT_REVOKED"
    REVOCATION_OUT_OF_BOUNDS_NO_POE = "REVOCATION_OUT_OF_BOUNDS_NO_POE"
    NO_POE = "NO_POE"


class SignatureScope(Enum):
    """How much of a document a signature covers. Verifiers accept FULL only, so they never report anything else."""

    FULL = "FULL"


class Finding(Exception):
    """Why a signature does not hold: `reason` is a stable UPPER_SNAKE name, `text` a sentence without a person's
    data.
    """

    def __init__(self, sub_indication: SubIndication, reason: str, text: str) -> None:
        super().__init__(f"{sub_indication}/{reason}: {text}")
        self.sub_indication = sub_indication
        self.reason = reason
        self.text = text

    def again(self) -> Finding:
        """The same finding to raise anew; an exception that is raised twice keeps the frames of both."""
        return Finding(self.sub_indication, self.reason, self.text)


@dataclass(frozen=True)
class SignatureFacts:
    """Facts of a signature whose digest and value hold under the key of `signer_certificate_der`.

    `algorithm` is such as `rsa-pkcs1v15-sha256`, `ecdsa-p256-sha3-256` or `ed25519`, `digest_algorithm` such as `sha256`;
    `key_bits` is the length of an RSA modulus or of a curve's field.
    `claimed_signing_time` is what the signer says (UTC) and MUST NOT be trusted. `covered` are the exact bytes that
    were digested; consumers of the document MUST read these and not the bytes that arrived. `level` is PLAIN or B: T
    takes a time-stamp that was verified. `timestamps` are RFC 3161 tokens (DER, not verified here) over `timestamped`;
    `embedded` certificates are proposals, never trusted. `part` names the part of the document that was signed, empty
    for the whole. `facility` is the facility that a batch's manifest names, empty without batch: it MUST be the one
    that submits.
    """

    format: SignatureFormat
    scope: SignatureScope
    signer_certificate_der: bytes
    algorithm: str
    digest_algorithm: str
    claimed_signing_time: datetime | None
    covered: bytes
    level: SignatureLevel = SignatureLevel.PLAIN
    timestamps: tuple[bytes, ...] = ()
    timestamped: bytes = b""
    embedded: tuple[bytes, ...] = ()
    key_bits: int = 0
    part: str = ""
    facility: str = ""
