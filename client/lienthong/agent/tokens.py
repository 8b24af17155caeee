"""Access tokens for the facility's system: OAuth 2.0 client credentials, authenticated by the client certificate (RFC 6749 §4.4, RFC 8705 §2.1)."""

from __future__ import annotations

import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

_EARLY = 60.0
"""Seconds before its end at which a token is replaced; the same as the leeway of the services."""
_TIMEOUT = 10.0
_LARGEST_ANSWER = 65536


class TokenRefused(Exception):
    """The token endpoint refused or could not be reached; the text holds its error code, never a secret."""


class ClientCredentials:
    """Fetches and keeps an access token. Calling the object returns a valid token; safe for use by several threads.

    `licence` and `role` ask for a token of a practitioner for whom the facility vouches; `authentication` says how (acr) and when (seconds since
    1970) it authenticated them, where it did so with more than usual.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        authority: Path,
        certificate: Path,
        private_key: Path,
        licence: str = "",
        role: str = "",
        authentication: tuple[str, int] = ("", 0),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if urllib.parse.urlsplit(endpoint).scheme != "https":
            raise TokenRefused("the token endpoint must be an https URL")
        self._endpoint = endpoint
        self._context = ssl.create_default_context(cafile=str(authority))
        self._context.load_cert_chain(str(certificate), str(private_key))
        self._form = {"grant_type": "client_credentials"}
        if licence:
            self._form |= {"licence": licence, "role": role or "doctor"}
        acr, at = authentication
        if licence and acr:
            self._form |= {"acr": acr, "auth_time": str(at)}
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token = ""
        self._until = float("-inf")

    def __call__(self) -> str:
        """A token with at least a minute to live."""
        with self._lock:
            if self._monotonic() >= self._until:
                self._token, seconds = self._fetch()
                self._until = self._monotonic() + max(seconds - _EARLY, 1.0)
            return self._token

    def _fetch(self) -> tuple[str, float]:
        body = urllib.parse.urlencode(self._form).encode()
        request = urllib.request.Request(self._endpoint, body, {"Content-Type": "application/x-www-form-urlencoded"})  # noqa: S310 - https was checked
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310 - https was checked
                fields = json.loads(answer.read(_LARGEST_ANSWER))
                return str(fields["access_token"]), float(fields["expires_in"])
        except urllib.error.HTTPError as error:
            raise TokenRefused(f"token endpoint answered {error.code}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TokenRefused(f"token endpoint: {type(error).__name__}") from error
