"""Strict profile of a detached JWS (RFC 7515 appendix F) with unencoded payload (RFC 7797) at level JAdES-B (ETSI TS
119 182-1), compact form, over any bytes.

The header is one JSON object without repeated names and with known members only; `b64` is false and critical; the
signer's certificate stands in `x5c` and its digest in `x5t#S256`, so it is among what is signed and cannot be swapped.
No address in a header is followed; one that has `jku`, `x5u` or `jwk` is refused. Compact form has no room for a
time-stamp.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.registry import HeaderParameter

from services.signing.formats.facts import Finding, SignatureFacts, SignatureScope, SubIndication
from services.signing.formats.keys import ACCEPTED, SignerCertificate, signer_certificate
from services.signing.model import SignatureFormat, SignatureLevel

LARGEST_SIGNATURE = 64 * 1024
"""Longest signature that is parsed, in bytes."""

MOST_CERTIFICATES = 8
"""Most certificates in a signature."""

_LARGEST_PAYLOAD = 256 * 1024 * 1024
_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_DIGESTS = {
    **{f"{family}{bits}": f"sha{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)},
    "EdDSA": "sha512",
    "Ed25519": "sha512",
}
_NAMES = {"RS": "rsa-pkcs1v15", "PS": "rsa-pss"}
_WEAK = {"none", "RS1", "HS1"}
_MEMBERS = {"alg", "b64", "crit", "x5c", "x5t#S256", "sigT", "iat", "typ", "cty", "kid"}
_CRITICAL = {"b64", "sigT", "iat", "x5t#S256"}


class _Registry(jws.JWSRegistry):
    """joserfc's rules with room for certificates; its limit of 512 bytes is for tokens."""

    max_header_length = LARGEST_SIGNATURE
    max_signature_length = LARGEST_SIGNATURE
    max_payload_length = _LARGEST_PAYLOAD

    def get_alg(self, name: str) -> Any:
        """EdDSA of RFC 8037 with an Ed25519 key is what RFC 9864 calls Ed25519."""
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


_REGISTRY = _Registry(
    header_registry={
        "sigT": HeaderParameter("Claimed signing time", "str"),
        "iat": HeaderParameter("Issued at", "int"),
    },
    algorithms=[name for name in _DIGESTS if name != "EdDSA"],
)


@dataclass(frozen=True)
class _Header:
    """What counts of a header."""

    algorithm: str
    certificates: tuple[bytes, ...]
    signing_time: datetime | None


def verify_jws(content: bytes, signature: bytes) -> SignatureFacts:
    """Verifies a detached signature over `content`. Raises a Finding; never anything else, whatever the bytes."""
    if not signature:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "there is no signature")
    if len(signature) > LARGEST_SIGNATURE:
        raise _format("SIGNATURE_TOO_LARGE", f"a signature has at most {LARGEST_SIGNATURE} bytes")
    parts = _COMPACT.fullmatch(signature)
    if parts is None:
        raise _format("JWS_MALFORMED", "not one JWS in compact form")
    if parts[2]:
        raise _format("CONTENT_NOT_DETACHED", "the signature is detached")
    if not content:
        raise Finding(SubIndication.SIGNED_DATA_NOT_FOUND, "CONTENT_EMPTY", "an empty payload cannot be told from none")
    _segment(parts[3])
    header = _header(_members(_segment(parts[1])))
    certificate = signer_certificate(header.certificates[0])
    _verify(content, signature, certificate)
    family = _NAMES.get(header.algorithm[:2])
    digest = _DIGESTS[header.algorithm]
    if family is None:
        family = certificate.key_name
    return SignatureFacts(
        format=SignatureFormat.JWS_DETACHED,
        scope=SignatureScope.FULL,
        signer_certificate_der=certificate.der,
        algorithm=family if family == "ed25519" else f"{family}-{digest}",
        digest_algorithm=digest,
        claimed_signing_time=header.signing_time,
        covered=content,
        level=SignatureLevel.PLAIN if header.signing_time is None else SignatureLevel.B,
        embedded=header.certificates[1:],
        key_bits=certificate.key_bits,
    )


def _verify(content: bytes, signature: bytes, certificate: SignerCertificate) -> None:
    # PKCS#1 values have no digest to compare first: a wrong document and a wrong value look the same in JWS.
    try:
        opened = jws.extract_compact(signature, content, _REGISTRY)
        _REGISTRY.check_header(opened.headers())
        algorithm = _REGISTRY.get_alg(opened.headers()["alg"])
    except (JoseError, ValueError) as error:
        raise _format("JWS_MALFORMED", "not one JWS in compact form") from error
    key = _key(certificate.der)
    try:
        algorithm.check_key(key)
    except JoseError as error:
        raise Finding(
            SubIndication.SIG_CRYPTO_FAILURE,
            "KEY_TYPE_MISMATCH",
            "the certificate's key is of another type than the signature algorithm",
        ) from error
    try:
        good = jws.validate_compact(opened, key, registry=_REGISTRY)
    except (JoseError, ValueError):
        good = False
    if not good:
        raise Finding(
            SubIndication.SIG_CRYPTO_FAILURE,
            "SIGNATURE_VALUE_WRONG",
            "the signature value does not verify with the certificate's key over this content",
        )


