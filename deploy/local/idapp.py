"""A simulator of the national ID app: citizens' accounts, and consent requests by OpenID CIBA in poll mode.

A request waits until the person approves or denies it on the little page, or until it expires. The app's client (the
consent role) authenticates by `private_key_jwt`. Endpoints below the issuer:

    GET  .well-known/openid-configuration, jwks
    POST bc-authorize, token                   OpenID CIBA Core 1.0, sections 7 and 10
    POST token, grant_type=password            an access token of kind CITIZEN for account and PIN (a demo's login)
    POST accounts                              opens an account; the operator's secret says who may
    POST assertions                            what the app shows at a kiosk: number, name and birth, signed, for five minutes
    GET  requests                              open requests of an account, for whoever drives the person's hands
    POST requests/{id}/approve, .../deny       the person's answer, with the PIN
    GET  .                                     the page
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from deploy.local.oauth import Form, discovery, granted, read_form, refusal
from deploy.local.tokens import LIFE, TokenIssuer
from services.chassis.principal import PrincipalKind

GRANT = "urn:openid:params:grant-type:ciba"
AUTH_REQ_ID = "urn:openid:params:jwt:claim:auth_req_id"
ACR = "http://eidas.europa.eu/LoA/substantial"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CHECK_IN_AUDIENCE = "lienthong-check-in"
_PERSONAL = ("citizen_number", "name", "birthdate", "gender")
_ASSERTION_LIFE = 300
_MOST_PENDING = 10_000
_MOST_ACCOUNTS = 100_000
_LONGEST = 600
_LONGEST_ASSERTION_LIFE = 300
_LONGEST_MESSAGE = 256
_INTERVAL = 0.5
"""Seconds between two polls of one request; sooner is answered with slow_down."""


@dataclass
class Asked:
    """A request put before a citizen. Times are seconds since 1970."""

    id: str
    account: str
    message: str
    details: str
    expires_at: float
    answer: str = ""
    answered_at: float = 0.0
    polled_at: float = 0.0


@dataclass(frozen=True)
class AppClient:
    """The one client of the app: its id and public key."""

    id: str
    key: ECKey


@dataclass
class Accounts:
    """Citizens by account name (`persons/{uuid}`), with their PIN; `secret` is what opens accounts."""

    secret: str
    pins: dict[str, str] = field(default_factory=dict)
    people: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def knows(self, account: str, pin: str) -> bool:
        """Whether this is the account's PIN."""
        known = self.pins.get(account, "")
        return bool(known) and hmac.compare_digest(known.encode(), pin.encode())


