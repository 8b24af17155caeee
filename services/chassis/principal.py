"""Who acts: access tokens (RFC 9068), bound to the client certificate where there is one (RFC 8705), verified in every service again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from services.chassis.clock import Clock
from services.chassis.errors import DomainError, Kind

LEEWAY = timedelta(seconds=60)
LONGEST_LIFE = timedelta(minutes=10)
_CACHE_TIME = timedelta(seconds=60)
_CACHE_SIZE = 4096
_LARGEST_TOKEN = 8192
_LONGEST_CLAIM = 200
_MOST_METHODS = 16


class PrincipalKind(Enum):
    """The closed set of who may act. WORKLOAD has no token: the peer role itself acts."""

    WORKLOAD = "WORKLOAD"
    FACILITY = "FACILITY"
    PRACTITIONER = "PRACTITIONER"
    CITIZEN = "CITIZEN"
    ADMIN = "ADMIN"
    STEWARD = "STEWARD"
    AUDITOR = "AUDITOR"
    MINISTRY = "MINISTRY"


BOUND = frozenset({PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER})
"""Kinds whose token must be bound to the facility's client certificate."""


class TokenMissing(DomainError):
    """The call needs an access token."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_MISSING"


class TokenInvalid(DomainError):
    """Malformed, forged, or with claims that do not fit."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_INVALID"


class TokenExpired(DomainError):
    """Past its end, or not valid yet."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_EXPIRED"


class TokenForeign(DomainError):
    """Of an issuer or for an audience that is not ours."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_FOREIGN"