@lru_cache(maxsize=1024)
def _key(certificate: bytes) -> Key:
    key = signer_certificate(certificate).key
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ECKey.import_key(der)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return OKPKey.import_key(der)
    return RSAKey.import_key(der)


def _members(header: bytes) -> Mapping[str, Any]:
    """The header's members; a Finding when a name stands twice, where readers differ in which one counts."""
    try:
        members = json.loads(header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _format("HEADER_MALFORMED", "the header is not one JSON object") from error
    if not isinstance(members, dict):
        raise _format("HEADER_MALFORMED", "the header is not one JSON object")
    return members


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _format("HEADER_NOT_UNIQUE", "a name stands twice in the header")
    return members


def _no_constant(_: str) -> Any:
    raise ValueError("not JSON")


def _header(members: Mapping[str, Any]) -> _Header:
    if "sigPId" in members:
        raise Finding(
            SubIndication.SIGNATURE_POLICY_NOT_AVAILABLE,
            "SIGNATURE_POLICY_UNKNOWN",
            "the signature names a signature policy of its own",
        )
    if not members.keys() <= _MEMBERS:
        raise _format("HEADER_UNEXPECTED", "the header has a member that is not known")
    algorithm = members.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _DIGESTS:
        weak = "WEAK" if algorithm in _WEAK else "UNSUPPORTED"
        raise Finding(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, f"SIGNATURE_ALGORITHM_{weak}", ACCEPTED)
    critical = members.get("crit")
    if not isinstance(critical, list) or not all(isinstance(name, str) for name in critical):
        raise _format("CRITICAL_WRONG", "`crit` is a list of names")
    if len(set(critical)) != len(critical) or not set(critical) <= (_CRITICAL & members.keys()):
        raise _format("CRITICAL_WRONG", "`crit` names members that are there and known, once each")
    if members.get("b64") is not False or "b64" not in critical:
        raise _format("PAYLOAD_ENCODED", "`b64` is false and critical (RFC 7797 §6)")
    if not all(isinstance(members.get(name, ""), str) for name in ("typ", "cty", "kid")):
        raise _format("HEADER_UNEXPECTED", "a member has a wrong type")
    return _Header(algorithm, _certificates(members), _signing_time(members))


def _certificates(members: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The certificates of `x5c`, the signer's first, whose digest `x5t#S256` is."""
    chain, thumbprint = members.get("x5c"), members.get("x5t#S256")
    if not isinstance(chain, list) or not chain or not isinstance(thumbprint, str):
        raise Finding(
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
            "SIGNING_CERTIFICATE_MISSING",
            "the header has `x5c` and `x5t#S256`",
        )
    if len(chain) > MOST_CERTIFICATES:
        raise _format("CERTIFICATES_TOO_MANY", f"a signature carries at most {MOST_CERTIFICATES} certificates")
    certificates = tuple(map(_base64, chain))
    expected = base64.urlsafe_b64encode(hashlib.sha256(certificates[0]).digest()).rstrip(b"=").decode("ascii")
    if thumbprint != expected:
        raise Finding(
            SubIndication.NO_SIGNING_CERTIFICATE_FOUND,
            "SIGNING_CERTIFICATE_MISMATCH",
            "`x5t#S256` is of another certificate than `x5c`",
        )
    return certificates


def _signing_time(members: Mapping[str, Any]) -> datetime | None:
    """`iat` (TS 119 182-1 v1.2.1) or `sigT` (v1.1.1), not both."""
    issued, stated = members.get("iat"), members.get("sigT")
    if "iat" in members and "sigT" in members:
        raise _format("SIGNING_TIME_WRONG", "the header has two signing times")
    try:
        if isinstance(issued, int) and not isinstance(issued, bool):
            return datetime.fromtimestamp(issued, UTC)
        if isinstance(stated, str) and _TIME.fullmatch(stated):
            return datetime.fromisoformat(stated)
    except (ValueError, OverflowError, OSError) as error:
        raise _format("SIGNING_TIME_WRONG", "the signing time is not a time") from error
    if "iat" in members or "sigT" in members:
        raise _format("SIGNING_TIME_WRONG", "the signing time is not a time")
    return None


def _base64(text: Any) -> bytes:
    """Base64 with padding, in its one spelling (RFC 7515 §4.1.6)."""
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True) if isinstance(text, str) else b""
    except (binascii.Error, UnicodeEncodeError):
        value = b""
    if not value or base64.b64encode(value).decode("ascii") != text:
        raise _format("BASE64_MALFORMED", "`x5c` holds base64")
    return value


def _segment(text: bytes) -> bytes:
    """Base64url without padding, in its one spelling (RFC 7515 §2): a second spelling would be a second signature."""
    try:
        value = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise _format("BASE64_MALFORMED", "a segment is not base64url") from error
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text:
        raise _format("BASE64_MALFORMED", "a segment is not base64url in its one spelling")
    return value


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
