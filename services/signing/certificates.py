"""Facts of certificates and path validation. Pure; no subject name, which may hold a citizen's number, ever leaves it.

Chains are built here from registered authorities only, each link checked by its signature, because the verifier of
`cryptography` refuses in sentences and not in codes, and accepts short keys. What is left of RFC 5280 §6 (path length,
name constraints, critical extensions) is that verifier's work. Nothing is fetched."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from services.signing.formats.facts import Finding, SubIndication
from services.signing.formats.keys import checked_key, parse_certificate

HASHES = ("sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512")
"""Digests that a certificate may be signed with at all; the policy says until when."""

TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_CURVES = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""Extended key usage for document signing (RFC 9336)."""

PURPOSES = frozenset({DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION})
"""Purposes accepted for signing; a certificate for servers or clients only is none."""

LONGEST_PATH = 4
"""Most certificates below the root, the signer's included."""

_CACHE = 4096
_MOST_PATHS = 16
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Path:
    """A path from a signer to a registered root, as SHA-256 fingerprints in hex, and the authority that issued the
    signer.

    All certificates of the path are valid, and all its authorities trusted, from `starts_at` to `ends_at` (UTC).
    `certificates` are those of the fingerprints, `serials` their serial numbers in hex; `algorithms` are those that the
    path relies on. All that is worked out once for a path, since paths are cached.
    """

    fingerprints: tuple[str, ...]
    issuer: str
    starts_at: datetime
    ends_at: datetime
    certificates: tuple[x509.Certificate, ...] = ()
    serials: tuple[str, ...] = ()
    algorithms: tuple[UsedAlgorithm, ...] = ()
    encoded: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Anchors:
    """The authorities trusted for one purpose. `sunsets` says when trust in some of them ends, by fingerprint."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate]
    sunsets: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class UsedAlgorithm:
    """An algorithm that one certificate of a path relies on: `name` such as `rsa-pkcs1v15-sha256`, the bits of the key
    that made the signature, and when the signature cannot be older than.
    """

    name: str
    key_bits: int
    produced_after: datetime


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, 64 hex digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def encoded(certificate: x509.Certificate) -> bytes:
    """The certificate, DER."""
    return certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True)
class Signer:
    """A signer's certificate with what is judged of it whenever it is met: fingerprint, bits of an RSA key, start of its validity (UTC), and
    the finding on its algorithms and purpose, None when both are good."""

    certificate: x509.Certificate
    fingerprint: str
    key_bits: int
    starts_at: datetime
    finding: Finding | None


@lru_cache(maxsize=_CACHE)
def signer(der: bytes) -> Signer:
    """A signer from its certificate; raises Finding NO_SIGNING_CERTIFICATE_FOUND when the bytes are none."""
    certificate = load(der)
    finding: Finding | None = None
    bits = 0
    try:
        check_algorithms(certificate)
        check_purpose(certificate)
        bits = key_size(certificate)
    except Finding as found:
        finding = found.again()
    return Signer(certificate, fingerprint(certificate), bits, certificate.not_valid_before_utc, finding)


@lru_cache(maxsize=_CACHE)
def load(der: bytes) -> x509.Certificate:
    """A certificate; raises Finding NO_SIGNING_CERTIFICATE_FOUND when the bytes are not exactly one, or one is
    malformed inside."""
    certificate = parse_certificate(der)
    try:
        certificate.extensions  # noqa: B018 - parses them, so that malformed ones show here
        certificate.subject  # noqa: B018
        certificate.issuer  # noqa: B018
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise Finding(
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND, "CERTIFICATE_UNREADABLE", "not a certificate"
        ) from None
    return certificate


def serial(certificate: x509.Certificate) -> str:
    """Serial number in hex."""
    return f"{certificate.serial_number:x}"


def issuer_key_id(certificate: x509.Certificate) -> str:
    """Key identifier of the issuer in hex, empty when the certificate names none (RFC 5280 §4.2.1.1)."""
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return ""
    return (identifier or b"").hex()


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
    checked_key(certificate)
    if certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
        return
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if digest is None or digest.name not in HASHES:
        raise _weak("CERTIFICATE_DIGEST_WEAK", "certificates are signed with SHA-2 or SHA-3 of 256 bits or more")


def key_size(certificate: x509.Certificate) -> int:
    """Bits of an RSA key, 0 for others: their names fix it."""
    key = certificate.public_key()
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0


def used_algorithms(chain: Sequence[x509.Certificate]) -> Sequence[UsedAlgorithm]:
    """How each certificate of a path, signer first, is signed by the next; the root's own signature proves nothing."""
    found = []
    for certificate, issuer in itertools.pairwise(chain):
        key = issuer.public_key()
        digest = certificate.signature_hash_algorithm
        if isinstance(key, ed25519.Ed25519PublicKey) or digest is None:
            name = "ed25519"
        elif isinstance(key, ec.EllipticCurvePublicKey):
            name = f"{_CURVES.get(key.curve.name, key.curve.name)}-{digest.name}"
        else:
            padded = certificate.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
            name = f"rsa-{'pss' if padded else 'pkcs1v15'}-{digest.name}"
        found.append(UsedAlgorithm(name, key_size(issuer), certificate.not_valid_before_utc))
    return found


