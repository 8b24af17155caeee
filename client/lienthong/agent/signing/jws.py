"""Detached JWS writer (RFC 7515 appendix F, RFC 7797) with the headers of JAdES-B (ETSI TS 119 182-1), compact form, over any bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

from lienthong.agent.signing.signer import DocumentUnsignable, KeyAlgorithm, Signer

_ALGORITHMS = {KeyAlgorithm.RSA: "RS256", KeyAlgorithm.RSA_PSS: "PS256", KeyAlgorithm.P256: "ES256"}


def sign_jws(content: bytes, signer: Signer, *, signing_time: datetime | None = None) -> bytes:
    """The signature over exactly `content`, which it does not hold. `signing_time` (aware) is what the signer claims.

    Raises DocumentUnsignable when there is nothing to sign, and SigningError.
    """
    if not content:
        raise DocumentUnsignable("an empty payload cannot be told from none")
    header = {
        "alg": _ALGORITHMS[signer.algorithm],
        "b64": False,
        "crit": ["b64"],
        "iat": int((signing_time or datetime.now(UTC)).timestamp()),
        "x5c": [base64.b64encode(one).decode("ascii") for one in (signer.certificate, *signer.chain)],
        "x5t#S256": _base64url(hashlib.sha256(signer.certificate).digest()).decode("ascii"),
    }
    protected = _base64url(json.dumps(header, separators=(",", ":")).encode("ascii"))
    return protected + b".." + _base64url(signer.sign(protected + b"." + content))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
