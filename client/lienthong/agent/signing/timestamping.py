"""Time-stamps of RFC 3161 from the authority that the profile names, checked before they are used."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509

from lienthong.agent.signing.signer import SigningError

Stamp: TypeAlias = Callable[[bytes], bytes]
"""Gets a token (DER) over the SHA-256 of what is given. Raises TimestampRefused."""

_TIMEOUT: Final = 15.0
_LARGEST_ANSWER: Final = 256 * 1024


class TimestampRefused(SigningError):
    """The authority cannot be reached, refuses, or answers with a token that does not hold."""


class TimestampClient:
    """Asks one authority. `roots` is a PEM file; the authority's certificate must lead to one of them."""

    def __init__(self, url: str, roots: Path) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise TimestampRefused("the time-stamp authority must be an http or https URL")
        try:
            self._roots = x509.load_pem_x509_certificates(roots.read_bytes())
        except (OSError, ValueError) as error:
            raise TimestampRefused(f"{roots.name}: no certificates in PEM") from error
        self._url = url
        # Tokens are signed, so many authorities speak plain HTTP; where it is TLS, the system's roots decide.
        self._context = ssl.create_default_context()

    def __call__(self, data: bytes) -> bytes:
        """A token over `data`. Raises TimestampRefused."""
        from rfc3161_client import (
            HashAlgorithm,
            TimestampRequestBuilder,
            VerificationError,
            VerifierBuilder,
            decode_timestamp_response,
        )

        asked = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
        body = self._post(asked.as_bytes())
        verifier = VerifierBuilder.from_request(asked)
        for root in self._roots:
            verifier = verifier.add_root_certificate(root)
        try:
            answer = decode_timestamp_response(body)
            verifier.build().verify_message(answer, data)
            return bytes(answer.time_stamp_token())
        except VerificationError as error:
            raise TimestampRefused("the time-stamp authority refused, or its token does not hold") from error
        except ValueError as error:
            raise TimestampRefused("the time-stamp authority's answer cannot be read") from error

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query"}
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310 - the scheme was checked
                found: bytes = answer.read(_LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            raise TimestampRefused(f"the time-stamp authority answered {error.code}") from error
        except (OSError, ValueError) as error:
            raise TimestampRefused(f"the time-stamp authority cannot be reached: {type(error).__name__}") from error
        if len(found) > _LARGEST_ANSWER:
            raise TimestampRefused("the time-stamp authority's answer is too long")
        return found
