"""Facts of certificates and path validation. Pure; no subject name, which may hold a citizen's number, ever leaves it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.signing.formats.facts import Finding, SubIndication

SMALLEST_RSA = 2048
CURVES = ("secp256r1", "secp384r1")
HASHES = ("sha256", "sha384", "sha512")
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""Extended key usage for document signing (RFC 9336)."""
PURPOSES = frozenset({DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CLIENT_AUTH})
"""Purposes accepted for signing; real certificates of Viet Nam's CAs carry client authentication and mail protection."""
LONGEST_PATH = 4
_CACHE = 4096


@dataclass(frozen=True)
class Path:
    """A path from a signer to a registered root, as SHA-256 fingerprints in hex, and the authority that issued the signer."""

    fingerprints: tuple[str, ...]
    issuer: str


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def load(der: bytes) -> x509.Certificate:
    """A certificate; raises Finding NO_SIGNING_CERTIFICATE_FOUND when the bytes are not exactly one, or one is malformed inside."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.extensions  # noqa: B018 - parses them, so that malformed ones show here
    except (ValueError, UnsupportedAlgorithm):
        raise Finding(
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND, "CERTIFICATE_UNREADABLE", "not a certificate"
        ) from None
    return certificate


def serial(certificate: x509.Certificate) -> str:
    """Serial number in hex."""
    return f"{certificate.serial_number:x}"


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may issue certificates (RFC 5280 §4.2.1.3 and §4.2.1.9)."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and usage.key_cert_sign


def check_algorithms(certificate: x509.Certificate) -> None:
    """Key and signature algorithm against the policy (Circular 15/2025/TT-BKHCN); raises Finding."""
    try:
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        raise _weak("KEY_UNSUPPORTED", "RSA of at least 2048 bits, or ECDSA on P-256 or P-384") from None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA:
            raise _weak("KEY_TOO_SMALL", "RSA keys have at least 2048 bits")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise _weak("KEY_UNSUPPORTED", "RSA of at least 2048 bits, or ECDSA on P-256 or P-384")
    if digest is None or digest.name not in HASHES:
        raise _weak("CERTIFICATE_DIGEST_WEAK", "certificates are signed with SHA-256, SHA-384 or SHA-512")


def check_purpose(certificate: x509.Certificate) -> None:
    """Key usage and purpose of a signer's certificate; raises Finding."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise _chain("KEY_USAGE_MISSING", "the certificate has no key usage") from None
    if not usage.digital_signature and not usage.content_commitment:
        raise _chain("KEY_USAGE_WRONG", "the certificate is not for signatures")
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not PURPOSES.intersection(purposes):
        raise _chain("PURPOSE_WRONG", "the certificate is not for signing documents")


def check_time(certificate: x509.Certificate, at: datetime) -> None:
    """Validity at a time; raises Finding."""
    if at < certificate.not_valid_before_utc:
        raise Finding(
            SubIndication.OUT_OF_BOUNDS_NO_POE, "CERTIFICATE_NOT_YET_VALID", "the certificate is not valid yet"
        )
    if at > certificate.not_valid_after_utc:
        raise Finding(SubIndication.OUT_OF_BOUNDS_NO_POE, "CERTIFICATE_EXPIRED", "the certificate has expired")


def find_path(
    signer: x509.Certificate, roots: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate], at: datetime
) -> Path:
    """The path to a registered root through registered intermediates, each link checked by signature, not by name alone. Raises Finding."""
    path = [signer]
    while len(path) <= LONGEST_PATH:
        tip = path[-1]
        issuer = _issuer(tip, roots)
        if issuer is not None:
            complete = [*path, issuer]
            for certificate in complete[1:]:
                _check_authority(certificate, at)
            return Path(tuple(map(fingerprint, complete)), fingerprint(complete[1]))
        above = _issuer(tip, intermediates)
        if above is None or above in path:
            break
        path.append(above)
    raise Finding(SubIndication.NO_CERTIFICATE_CHAIN_FOUND, "CHAIN_NOT_FOUND", "no path to a registered trust anchor")


def _issuer(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return candidate
    return None


def _check_authority(certificate: x509.Certificate, at: datetime) -> None:
    if not is_authority(certificate):
        raise _chain("ISSUER_NOT_AUTHORITY", "an issuer is not a certification authority")
    check_algorithms(certificate)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise _chain("ISSUER_OUT_OF_BOUNDS", "an issuer's certificate is not valid at this time")


def _weak(reason: str, text: str) -> Finding:
    return Finding(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, reason, text)


def _chain(reason: str, text: str) -> Finding:
    return Finding(SubIndication.CHAIN_CONSTRAINTS_FAILURE, reason, text)


class PathCache:
    """Paths by (certificate, trust version, hour): a miss costs more than twice the signature. Bounded; oldest first out."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], Path] = OrderedDict()

    def find(
        self,
        signer: x509.Certificate,
        roots: Sequence[x509.Certificate],
        intermediates: Sequence[x509.Certificate],
        at: datetime,
        version: int,
    ) -> Path:
        """As `find_path`; only paths that were found are kept."""
        key = (fingerprint(signer), version, int(at.timestamp()) // 3600)
        known = self._known.get(key)
        if known is None:
            known = find_path(signer, roots, intermediates, at)
            self._known[key] = known
            if len(self._known) > _CACHE:
                self._known.popitem(last=False)
        return known
