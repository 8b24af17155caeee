"""The national ID app as an OpenID provider: Client-Initiated Backchannel Authentication, poll mode (OpenID CIBA Core 1.0).

The provider is a port: VNeID's relying-party interface is not public, so what differs there is configuration or another file like this one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from services.chassis.clock import Clock
from services.consent.errors import IdAppUnavailable
from services.consent.model import ConsentRequest, RequestState
from services.consent.ports import AppAnswer, AppApproved, AppPending, AppRefused

GRANT = "urn:openid:params:grant-type:ciba"
AUTH_REQ_ID = "urn:openid:params:jwt:claim:auth_req_id"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE = timedelta(minutes=1)
_LEEWAY = timedelta(seconds=60)
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_LARGEST_ANSWER = 65536


@dataclass(frozen=True)
class CibaSettings:
    """`issuer` is the provider's issuer URL, its endpoints lie under it; `jwks` a file with the provider's public keys; `authority` the CA of its
    TLS certificate; `client_key` our private ES256 key as a JWK file (private_key_jwt, RFC 7523)."""

    issuer: str
    jwks: Path
    authority: Path
    client_id: str
    client_key: Path


def details_of(request: ConsentRequest) -> str:
    """What the app shows and signs for: rich authorization details (RFC 9396) as compact JSON. No name and no number of the person."""
    terms = request.terms
    period = terms.data_period
    detail = {
        "type": "lienthong-consent",
        "consent_request": f"consentRequests/{request.id}",
        "organization": f"organizations/{request.organization}",
        "purpose": terms.purpose.value,
        "kinds": sorted(kind.value for kind in terms.kinds),
        "data_period": [at.isoformat() if at else None for at in (period.start, period.end)],
        "permission_seconds": int(terms.duration.total_seconds()),
    }
    if request.asked is not None:
        # Who has several children must see for which one they agree.
        detail["ward"] = f"persons/{request.person}"
    return json.dumps([detail], sort_keys=True, separators=(",", ":"))


class CibaApp:
    """`IdApp` over HTTPS. One session is kept; every call is bounded to 5 s and 64 KiB."""

    def __init__(self, settings: CibaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client_key = ECKey.import_key(json.loads(settings.client_key.read_text("utf-8")))
        self._provider_keys = KeySet.import_key_set(json.loads(settings.jwks.read_text("utf-8")))
        self._tls = ssl.create_default_context(cafile=str(settings.authority))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> CibaApp:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, request: ConsentRequest) -> str:
        """Puts the request before the person; returns the auth_req_id."""
        lifetime = request.expires_at - request.created_at
        form = {
            "scope": "openid lienthong-consent",
            "login_hint": f"persons/{request.asked or request.person}",
            "binding_message": request.binding_message,
            "authorization_details": details_of(request),
            "requested_expiry": str(int(lifetime.total_seconds())),
        }
        status, answer = await self._post("bc-authorize", form)
        handle = answer.get("auth_req_id")
        if status != 200 or not isinstance(handle, str):
            raise IdAppUnavailable(f"the national ID app answered {status}")
        return handle

    async def poll(self, request: ConsentRequest) -> AppAnswer:
        """The answer so far. An assertion that does not verify counts as no answer, and the app as unavailable."""
        status, answer = await self._post("token", {"grant_type": GRANT, "auth_req_id": request.app_request})
        error = answer.get("error")
        if error in ("authorization_pending", "slow_down"):
            return AppPending()
        if error == "access_denied":
            return AppRefused(RequestState.DENIED)
        if error in ("expired_token", "invalid_grant"):
            return AppRefused(RequestState.EXPIRED)
        assertion = answer.get("id_token")
        if status != 200 or not isinstance(assertion, str):
            raise IdAppUnavailable(f"the national ID app answered {status}")
        return AppApproved(assertion, self._verify(assertion, request))

    def _verify(self, assertion: str, request: ConsentRequest) -> str:
        """Checks signature, issuer, audience, time, and that person, request and details are those we asked for; returns the acr."""
        try:
            claims: Mapping[str, Any] = jwt.decode(assertion, self._provider_keys, algorithms=["ES256"]).claims
        except (JoseError, ValueError) as error:
            raise IdAppUnavailable("the app's assertion does not verify") from error
        now = self._clock().timestamp()
        leeway = _LEEWAY.total_seconds()
        details = hashlib.sha256(details_of(request).encode()).hexdigest()
        wanted = {
            "iss": self._settings.issuer,
            "aud": self._settings.client_id,
            "sub": f"persons/{request.asked or request.person}",
            AUTH_REQ_ID: request.app_request,
            "authorization_details_sha256": details,
        }
        same = all(
            hmac.compare_digest(str(claims.get(name, "")).encode(), value.encode()) for name, value in wanted.items()
        )
        timely = (
            float(claims.get("exp", 0)) + leeway > now and float(claims.get("iat", now + 2 * leeway)) - leeway <= now
        )
        if not same or not timely:
            raise IdAppUnavailable("the app's assertion is for something else")
        return str(claims.get("acr", ""))

    async def _post(self, endpoint: str, form: dict[str, str]) -> tuple[int, Mapping[str, Any]]:
        if self._session is None:
            raise IdAppUnavailable("not started")
        url = f"{self._settings.issuer}/{endpoint}"
        data = form | {
            "client_id": self._settings.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._client_assertion(url),
        }
        try:
            async with self._session.post(url, data=data, ssl=self._tls, allow_redirects=False) as answer:
                body = await answer.content.read(_LARGEST_ANSWER)
                fields = json.loads(body)
                return answer.status, fields if isinstance(fields, dict) else {}
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise IdAppUnavailable("the national ID app cannot be reached") from error

    def _client_assertion(self, audience: str) -> str:
        now = self._clock()
        claims = {
            "iss": self._settings.client_id,
            "sub": self._settings.client_id,
            "aud": audience,
            "jti": str(uuid4()),
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LIFE).timestamp()),
        }
        return jwt.encode({"alg": "ES256"}, claims, self._client_key)