class IdApp:
    """The app. Everything it holds is bounded and in memory; a restart forgets open requests, which then expire."""

    def __init__(
        self, issuer: TokenIssuer, client: AppClient, accounts: Accounts, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuer = issuer
        self._client = client
        self._accounts = accounts
        self._clock = clock
        self._asked: dict[str, Asked] = {}
        self._assertions: dict[str, float] = {}

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints: OpenID's, and those of a person's hands."""
        return [
            web.get("/citizen/.well-known/openid-configuration", self.configuration),
            web.get("/citizen/jwks", self.jwks),
            web.post("/citizen/bc-authorize", self.authorize),
            web.post("/citizen/token", self.token),
            web.post("/citizen/accounts", self.enrol),
            web.post("/citizen/assertions", self.assertion),
            web.get("/citizen/requests", self.requests),
            web.post("/citizen/requests/{id}/{answer:approve|deny}", self.answer),
            web.get("/citizen/", self.page),
        ]

    async def configuration(self, _: web.Request) -> web.Response:
        """Discovery document (OpenID Connect Discovery 1.0, CIBA §4)."""
        return discovery(
            self._issuer.issuer,
            grant_types_supported=[GRANT, "password"],
            token_endpoint_auth_methods_supported=["private_key_jwt"],
            token_endpoint_auth_signing_alg_values_supported=["ES256"],
            backchannel_authentication_endpoint=f"{self._issuer.issuer}/bc-authorize",
            backchannel_token_delivery_modes_supported=["poll"],
            id_token_signing_alg_values_supported=["ES256"],
            acr_values_supported=[ACR],
        )

    async def jwks(self, _: web.Request) -> web.Response:
        """Public keys."""
        return web.json_response(self._issuer.jwks)

    async def enrol(self, request: web.Request) -> web.Response:
        """Opens an account for a person: `account`, `pin`, `client_secret`, and `citizen_number`, `name`, `birthdate`, `gender` as far as known."""
        form = await read_form(request)
        if not hmac.compare_digest(self._accounts.secret.encode(), form.get("client_secret", "").encode()):
            return refusal("invalid_client", 401)
        account, pin = form.get("account", ""), form.get("pin", "")
        if not account or not pin or len(self._accounts.pins) >= _MOST_ACCOUNTS:
            return refusal("invalid_request")
        self._accounts.pins[account] = pin
        self._accounts.people[account] = {name: form[name] for name in _PERSONAL if form.get(name)}
        return web.json_response({})

    async def assertion(self, request: web.Request) -> web.Response:
        """What the person shows at a kiosk: `account`, `pin`."""
        form = await read_form(request)
        account = form.get("account", "")
        if (
            not self._accounts.knows(account, form.get("pin", ""))
            or "citizen_number" not in self._accounts.people[account]
        ):
            return refusal("invalid_grant", 401)
        now = self._clock()
        claims = {
            "iss": self._issuer.issuer,
            "aud": CHECK_IN_AUDIENCE,
            "iat": int(now),
            "exp": int(now + _ASSERTION_LIFE),
            "jti": secrets.token_urlsafe(16),
            "acr": ACR,
            **self._accounts.people[account],
        }
        return web.json_response({"assertion": self._issuer.sign("check-in+jwt", claims)})

    async def authorize(self, request: web.Request) -> web.Response:
        """Backchannel authentication request (CIBA §7)."""
        form = await read_form(request)
        if not self._authenticated(form, "bc-authorize"):
            return refusal("invalid_client", 401)
        account = form.get("login_hint", "")
        if account not in self._accounts.pins:
            return refusal("unknown_user_id")
        if "openid" not in form.get("scope", "").split():
            return refusal("invalid_scope")
        message = form.get("binding_message", "")
        if len(message) > _LONGEST_MESSAGE:
            return refusal("invalid_binding_message")
        details = form.get("authorization_details", "[]")
        life = form.get("requested_expiry", str(_LONGEST))
        if not _is_list(details) or not life.isascii() or not life.isdigit() or int(life) == 0:
            return refusal("invalid_request")
        self._forget()
        if len(self._asked) >= _MOST_PENDING:
            return refusal("temporarily_unavailable", 503)
        seconds = min(int(life), _LONGEST)
        asked = Asked(secrets.token_urlsafe(24), account, message, details, self._clock() + seconds)
        self._asked[asked.id] = asked
        return web.json_response({"auth_req_id": asked.id, "expires_in": seconds, "interval": _INTERVAL})

    async def token(self, request: web.Request) -> web.Response:
        """Token request: CIBA's, or a citizen's login."""
        form = await read_form(request)
        match form.get("grant_type"):
            case "password":
                account = form.get("username", "")
                if not self._accounts.knows(account, form.get("password", "")):
                    return refusal("invalid_grant")
                return granted(self._access_token(account))
            case grant if grant == GRANT:
                if not self._authenticated(form, "token"):
                    return refusal("invalid_client", 401)
                return self._poll(form.get("auth_req_id", ""))
        return refusal("unsupported_grant_type")

    def _poll(self, id: str) -> web.Response:
        asked = self._asked.get(id)
        if asked is None:
            return refusal("invalid_grant")
        now = self._clock()
        early = now - asked.polled_at < _INTERVAL * 0.8
        asked.polled_at = now
        if asked.answer == "deny":
            return refusal("access_denied")
        if not asked.answer and now > asked.expires_at:
            return refusal("expired_token")
        if not asked.answer:
            return refusal("slow_down" if early else "authorization_pending")
        claims = {
            "iss": self._issuer.issuer,
            "aud": self._client.id,
            "sub": asked.account,
            "iat": int(now),
            "exp": int(now + LIFE.total_seconds()),
            "auth_time": int(asked.answered_at),
            "acr": ACR,
            AUTH_REQ_ID: asked.id,
            # What the person saw and approved, to the byte.
            "authorization_details_sha256": hashlib.sha256(asked.details.encode()).hexdigest(),
        }
        return granted(self._access_token(asked.account), id_token=self._issuer.sign("JWT", claims))

    def _access_token(self, account: str) -> str:
        return self._issuer.mint(PrincipalKind.CITIZEN, f"citizen:{account}", person=account)

    async def requests(self, request: web.Request) -> web.Response:
        """Open requests of an account; account and PIN travel in headers, never in the address."""
        account = request.headers.get("x-account", "")
        if not self._accounts.knows(account, request.headers.get("x-pin", "")):
            return refusal("invalid_grant", 401)
        shown = [
            {"id": one.id, "message": one.message, "details": json.loads(one.details)}
            for one in self._open()
            if one.account == account
        ]
        return web.json_response(shown)

    async def answer(self, request: web.Request) -> web.Response:
        """Approves or denies; the first answer counts."""
        form = await read_form(request)
        asked = self._asked.get(request.match_info["id"])
        if asked is None or self._clock() > asked.expires_at:
            return refusal("invalid_request", 404)
        if not self._accounts.knows(asked.account, form.get("pin", "")):
            return refusal("invalid_grant", 401)
        if not asked.answer:
            asked.answer, asked.answered_at = request.match_info["answer"], self._clock()
        return web.json_response({"answer": asked.answer})

    async def page(self, _: web.Request) -> web.Response:
        """Open requests with a form each, for a person's hands; the PIN is what makes an answer theirs."""
        rows = "".join(
            f"<form method=post action='requests/{html.escape(one.id)}/approve'><h2>{html.escape(one.message)}</h2>"
            f"<pre>{html.escape(json.dumps(json.loads(one.details), indent=2))}</pre>"
            "<label>PIN <input name=pin type=password></label> <button>Đồng ý</button> "
            f"<button formaction='requests/{html.escape(one.id)}/deny'>Từ chối</button></form>"
            for one in self._open()
        )
        title = "Ứng dụng định danh (mô phỏng)"
        text = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>Yêu cầu đồng ý</h1>{rows}"
        return web.Response(text=text, content_type="text/html")

    def _open(self) -> list[Asked]:
        self._forget()
        now = self._clock()
        return [one for one in self._asked.values() if not one.answer and one.expires_at > now]

    def _authenticated(self, form: Form, endpoint: str) -> bool:
        """private_key_jwt (RFC 7523 §3): signed by the client, for this endpoint, fresh, and seen for the first time."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return False
        try:
            claims = jwt.decode(form.get("client_assertion", ""), self._client.key, algorithms=["ES256"]).claims
            ends = float(claims.get("exp", 0))
        except (JoseError, ValueError, TypeError):
            return False
        now = self._clock()
        once = str(claims.get("jti", ""))
        right = (
            claims.get("iss") == claims.get("sub") == self._client.id
            and claims.get("aud") in (self._issuer.issuer, f"{self._issuer.issuer}/{endpoint}")
            and now < ends <= now + _LONGEST_ASSERTION_LIFE
        )
        if not right or not once or once in self._assertions:
            return False
        self._assertions = {known: until for known, until in self._assertions.items() if until > now}
        self._assertions[once] = ends
        return True

    def _forget(self) -> None:
        """A request is kept for a while after its end, so that a late poll learns how it ended."""
        now = self._clock()
        self._asked = {id: one for id, one in self._asked.items() if one.expires_at + _LONGEST > now}


def _is_list(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
