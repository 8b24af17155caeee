"""The signatures beside the document, checked again as far as this package can: CMS, batch and JWS. XML signatures need
canonical XML, which the client wheel has no library for; of them it checks the evidence and not the value.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from lienthong.client.batch import BatchError, BatchManifest, verify_membership
from lienthong.client.evidence import signed_data
from lienthong.client.evidence.certificates import CertificateRefused, fingerprint, load
from lienthong.client.evidence.errors import MemberMalformed, MemberMissing, SignatureInvalid
from lienthong.client.evidence.signed_data import HASHES, SignedDataInvalid

MEMBER = "signatures.json"
CMS, XADES, JWS, BATCH = "CMS_DETACHED", "XADES_DETACHED", "JWS_DETACHED", "BATCH"
# What reading and verifying bytes of any content may raise; the parser's errors are syntax errors in Python's eyes.
_WRONG = (
    SignedDataInvalid,
    BatchError,
    CertificateRefused,
    InvalidSignature,
    ET.ParseError,
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    RecursionError,
)
_CURVES = {
    "ES256": ("secp256r1", "sha256", 32),
    "ES384": ("secp384r1", "sha384", 48),
    "ES512": ("secp521r1", "sha512", 66),
}
_LEAST_RSA_BITS = 2048
_CRITICAL = {"b64", "sigT", "iat", "x5t#S256"}


@dataclass(frozen=True)
class Listed:
    """One signature beside the document, as the package lists it."""

    file: str
    form: str
    part: str
    content: bytes
    batch: tuple[str, int, tuple[bytes, ...]] | None


@dataclass(frozen=True)
class Rechecked:
    """A signature that holds over the document: its signer's certificate, and the value that a time-stamp is over."""

    form: str
    part: str
    certificate: str
    value: bytes


def read_listed(members: Mapping[str, bytes]) -> list[Listed]:
    """The signatures of the package. Raises MemberMissing, MemberMalformed."""
    try:
        found = [_listed(one, members) for one in json.loads(members[MEMBER])]
    except KeyError as error:
        raise MemberMissing("not there", MEMBER if MEMBER not in members else str(error.args[0])) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MemberMalformed("not a list of signatures", MEMBER) from error
    carried = {one.file for one in found}
    stray = [name for name in members if name.startswith("signatures/") and name not in carried]
    if stray:
        raise MemberMalformed("a signature that is not listed", stray[0])
    return found


def _listed(one: dict[str, Any], members: Mapping[str, bytes]) -> Listed:
    batch = one.get("batch")
    place = None
    if batch is not None:
        place = (str(batch["manifest"]), int(batch["index"]), tuple(bytes.fromhex(step) for step in batch["path"]))
    return Listed(str(one["file"]), str(one["format"]), str(one["part"]), members[one["file"]], place)


def recheck(listed: Listed, document: bytes) -> Rechecked | None:
    """Verifies a signature over the document or its part; None for a form that is not checked here. Raises
    SignatureInvalid.
    """
    if listed.form == XADES:
        return None
    try:
        content = inner_table(document, listed.part) if listed.part else document
        if listed.form == JWS:
            certificate, value = _jws(listed.content, content)
        else:
            if listed.form == BATCH:
                content = _batch(listed, content)
            signed = signed_data.parse(listed.content)
            certificate, value = signed_data.verify(signed, content), signed.signature
    except _WRONG as error:
        raise SignatureInvalid(str(error) or "the signature is wrong", listed.file) from error
    return Rechecked(listed.form, listed.part, fingerprint(certificate), value)


def _batch(listed: Listed, document: bytes) -> bytes:
    if listed.batch is None:
        raise ValueError("a batch signature without its place")
    text, index, path = listed.batch
    verify_membership(BatchManifest.parse(text), index, path, document)
    return text.encode()


def inner_table(document: bytes, name: str) -> bytes:
    """Decoded bytes of an inner table of the national envelope. Raises ValueError."""
    if b"<!" in document:
        raise ValueError("a declaration that is not allowed")
    root = ET.fromstring(document)  # noqa: S314 - without declarations there is nothing to expand
    found = [
        one.findtext("NOIDUNGFILE", "") for one in root.iter("FILEHOSO") if one.findtext("LOAIHOSO", "").strip() == name
    ]
    if len(found) != 1:
        raise ValueError("the part is not there once")
    return base64.b64decode("".join(found[0].split()), validate=True)


def _jws(compact: bytes, payload: bytes) -> tuple[x509.Certificate, bytes]:
    """A JWS in compact form with detached, unencoded payload (RFC 7515 appendix F, RFC 7797)."""
    header, nothing, signature = compact.split(b".")
    stated = json.loads(_base64url(header))
    critical = set(stated.get("crit", ()))
    if nothing or stated.get("b64") is not False or "b64" not in critical or not critical <= _CRITICAL:
        raise ValueError("not detached with an unencoded payload, or something critical that is not known")
    chain: Sequence[str] = stated["x5c"]
    certificate = load(base64.b64decode(chain[0], validate=True))
    thumbprint = base64.urlsafe_b64encode(bytes.fromhex(fingerprint(certificate))).rstrip(b"=").decode()
    if stated.get("x5t#S256") != thumbprint:
        raise ValueError("the certificate is not the one that is signed")
    value = _base64url(signature)
    _verify_jws(certificate, stated["alg"], value, header + b"." + payload)
    return certificate, value


def _verify_jws(certificate: x509.Certificate, algorithm: str, value: bytes, message: bytes) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve, digest, size = _CURVES[algorithm]
        if key.curve.name != curve or len(value) != 2 * size:
            raise ValueError("the algorithm does not fit the key")
        pair = int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big")
        key.verify(encode_dss_signature(*pair), message, ec.ECDSA(HASHES[digest]))
    elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm in ("EdDSA", "Ed25519"):
        key.verify(value, message)
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS and algorithm[:2] in ("RS", "PS"):
        used = HASHES["sha" + algorithm[2:]]
        pss = padding.PSS(padding.MGF1(used), padding.PSS.DIGEST_LENGTH)
        key.verify(value, message, pss if algorithm[:2] == "PS" else padding.PKCS1v15(), used)
    else:
        raise ValueError("an algorithm or a key that is not accepted")


def _base64url(text: bytes) -> bytes:
    """Unpadded, in its one spelling."""
    try:
        value = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(value).rstrip(b"=") != text:
        raise ValueError("not base64url in its one spelling")
    return value
