"""The notice API of the simulated national ID app.

    POST /citizen/notices    the client (the consent role) tells a citizen something; authenticated by an assertion (RFC 7523) as bearer
    GET  /citizen/notices    what a citizen was told, newest first, for whoever drives the person's hands: headers x-account and x-pin

An account is told the same notice once: what comes again with the same id is answered 409. A citizen without an account is 404.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError

from deploy.local.idapp import Accounts, AppClient
from deploy.local.oauth import refusal

_FIELDS = ("id", "recipient", "person", "type", "resource", "organization", "create_time")
_REQUIRED = _FIELDS[:5]
_LONGEST_FIELD = 128
_LARGEST = 4096
_MOST_KEPT = 1000
_LONGEST_LIFE = 300


class Notices:
    """The inboxes of all accounts, in memory: at most a thousand notices each, the newest."""

    def __init__(
        self, issuer: str, client: AppClient, accounts: Accounts, clock: Callable[[], float] = time.time
    ) -> None:
        self._endpoint = f"{issuer}/notices"
        self._client = client
        self._accounts = accounts
        self._clock = clock
        self.inboxes: dict[str, dict[str, Mapping[str, str]]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints."""
        return [web.post("/citizen/notices", self.tell), web.get("/citizen/notices", self.told)]

    async def tell(self, request: web.Request) -> web.Response:
        """Takes a notice into the recipient's inbox."""
        if not self._authenticated(request):
            return refusal("invalid_client", 401)
        body = await request.content.read(_LARGEST)
        try:
            notice = json.loads(body)
        except (ValueError, RecursionError):
            return refusal("invalid_request")
        if not _well_formed(notice):
            return refusal("invalid_request")
        account = notice["recipient"]
        if account not in self._accounts.pins:
            return refusal("unknown_user_id", 404)
        inbox = self.inboxes.setdefault(account, {})
        if notice["id"] in inbox:
            return web.Response(status=409)
        inbox[notice["id"]] = {name: notice.get(name, "") for name in _FIELDS}
        if len(inbox) > _MOST_KEPT:
            del inbox[next(iter(inbox))]
        return web.Response(status=201)

    async def told(self, request: web.Request) -> web.Response:
        """An inbox; account and PIN travel in headers, never in the address."""
        account = request.headers.get("x-account", "")
        if not self._accounts.knows(account, request.headers.get("x-pin", "")):
            return refusal("invalid_grant", 401)
        return web.json_response(list(reversed(self.inboxes.get(account, {}).values())))

    def _authenticated(self, request: web.Request) -> bool:
        """An assertion of the client for this endpoint, and fresh."""
        scheme, _, assertion = request.headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(assertion, self._client.key, algorithms=["ES256"]).claims
            ends = float(claims.get("exp", 0))
        except (JoseError, ValueError, TypeError):
            return False
        now = self._clock()
        return (
            scheme.lower() == "bearer"
            and claims.get("iss") == claims.get("sub") == self._client.id
            and claims.get("aud") == self._endpoint
            and now < ends <= now + _LONGEST_LIFE
        )


def _well_formed(notice: object) -> bool:
    return (
        isinstance(notice, dict)
        and all(
            isinstance(notice.get(name, ""), str) and len(notice.get(name, "")) <= _LONGEST_FIELD for name in _FIELDS
        )
        and all(notice.get(name) for name in _REQUIRED)
    )
