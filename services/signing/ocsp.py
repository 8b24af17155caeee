"""OCSP (RFC 6960): the request for a certificate, and what an answer proves. Pure: it fetches nothing.

`cryptography` parses answers only; who may sign them, and for what, is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.signing import certificates
from services.signing.formats.facts import Finding
from services.signing.model import RevocationSource, RevocationStatus

LARGEST_ANSWER = 64 * 1024
"""Longest answer that is looked at, in bytes."""
CLOCK_SKEW = timedelta(minutes=5)
_MOST_CERTIFICATES = 8


class OcspRefused(Exception):
    """An answer that proves nothing; `reason` is a stable UPPER_SNAKE name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Question:
    """A certificate to ask for, its issuer, and the nonce that was sent, if one was."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    nonce: bytes | None = None

    def encode(self) -> bytes:
        """The request, DER. The certID uses SHA-1 as every responder expects (RFC 5019 §2.1.1): it names, it proves nothing."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.certificate, self.issuer, hashes.SHA1())  # noqa: S303
        if self.nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(self.nonce), critical=False)
        return builder.build().public_bytes(Encoding.DER)


def read_answer(der: bytes, question: Question, now: datetime, validity: timedelta) -> RevocationStatus:
    """What an answer proves of the certificate asked for; raises OcspRefused.

    `validity` is for how long an answer without nextUpdate counts. An answer "unknown" is refused: it proves nothing.
    """
    if len(der) > LARGEST_ANSWER:
        raise OcspRefused("ANSWER_TOO_LARGE")
    try:
        answer = ocsp.load_der_ocsp_response(der)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspRefused("RESPONDER_REFUSES")
        single = _single(answer, question)
        _check_nonce(answer, question)
        _check_signer(answer, question.issuer, now)
        this_update, next_update = single.this_update_utc, single.next_update_utc
        status, revoked_at, reason = single.certificate_status, single.revocation_time_utc, single.revocation_reason
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise OcspRefused("ANSWER_UNREADABLE") from error
    if this_update > now + CLOCK_SKEW:
        raise OcspRefused("ANSWER_FROM_FUTURE")
    ends = next_update or this_update + validity
    if ends < now - CLOCK_SKEW:
        raise OcspRefused("ANSWER_STALE")
    if status is ocsp.OCSPCertStatus.UNKNOWN:
        raise OcspRefused("CERTIFICATE_UNKNOWN")
    return RevocationStatus(
        this_update,
        ends,
        revoked_at,
        source=RevocationSource.OCSP,
        reason=reason.value if reason else "unspecified" if revoked_at else "",
    )


def _single(answer: ocsp.OCSPResponse, question: Question) -> ocsp.OCSPSingleResponse:
    """The line about the certificate asked for: issuer's name and key and the serial number, all three (RFC 6960 §3.2)."""
    for line in answer.responses:
        algorithm = line.hash_algorithm
        name = _hash(algorithm, question.issuer.subject.public_bytes())
        if (line.serial_number, line.issuer_name_hash, line.issuer_key_hash) == (
            question.certificate.serial_number,
            name,
            _hash(algorithm, _key_bits(question.issuer)),
        ):
            return line
    raise OcspRefused("ANSWER_FOR_ANOTHER")


def _check_nonce(answer: ocsp.OCSPResponse, question: Question) -> None:
    """A nonce that comes back MUST be ours; responders that answer from a store send none (RFC 8954 §2.1)."""
    try:
        nonce = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if question.nonce is not None and nonce != question.nonce:
        raise OcspRefused("NONCE_WRONG")


def _check_signer(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """Signed by the issuer itself, or by one whom it made a responder (RFC 6960 §4.2.2.2)."""
    for candidate in (issuer, *_delegated(answer.certificates, issuer, now)):
        if _named(answer, candidate) and _verifies(answer, candidate):
            return
    raise OcspRefused("SIGNER_WRONG")


def _delegated(
    carried: Sequence[x509.Certificate], issuer: x509.Certificate, now: datetime
) -> Sequence[x509.Certificate]:
    found = []
    for certificate in carried[:_MOST_CERTIFICATES]:
        try:
            certificates.check_algorithms(certificate)
            certificate.verify_directly_issued_by(issuer)
            purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (Finding, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
            continue
        valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        if valid and ExtendedKeyUsageOID.OCSP_SIGNING in purposes and not certificates.is_authority(certificate):
            found.append(certificate)
    return found


def _named(answer: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    if answer.responder_name is not None:
        return answer.responder_name == candidate.subject
    # RFC 6960 §4.2.1: byKey is the SHA-1 of the key's bits; it names, it proves nothing.
    return answer.responder_key_hash == _hash(hashes.SHA1(), _key_bits(candidate))  # noqa: S303


def _verifies(answer: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    key, digest = candidate.public_key(), answer.signature_hash_algorithm
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes)
            return True
        if digest is None or digest.name not in certificates.HASHES:
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The bits of the public key without tag, length and unused bits (RFC 6960 §4.1.1)."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _hash(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