class TokenNotBound(DomainError):
    """Not bound to the certificate it came with."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_NOT_BOUND"


class PrincipalNotAllowed(DomainError):
    """This kind of principal may not call this method."""

    kind = Kind.DENIED
    reason = "PRINCIPAL_NOT_ALLOWED"


@dataclass(frozen=True)
class Principal:
    """The verified person or system behind a call. `facility` is a code, `person` a resource name, `client_certificate` hex SHA-256.

    `acr`, `amr` and `authenticated_at` say how and when the human being was authenticated (RFC 9470 §6, RFC 8176), where the token says so.
    `employer` is the code of the facility where an auditor works besides; it gives no right, it only keeps from judging one's own.
    """

    kind: PrincipalKind
    subject: str
    facility: str | None = None
    licence: str | None = None
    role: str | None = None
    person: str | None = None
    token: str | None = field(default=None, repr=False)
    client_certificate: str | None = None
    acr: str = ""
    amr: frozenset[str] = frozenset()
    authenticated_at: datetime | None = None
    employer: str = ""


NOBODY = Principal(PrincipalKind.WORKLOAD, "")
"""The principal of a call without a token."""


@dataclass(frozen=True)
class IssuerKeys:
    """Pinned keys of an issuer and the kinds of principal it may vouch for."""

    keys: KeySet
    kinds: frozenset[PrincipalKind]


def load_issuers(path: Path) -> dict[str, IssuerKeys]:
    """Reads `{issuer: {"jwks": {...}, "kinds": [...]}}`."""
    raw = json.loads(path.read_text("utf-8"))
    return {
        issuer: IssuerKeys(
            KeySet.import_key_set(cast("KeySetSerialization", entry["jwks"])),
            frozenset(PrincipalKind(kind) for kind in entry["kinds"]),
        )
        for issuer, entry in raw.items()
    }


@dataclass(frozen=True)
class _Verified:
    principal: Principal
    bound_to: str | None
    starts: float
    ends: float


class TokenVerifier:
    """Verifies access tokens; remembers each for at most a minute, and no longer than it lives."""

    def __init__(self, issuers: Mapping[str, IssuerKeys], audience: str, clock: Clock) -> None:
        self._issuers = issuers
        self._audience = audience
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[datetime, _Verified]] = OrderedDict()

    def verify(self, token: str, certificate_sha256: str | None) -> Principal:
        """The principal of a token. `certificate_sha256` is the hex hash of the client certificate at the gateway, if there was one."""
        verified = self._verified(token)
        now = self._clock().timestamp()
        leeway = LEEWAY.total_seconds()
        if not verified.starts - leeway <= now < verified.ends + leeway:
            raise TokenExpired("the access token is not valid now")
        principal = verified.principal
        if principal.kind in BOUND or verified.bound_to is not None:
            if verified.bound_to is None or certificate_sha256 is None or verified.bound_to != certificate_sha256:
                raise TokenNotBound("the access token is not bound to the certificate of this connection")
            return Principal(**{**principal.__dict__, "client_certificate": certificate_sha256})
        return principal

    def _verified(self, token: str) -> _Verified:
        if len(token) > _LARGEST_TOKEN:
            raise TokenInvalid("the access token is too long")
        key = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        now = self._clock()
        known = self._cache.get(key)
        if known is not None and now - known[0] < _CACHE_TIME:
            return known[1]
        verified = self._decode(token)
        self._cache[key] = (now, verified)
        if len(self._cache) > _CACHE_SIZE:
            self._cache.popitem(last=False)
        return verified

    def _decode(self, token: str) -> _Verified:
        header, claims = _part(token, 0), _part(token, 1)
        if header.get("typ") != "at+jwt" or header.get("alg") != "ES256":
            raise TokenInvalid("the access token is not of type at+jwt with ES256")
        issuer = self._issuers.get(str(claims.get("iss")))
        if issuer is None:
            raise TokenForeign("the access token's issuer is not known")
        try:
            jws.deserialize_compact(token, issuer.keys, algorithms=["ES256"])
        except (JoseError, ValueError) as error:
            raise TokenInvalid("the access token's signature does not verify") from error
        audience = claims.get("aud")
        if audience != self._audience and audience != [self._audience]:
            raise TokenForeign("the access token is for another audience")
        return _verified_claims(token, claims, issuer)


def _verified_claims(token: str, claims: Mapping[str, Any], issuer: IssuerKeys) -> _Verified:
    try:
        kind = PrincipalKind(claims["kind"])
        starts = float(claims.get("nbf", claims["iat"]))
        issued, ends = float(claims["iat"]), float(claims["exp"])
        subject = str(claims["sub"])
    except (KeyError, TypeError, ValueError):
        raise TokenInvalid("the access token lacks a claim") from None
    if kind not in issuer.kinds:
        raise TokenForeign("the issuer may not vouch for this kind of principal")
    if ends - issued > LONGEST_LIFE.total_seconds():
        raise TokenInvalid("the access token lives too long")
    principal = Principal(
        kind=kind,
        subject=subject,
        facility=_text(claims, "facility") if kind in BOUND else None,
        licence=_text(claims, "licence") if kind is PrincipalKind.PRACTITIONER else None,
        role=_text(claims, "role") if kind is PrincipalKind.PRACTITIONER else None,
        person=_text(claims, "person") if kind is PrincipalKind.CITIZEN else None,
        token=token,
        acr=_optional(claims, "acr"),
        amr=_methods(claims),
        authenticated_at=_authenticated_at(claims, issued),
        employer=_optional(claims, "employer") if kind is PrincipalKind.AUDITOR else "",
    )
    return _Verified(principal, _thumbprint(claims), max(starts, issued), ends)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise TokenInvalid(f"the access token lacks the claim {name}")
    return value


def _optional(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > _LONGEST_CLAIM:
        raise TokenInvalid(f"the access token's claim {name} is malformed")
    return value


def _methods(claims: Mapping[str, Any]) -> frozenset[str]:
    """Authentication methods (`amr`, RFC 8176)."""
    value = claims.get("amr", [])
    if not isinstance(value, list) or len(value) > _MOST_METHODS or not all(isinstance(one, str) for one in value):
        raise TokenInvalid("the access token's claim amr is malformed")
    return frozenset(value)


def _authenticated_at(claims: Mapping[str, Any], issued: float) -> datetime | None:
    """When the human being was authenticated (`auth_time`): never after the token was issued."""
    value = claims.get("auth_time")
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= issued + LEEWAY.total_seconds()
    ):
        raise TokenInvalid("the access token's claim auth_time is malformed")
    return datetime.fromtimestamp(value, UTC)


def _thumbprint(claims: Mapping[str, Any]) -> str | None:
    cnf = claims.get("cnf")
    if cnf is None:
        return None
    try:
        return base64.urlsafe_b64decode(str(cnf["x5t#S256"]) + "=").hex()
    except (KeyError, TypeError, ValueError):
        raise TokenInvalid("the access token's confirmation claim is malformed") from None


def _part(token: str, place: int) -> Mapping[str, Any]:
    """A JSON part of a compact token, with one spelling only: unpadded base64url, no member twice."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenInvalid("the access token is malformed")
    raw = parts[place]
    try:
        content = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
        if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != raw:
            raise ValueError("second spelling")
        value = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise TokenInvalid("the access token is malformed") from None
    if not isinstance(value, dict):
        raise TokenInvalid("the access token is malformed")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members
