"""Simulators of two issuers: the platform's authorization server, and the national ID app with its backchannel authentication.

The platform's server gives tokens to facilities that show their client certificate (RFC 8705) and to operators. The app holds citizens' accounts and
answers consent requests by OpenID CIBA in poll mode, once a person has approved or denied on its little page.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography import x509
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from deploy.local.tokens import LIFE, TokenIssuer
from services.chassis.principal import PrincipalKind
from services.chassis.workload import TRUST_DOMAIN

GRANT = "urn:openid:params:grant-type:ciba"
AUTH_REQ_ID = "urn:openid:params:jwt:claim:auth_req_id"
ACR = "http://eidas.europa.eu/LoA/substantial"
_MOST_PENDING = 10_000
_LONGEST = 600
_INTERVAL = 1
Form = Mapping[str, Any]


@dataclass
class Asked:
    """A request put before a citizen."""

    id: str
    account: str
    message: str
    details: str
    expires_at: float
    answer: str = ""


@dataclass(frozen=True)
class World:
    """Who is known: operators by client id (secret, kind), citizens by account (PIN), and the consent role's public key."""

    operators: Mapping[str, tuple[str, str]]
    client_id: str
    client_key: ECKey
    citizens: dict[str, str] = field(default_factory=dict)


class Platform:
    """The platform's authorization server."""

    def __init__(self, issuer: TokenIssuer, world: World) -> None:
        self._issuer = issuer
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints."""
        return [web.post("/platform/token", self.token), web.get("/platform/jwks", self.jwks)]

    async def jwks(self, _: web.Request) -> web.Response:
        """Public keys."""
        return web.json_response(self._issuer.jwks)

    async def token(self, request: web.Request) -> web.Response:
        """`client_credentials`, by client certificate or, for operators, by secret."""
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return refusal("unsupported_grant_type")
        if "client_id" in form:
            secret, kind = self._world.operators.get(str(form["client_id"]), ("", ""))
            if not secret or not hmac.compare_digest(secret, str(form.get("client_secret", ""))):
                return refusal("invalid_client", 401)
            return granted(self._issuer.mint(PrincipalKind(kind), str(form["client_id"])))
        certificate = _client_certificate(request)
        facility = _facility(certificate) if certificate else ""
        if certificate is None or not facility:
            return refusal("invalid_client", 401)
        licence = str(form.get("licence", ""))
        claims = {"facility": facility} | ({"licence": licence, "role": str(form.get("role", "doctor"))} if licence else {})
        kind_ = PrincipalKind.PRACTITIONER if licence else PrincipalKind.FACILITY
        subject = f"facility:{facility}" + (f":{hashlib.sha256(licence.encode()).hexdigest()[:16]}" if licence else "")
        return granted(self._issuer.mint(kind_, subject, certificate=certificate, **claims))


class IdApp:
    """The national ID app."""

    def __init__(self, issuer: TokenIssuer, world: World) -> None:
        self._issuer = issuer
        self._world = world
        self._asked: dict[str, Asked] = {}

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints: OpenID's, and those of a person's hands."""
        return [
            web.get("/citizen/jwks", self.jwks),
            web.post("/citizen/bc-authorize", self.authorize),
            web.post("/citizen/token", self.token),
            web.post("/citizen/login", self.login),
            web.post("/citizen/accounts", self.enrol),
            web.get("/citizen/requests", self.requests),
            web.post("/citizen/requests/{id}/{answer}", self.answer),
            web.get("/citizen/", self.page),
        ]

    async def jwks(self, _: web.Request) -> web.Response:
        """Public keys."""
        return web.json_response(self._issuer.jwks)

    async def enrol(self, request: web.Request) -> web.Response:
        """Opens an account for a person; who may do so is the operator's secret."""
        form = await request.post()
        secret, _ = self._world.operators["admin"]
        if not hmac.compare_digest(secret, str(form.get("client_secret", ""))):
            return refusal("invalid_client", 401)
        self._world.citizens[str(form["account"])] = str(form["pin"])
        return web.json_response({})

    async def login(self, request: web.Request) -> web.Response:
        """A citizen's session at the platform: account and PIN against an access token."""
        form = await request.post()
        account = str(form.get("account", ""))
        if not self._knows(account, form):
            return refusal("invalid_grant", 401)
        return granted(self._issuer.mint(PrincipalKind.CITIZEN, f"citizen:{account}", person=account))

    async def authorize(self, request: web.Request) -> web.Response:
        """Backchannel authentication request (CIBA §7)."""
        form = await request.post()
        if not self._client(form, f"{self._issuer.issuer}/bc-authorize"):
            return refusal("invalid_client", 401)
        account = str(form.get("login_hint", ""))
        if account not in self._world.citizens:
            return refusal("unknown_user_id")
        self._forget()
        if len(self._asked) >= _MOST_PENDING:
            return refusal("temporarily_unavailable", 503)
        life = min(int(str(form.get("requested_expiry", _LONGEST))), _LONGEST)
        asked = Asked(
            secrets.token_urlsafe(24),
            account,
            str(form.get("binding_message", ""))[:64],
            str(form.get("authorization_details", "[]"))[:8192],
            time.time() + life,
        )
        self._asked[asked.id] = asked
        return web.json_response({"auth_req_id": asked.id, "expires_in": life, "interval": _INTERVAL})

    async def token(self, request: web.Request) -> web.Response:
        """Token request in poll mode (CIBA §10.1)."""
        form = await request.post()
        if form.get("grant_type") != GRANT:
            return refusal("unsupported_grant_type")
        if not self._client(form, f"{self._issuer.issuer}/token"):
            return refusal("invalid_client", 401)
        asked = self._asked.get(str(form.get("auth_req_id", "")))
        if asked is None:
            return refusal("invalid_grant")
        if asked.answer == "deny":
            return refusal("access_denied")
        if asked.answer != "approve":
            return refusal("expired_token" if time.time() > asked.expires_at else "authorization_pending")
        now = int(time.time())
        claims = {
            "iss": self._issuer.issuer,
            "aud": self._world.client_id,
            "sub": asked.account,
            "iat": now,
            "exp": now + int(LIFE.total_seconds()),
            "auth_time": now,
            "acr": ACR,
            AUTH_REQ_ID: asked.id,
            "authorization_details_sha256": hashlib.sha256(asked.details.encode()).hexdigest(),
        }
        return web.json_response({"token_type": "Bearer", "id_token": self._issuer.sign("JWT", claims)})

    async def requests(self, request: web.Request) -> web.Response:
        """Open requests of an account; the PIN travels in a header, never in the address."""
        account = request.headers.get("x-account", "")
        if not self._knows(account, {"pin": request.headers.get("x-pin", "")}):
            return refusal("invalid_grant", 401)
        self._forget()
        found = [one for one in self._asked.values() if one.account == account and not one.answer]
        shown = [{"id": one.id, "message": one.message, "details": json.loads(one.details)} for one in found]
        return web.json_response(shown)

    async def answer(self, request: web.Request) -> web.Response:
        """Approves or denies; the first answer counts."""
        form = await request.post()
        asked = self._asked.get(request.match_info["id"])
        answer = request.match_info["answer"]
        if asked is None or answer not in ("approve", "deny") or time.time() > asked.expires_at:
            return refusal("invalid_request", 404)
        if not self._knows(asked.account, form):
            return refusal("invalid_grant", 401)
        asked.answer = asked.answer or answer
        return web.json_response({"answer": asked.answer})

    async def page(self, _: web.Request) -> web.Response:
        """Open requests with a form each, for a person's hands."""
        self._forget()
        rows = "".join(
            f"<form method=post action='requests/{html.escape(one.id)}/approve'><h2>{html.escape(one.message)}</h2>"
            f"<pre>{html.escape(json.dumps(json.loads(one.details), indent=2))}</pre>"
            "<label>PIN <input name=pin type=password></label> <button>Đồng ý</button> "
            f"<button formaction='requests/{html.escape(one.id)}/deny'>Từ chối</button></form>"
            for one in self._asked.values()
            if not one.answer
        )
        body = f"<!doctype html><meta charset=utf-8><title>Ứng dụng định danh (mô phỏng)</title><h1>Yêu cầu đồng ý</h1>{rows}"
        return web.Response(text=body, content_type="text/html")

    def _knows(self, account: str, form: Form) -> bool:
        pin = self._world.citizens.get(account, "")
        return bool(pin) and hmac.compare_digest(pin, str(form.get("pin", "")))

    def _client(self, form: Form, audience: str) -> bool:
        """private_key_jwt (RFC 7523)."""
        try:
            token = jwt.decode(str(form.get("client_assertion", "")), self._world.client_key, algorithms=["ES256"])
        except (JoseError, ValueError):
            return False
        claims = token.claims
        return (
            claims.get("iss") == claims.get("sub") == self._world.client_id
            and claims.get("aud") == audience
            and float(claims.get("exp", 0)) > time.time()
        )

    def _forget(self) -> None:
        now = time.time()
        for id in [id for id, asked in self._asked.items() if asked.expires_at + _LONGEST < now]:
            del self._asked[id]


def refusal(error: str, status: int = 400) -> web.Response:
    """An OAuth error."""
    return web.json_response({"error": error}, status=status)


def granted(token: str) -> web.Response:
    """An OAuth token answer."""
    fields = {"access_token": token, "token_type": "Bearer", "expires_in": int(LIFE.total_seconds())}
    return web.json_response(fields, headers={"cache-control": "no-store"})


def _client_certificate(request: web.Request) -> bytes | None:
    """The verified client certificate, PEM."""
    connection = request.transport.get_extra_info("ssl_object") if request.transport else None
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
    return ssl.DER_cert_to_PEM_cert(der).encode() if der else None


def _facility(pem: bytes) -> str:
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    prefix = TRUST_DOMAIN + "facility/"
    return uris[0].removeprefix(prefix) if len(uris) == 1 and uris[0].startswith(prefix) else ""