def check_purpose(certificate: x509.Certificate) -> None:
    """Key usage and purpose of a signer's certificate; raises Finding.

    A certificate without extended key usage is not restricted to purposes (RFC 5280 §4.2.1.12); its key usage still has
    to allow signatures."""
    if is_authority(certificate):
        raise _chain("AUTHORITY_AS_SIGNER", "the certificate is that of a certification authority")
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


def check_timestamping(certificate: x509.Certificate) -> None:
    """Purpose of a time-stamping authority's certificate: critical, and nothing but time-stamping (RFC 3161 §2.3); raises Finding."""
    if is_authority(certificate):
        raise _chain("AUTHORITY_AS_SIGNER", "the certificate is that of a certification authority")
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise _chain("PURPOSE_WRONG", "the certificate is not for time-stamps") from None
    if not purposes.critical or list(purposes.value) != [TIME_STAMPING]:
        raise _chain("PURPOSE_WRONG", "the certificate is not for time-stamps alone")


def check_time(certificate: x509.Certificate, at: datetime) -> None:
    """Validity at a time; raises Finding."""
    if at < certificate.not_valid_before_utc:
        raise Finding(
            SubIndication.OUT_OF_BOUNDS_NO_POE, "CERTIFICATE_NOT_YET_VALID", "the certificate is not valid yet"
        )
    if at > certificate.not_valid_after_utc:
        raise Finding(SubIndication.OUT_OF_BOUNDS_NO_POE, "CERTIFICATE_EXPIRED", "the certificate has expired")


def find_path(
    signer: x509.Certificate,
    roots: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    at: datetime,
    sunsets: Mapping[str, datetime] | None = None,
) -> Path:
    """The path to a registered root through registered intermediates that holds at a time. Raises Finding.

    Where several paths lead to a root (renewed or cross-signed authorities), one that holds is enough; the finding is
    that of the first."""
    refused: Finding | None = None
    for number, chain in enumerate(_chains([signer], roots, intermediates)):
        try:
            return _checked(chain, at, sunsets or {})
        except Finding as finding:
            refused = refused or finding
        if number >= _MOST_PATHS:
            break
    raise refused or Finding(
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND, "CHAIN_NOT_FOUND", "no path to a registered trust anchor"
    )


def _chains(
    path: list[x509.Certificate], roots: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate]
) -> Iterator[list[x509.Certificate]]:
    """Every chain of valid signatures from the first certificate to a root, shortest first at each step."""
    for root in roots:
        if issued_by(path[-1], root):
            yield [*path, root]
    if len(path) < LONGEST_PATH:
        for intermediate in intermediates:
            if intermediate not in path and issued_by(path[-1], intermediate):
                yield from _chains([*path, intermediate], roots, intermediates)


def issued_by(certificate: x509.Certificate, candidate: x509.Certificate) -> bool:
    """Whether the name and the signature of a certificate are those of its candidate issuer."""
    if candidate.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(candidate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _checked(chain: Sequence[x509.Certificate], at: datetime, sunsets: Mapping[str, datetime]) -> Path:
    signer, *authorities = chain
    ends = [certificate.not_valid_after_utc for certificate in chain]
    for authority in authorities:
        _check_authority(authority, at)
        sunset = sunsets.get(fingerprint(authority))
        if sunset is not None and sunset <= at:
            # ETSI EN 319 102-1 §5.1.3: the anchor was trusted once, and nothing proves that the signature is that old.
            raise Finding(
                SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE, "AUTHORITY_SUNSET", "trust in an issuer has ended"
            )
        if sunset is not None:
            ends.append(sunset - _TICK)
    check_time(signer, at)
    verifier = (
        PolicyBuilder()
        .store(Store([chain[-1]]))
        .time(at)
        .max_chain_depth(LONGEST_PATH)
        # The default for end entities asks for a web server's or client's certificate; `check_purpose` is ours.
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        verifier.verify(signer, list(authorities[:-1]))
    except VerificationError:
        # Its text quotes the subject.
        raise _chain("PATH_REFUSED", "the path does not fulfil RFC 5280") from None
    return Path(
        tuple(map(fingerprint, chain)),
        fingerprint(chain[1]),
        max(certificate.not_valid_before_utc for certificate in chain),
        min(ends),
        tuple(chain),
        tuple(map(serial, chain)),
        tuple(used_algorithms(chain)),
        tuple(map(encoded, chain)),
    )


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
    """Paths by (certificate, trust version, hour): a miss costs more than twice the signature. Bounded; oldest first
    out."""

    def __init__(self, capacity: int = _CACHE) -> None:
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, int, int], Path] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def find(
        self,
        signer: x509.Certificate,
        roots: Sequence[x509.Certificate],
        intermediates: Sequence[x509.Certificate],
        at: datetime,
        version: int,
        sunsets: Mapping[str, datetime] | None = None,
        name: str = "",
    ) -> Path:
        """As `find_path`, where `name` is the signer's fingerprint if it is known.

        Only paths that were found are kept, and used only while all their certificates are valid."""
        key = (name or fingerprint(signer), version, int(at.timestamp()) // 3600)
        known = self._known.get(key)
        if known is None or not known.starts_at <= at <= known.ends_at:
            known = find_path(signer, roots, intermediates, at, sunsets)
            self._known[key] = known
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
        return known
