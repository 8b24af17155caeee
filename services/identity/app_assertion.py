"""Assertions of the national ID app: who stands there, said by the app and signed by its provider (JWS, RFC 7515; claims as OpenID Connect Core §5.1
names them).

The official claims are not public (Decree 69/2024 says what may be asserted, not how), so provider, keys and audience are configuration, and the
names of claims stand here alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.chassis.clock import Clock
from services.chassis.settings import SettingsError
from services.identity.errors import AppAssertionInvalid
from services.identity.model import BirthDate, Demographics, Identifier, IdentifierType, Sex

TYPE = "check-in+jwt"
NUMBER = "citizen_number"
LEVELS = frozenset({"http://eidas.europa.eu/LoA/substantial", "http://eidas.europa.eu/LoA/high"})
"""Levels that say that the holder of the account was seen: level 2 of Decree 69/2024."""
_LONGEST_LIFE = timedelta(minutes=5)
_LEEWAY = timedelta(seconds=30)
_LONGEST = 8_192
_SEXES = {"male": Sex.MALE, "female": Sex.FEMALE}


@dataclass(frozen=True)
class AppAssertion:
    """Who the app says stands there. `id` is the provider's, good for one check-in."""

    id: str
    identifier: Identifier = field(repr=False)
    demographics: Demographics = field(repr=False)


class AppAssertions:
    """Verifies assertions of one provider."""

    def __init__(self, issuer: str, audience: str, keys: KeySet, clock: Clock) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._clock = clock

    def verify(self, text: str) -> AppAssertion:
        """Raises AppAssertionInvalid, with the cause in its metadata and nothing of what was asserted."""
        if len(text) > _LONGEST:
            raise AppAssertionInvalid("TOO_LONG")
        try:
            token = jwt.decode(text, self._keys, algorithms=["ES256"])
        except (JoseError, ValueError, TypeError):
            raise AppAssertionInvalid("SIGNATURE_INVALID") from None
        if token.header.get("typ") != TYPE:
            raise AppAssertionInvalid("TYPE_INVALID")
        claims: Mapping[str, Any] = token.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise AppAssertionInvalid("NOT_FOR_HERE")
        self._timely(claims)
        if claims.get("acr") not in LEVELS:
            raise AppAssertionInvalid("LEVEL_TOO_LOW")
        id, number, name = (claims.get(one) for one in ("jti", NUMBER, "name"))
        if not all(isinstance(one, str) and one for one in (id, number, name)):
            raise AppAssertionInvalid("CLAIM_MISSING")
        said = Demographics(name=name, birth=_birth(claims.get("birthdate")), sex=_SEXES.get(str(claims.get("gender"))))
        return AppAssertion(str(id), Identifier(IdentifierType.CITIZEN_ID, str(number)), said)

    def _timely(self, claims: Mapping[str, Any]) -> None:
        begins, ends = claims.get("iat"), claims.get("exp")
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (begins, ends)):
            raise AppAssertionInvalid("CLAIM_MISSING")
        now = self._clock()
        try:
            begin, end = (datetime.fromtimestamp(float(one), UTC) for one in (begins or 0, ends or 0))
        except (OverflowError, ValueError, OSError):
            raise AppAssertionInvalid("CLAIM_MISSING") from None
        if now < begin - _LEEWAY:
            raise AppAssertionInvalid("NOT_YET_VALID")
        if now >= end + _LEEWAY or end - begin > _LONGEST_LIFE:
            raise AppAssertionInvalid("EXPIRED")


def open_assertions(issuer: str, audience: str, keys: Path, clock: Clock) -> AppAssertions:
    """With the provider's public keys out of a file (JWK set). Raises SettingsError when they cannot be read."""
    try:
        return AppAssertions(issuer, audience, KeySet.import_key_set(json.loads(keys.read_text("utf-8"))), clock)
    except (OSError, ValueError, KeyError, JoseError) as error:
        raise SettingsError([f"LIENTHONG_APP_JWKS: not a JWK set ({type(error).__name__})"]) from None


def _birth(text: object) -> BirthDate | None:
    """A date, or a year alone (OpenID Connect Core §5.1)."""
    if not isinstance(text, str):
        return None
    try:
        if len(text) == len("1979"):
            return BirthDate(int(text))
        day = date.fromisoformat(text)
    except ValueError:
        raise AppAssertionInvalid("CLAIM_INVALID") from None
    return BirthDate(day.year, day.month, day.day)
