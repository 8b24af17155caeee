"""How this role authenticates to the national ID app: a short-lived assertion signed with its own key (private_key_jwt, RFC 7523)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey

from services.chassis.clock import Clock

_LIFE = timedelta(minutes=1)


class ClientAssertion:
    """Signs assertions; `key` is our private ES256 key as a JWK file."""

    def __init__(self, client: str, key: Path, clock: Clock) -> None:
        self._client = client
        self._key = ECKey.import_key(json.loads(key.read_text("utf-8")))
        self._clock = clock

    def to(self, audience: str) -> str:
        """An assertion for the endpoint of this URL, valid for a minute."""
        now = self._clock()
        claims = {
            "iss": self._client,
            "sub": self._client,
            "aud": audience,
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int((now + _LIFE).timestamp()),
        }
        return jwt.encode({"alg": "ES256"}, claims, self._key)
