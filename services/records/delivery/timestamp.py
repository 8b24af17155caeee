"""Archive time-stamps from an RFC 3161 authority over HTTP (RFC 3161 §3.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from lienthong.client.evidence import signed_data
from lienthong.client.evidence.timestamps import TokenRefused, open_token
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from services.records.config import ArchiveSettings
from services.records.ports import TimestampUnavailable
from services.records.proof import ArchiveStamp

_LARGEST_ANSWER = 256 * 1024
_ALGORITHMS = {"sha256": HashAlgorithm.SHA256, "sha512": HashAlgorithm.SHA512}
_CURVES = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
_PSS = "1.2.840.113549.1.1.10"


class HttpTimestampAuthority:
    """`TimestampAuthority`. What it answers is verified as a stranger to it would, before it is kept."""

    def __init__(self, http: aiohttp.ClientSession, url: str, roots: Sequence[x509.Certificate]) -> None:
        self._http = http
        self._url = url
        self._roots = tuple(roots)

    async def stamp(self, data: bytes, digest: str) -> ArchiveStamp:
        """Asks for a token with the authority's certificate inside."""
        request = TimestampRequestBuilder().data(data).hash_algorithm(_ALGORITHMS[digest]).build()
        headers = {"Content-Type": "application/timestamp-query"}
        try:
            async with self._http.post(
                self._url, data=request.as_bytes(), headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.content.read(_LARGEST_ANSWER + 1)
                while len(body) <= _LARGEST_ANSWER and (more := await answer.content.read(_LARGEST_ANSWER)):
                    body += more
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise TimestampUnavailable("UNREACHABLE") from None
        if status != 200 or len(body) > _LARGEST_ANSWER:
            raise TimestampUnavailable(f"HTTP_{status}" if status != 200 else "ANSWER_TOO_LONG")
        try:
            response = decode_timestamp_response(body)
            if response.tst_info.nonce != request.nonce:
                raise TimestampUnavailable("NONCE_MISMATCH")
            encoded = response.time_stamp_token()
            token = open_token(encoded, self._roots)
        except (ValueError, TokenRefused):
            raise TimestampUnavailable("TOKEN_INVALID") from None
        if token.digest != digest or not token.covers(data):
            raise TimestampUnavailable("IMPRINT_MISMATCH")
        algorithm, bits = _algorithm(token.authority, encoded)
        return ArchiveStamp(encoded, token.time, algorithm, bits, token.authority.not_valid_after_utc)


def _algorithm(authority: x509.Certificate, token: bytes) -> tuple[str, int]:
    """Name as in the signature policy, and bits of the key where the name does not fix them."""
    signed = signed_data.parse(token)
    digest = signed.digest.replace("_", "-")
    key = authority.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{'pss' if signed.algorithm == _PSS else 'pkcs1v15'}-{digest}", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ecdsa-{_CURVES.get(key.curve.name, key.curve.name)}-{digest}", 0
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", 0
    raise TimestampUnavailable("ALGORITHM_UNKNOWN")


@asynccontextmanager
async def open_authority(settings: ArchiveSettings) -> AsyncIterator[HttpTimestampAuthority]:
    """The authority of the settings. Its answers are signed, so plain HTTP is as good as TLS."""
    roots = x509.load_pem_x509_certificates(settings.roots.read_bytes()) if settings.roots else []
    timeout = aiohttp.ClientTimeout(total=settings.timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        yield HttpTimestampAuthority(http, settings.url, roots)
