"""Chains and revocation evidence, each for one certificate at one time (RFC 5280, RFC 6960)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

LONGEST_CHAIN = 8


class CertificateRefused(ValueError):
    """A certificate or revocation evidence does not hold."""


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def load(encoded: bytes) -> x509.Certificate:
    """Reads a certificate, DER. Raises CertificateRefused."""
    try:
        return x509.load_der_x509_certificate(encoded)
    except ValueError as error:
        raise CertificateRefused("not a certificate") from error


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed the certificate in the issuer's name."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def valid_at(certificate: x509.Certificate, at: datetime) -> bool:
    """Whether a time lies within the validity."""
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def check_chain(chain: Sequence[x509.Certificate], anchors: Iterable[x509.Certificate], at: datetime) -> None:
    """Raises CertificateRefused unless each certificate is issued by the next, all were valid at the time, those above the
    first are authorities, and the last is an anchor or issued by one.
    """
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        raise CertificateRefused("no chain, or one that is too long")
    for certificate in chain:
        if not valid_at(certificate, at):
            raise CertificateRefused("a certificate of the chain was not valid at the time")
    for certificate, issuer in pairwise(chain):
        if not issued(certificate, issuer):
            raise CertificateRefused("a certificate of the chain is not issued by the next")
    for issuer in chain[1:]:
        if not _authority(issuer):
            raise CertificateRefused("a certificate of the chain issues and is no authority")
    last, trusted = chain[-1], list(anchors)
    if any(last == anchor or (issued(last, anchor) and valid_at(anchor, at)) for anchor in trusted):
        return
    raise CertificateRefused("the chain ends at no trusted authority")


def find_chain(
    leaf: x509.Certificate, pool: Iterable[x509.Certificate], anchors: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """A chain from the leaf upwards, of certificates at hand; it ends at an anchor or where nothing more is found."""
    trusted = set(anchors)
    known = [*trusted, *pool]
    chain = [leaf]
    while chain[-1] not in trusted and len(chain) < LONGEST_CHAIN:
        above = next((one for one in known if one not in chain and issued(chain[-1], one)), None)
        if above is None:
            break
        chain.append(above)
    return chain


def _authority(certificate: x509.Certificate) -> bool:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return basic.ca and usage.key_cert_sign


def has_purpose(certificate: x509.Certificate, purpose: x509.ObjectIdentifier, *, critical: bool = False) -> bool:
    """Whether the extended key usage names the purpose; `critical` asks for it alone in a critical extension."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    if critical:
        return extension.critical and list(extension.value) == [purpose]
    return purpose in extension.value


def revoked_by_list(encoded: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> Status:
    """What a CRL says of a certificate. Raises CertificateRefused unless it is the issuer's own and signed by it."""
    try:
        listing = x509.load_der_x509_crl(encoded)
        signed = listing.issuer == issuer.subject and listing.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # other keys raise
    except (ValueError, TypeError) as error:
        raise CertificateRefused("not a revocation list of the issuer") from error
    if not signed:
        raise CertificateRefused("the revocation list is not signed by the issuer")
    entry = listing.get_revoked_certificate_by_serial_number(certificate.serial_number)
    revoked_at = None if entry is None else entry.revocation_date_utc
    return Status(listing.last_update_utc, listing.next_update_utc, revoked_at)


class Status:
    """What revocation evidence says: when it was made, until when it holds, and when the certificate was revoked."""

    def __init__(self, this_update: datetime, next_update: datetime | None, revoked_at: datetime | None) -> None:
        self.this_update = this_update
        self.next_update = next_update
        self.revoked_at = revoked_at


def revoked_by_answer(encoded: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> Status:
    """What an OCSP answer says of a certificate. Raises CertificateRefused unless it is about this certificate and signed
    by its issuer or by whom the issuer delegated it to (RFC 6960 §4.2.2.2).
    """
    try:
        answer = ocsp.load_der_ocsp_response(encoded)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise CertificateRefused("the OCSP answer is none")
        _check_about(answer, certificate, issuer)
        _check_responder(answer, issuer)
        revoked_at = answer.revocation_time_utc
        if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            raise CertificateRefused("the OCSP responder does not know the certificate")
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CertificateRefused(str(error) or "the OCSP answer is not signed by its responder") from error
    return Status(answer.this_update_utc, answer.next_update_utc, revoked_at)


def _check_about(answer: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    algorithm = answer.hash_algorithm.name
    if answer.serial_number != certificate.serial_number:
        raise CertificateRefused("the OCSP answer is about another certificate")
    name = hashlib.new(algorithm, issuer.subject.public_bytes(), usedforsecurity=False).digest()
    key = hashlib.new(algorithm, _key_bits(issuer), usedforsecurity=False).digest()
    if (answer.issuer_name_hash, answer.issuer_key_hash) != (name, key):
        raise CertificateRefused("the OCSP answer is about another issuer")


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Content of the subject public key's BIT STRING (RFC 6960 §4.1.1)."""
    from lienthong.client.evidence.der import read

    encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return read(encoded).children()[1].content[1:]


def _check_responder(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    delegated = [
        one
        for one in answer.certificates
        if issued(one, issuer)
        and has_purpose(one, ExtendedKeyUsageOID.OCSP_SIGNING)
        and valid_at(one, answer.produced_at_utc)
    ]
    for responder in [issuer, *delegated]:
        try:
            _check_signature(responder, answer)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return
    raise CertificateRefused("the OCSP answer is signed neither by the issuer nor by its responder")


def _check_signature(responder: x509.Certificate, answer: ocsp.OCSPResponse) -> None:
    key, digest = responder.public_key(), answer.signature_hash_algorithm
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes)
    elif digest is None:
        raise ValueError("no digest")
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
    else:
        raise ValueError("a key of another kind")
