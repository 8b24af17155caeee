"""A time-stamp authority over HTTP (RFC 3161 §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from services.signing.peers.bounded import AnswerTooLong, read_at_most
from services.signing.ports import TimestampFailed

_LARGEST_ANSWER = 256 * 1024
_GRANTED = bytes.fromhex("3003020100")
"""PKIStatusInfo `granted` (RFC 3161 §2.4.2), which makes an answer of a bare token."""


def verify_token(token: bytes, content: bytes, roots: Sequence[x509.Certificate]) -> None:
    """Raises TimestampFailed unless the kept token (DER) is over the content and leads to one of the roots."""
    body = _GRANTED + token
    length = len(body)
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    head = bytes([length]) if length < 0x80 else bytes([0x80 | len(octets)]) + octets
    verifier = VerifierBuilder()
    for root in roots:
        verifier = verifier.add_root_certificate(root)
    try:
        verifier.build().verify_message(decode_timestamp_response(b"\x30" + head + body), content)
    except (VerificationError, ValueError, x509.InvalidVersion):
        raise TimestampFailed("TOKEN_INVALID") from None


class HttpTimestampAuthority:
    """`TimestampAuthority` at a URL; its certificate must lead to one of `roots` at the time that the token states."""

    def __init__(self, http: aiohttp.ClientSession, url: str, roots: Sequence[x509.Certificate]) -> None:
        self._http = http
        self._url = url
        self._roots = list(roots)

    async def stamp(self, content: bytes) -> tuple[bytes, datetime]:
        """Asks for a token over SHA-256 of the content, with a fresh nonce and the authority's certificates inside."""
        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        headers = {"Content-Type": "application/timestamp-query"}
        try:
            async with self._http.post(
                self._url, data=request.as_bytes(), headers=headers, allow_redirects=False
            ) as answer:
                status, body = answer.status, await read_at_most(answer, _LARGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise TimestampFailed("UNREACHABLE") from None
        except AnswerTooLong:
            raise TimestampFailed("ANSWER_TOO_LONG") from None
        if status != 200:
            raise TimestampFailed(f"HTTP_{status}")
        verifier = VerifierBuilder.from_request(request)
        for root in self._roots:
            verifier = verifier.add_root_certificate(root)
        try:
            response = decode_timestamp_response(body)
            verifier.build().verify_message(response, content)
            stated = response.tst_info.gen_time
            token = response.time_stamp_token()
        except VerificationError:
            raise TimestampFailed("TOKEN_INVALID") from None
        except (ValueError, x509.InvalidVersion):
            raise TimestampFailed("ANSWER_MALFORMED") from None
        return token, stated if stated.tzinfo else stated.replace(tzinfo=UTC)
