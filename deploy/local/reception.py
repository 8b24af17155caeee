"""A simulator of the insurer's reception portal (domain notes §2.6): it takes files, answers "received", and checks later.

It keeps nothing of a file but hash and size, counts what comes twice so that tests can see it, and can be told to be down.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter
from datetime import datetime, timedelta, timezone

from aiohttp import web

_VIETNAM = timezone(timedelta(hours=7))
_MOST = 100_000


class Reception:
    """The portal."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        # The interface asks for the upper-case MD5 of the password; it is the portal's choice, not ours.
        self._digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest().upper()
        self._token = secrets.token_urlsafe(24)
        self._received: Counter[str] = Counter()
        self._mode = "up"

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints, and the driver's."""
        return [
            web.post("/insurer/api/token/take", self.take),
            web.post("/insurer/api/qd130/guiHoSoXmlQD4750", self.send),
            web.post("/insurer/api/qd130/guiHoSoXmlQD3176", self.send),
            web.get("/insurer/received", self.received),
            web.post("/insurer/mode/{mode}", self.set_mode),
        ]

    async def take(self, request: web.Request) -> web.Response:
        """Opens a session."""
        if self._mode == "down":
            return web.Response(status=503)
        body = await request.json()
        right = hmac.compare_digest(str(body.get("password", "")), self._digest)
        if body.get("username") != self._username or not right:
            return web.json_response({"maKetQua": "401"})
        key = {"access_token": self._token, "id_token": self._token, "token_type": "Bearer", "expires_in": 900}
        return web.json_response({"maKetQua": "200", "APIKey": key})

    async def send(self, request: web.Request) -> web.Response:
        """Receives a file. 200 says "received", not "valid"."""
        if self._mode == "down":
            return web.Response(status=503)
        form = await request.post()
        if request.headers.get("accessToken") != self._token or form.get("loaiHoSo") != "130":
            return web.json_response({"maKetQua": "401"})
        try:
            content = base64.b64decode(str(form.get("fileHSBase64", "")), validate=True)
        except binascii.Error:
            return web.json_response({"maKetQua": "205"})
        if not content or len(self._received) >= _MOST:
            return web.json_response({"maKetQua": "500"})
        self._received[hashlib.sha256(content).hexdigest()] += 1
        now = datetime.now(_VIETNAM)
        return web.json_response(
            {
                "maKetQua": "200",
                "maGiaoDich": f"{form.get('maCSKCB')}-{now:%Y%m%d}-{secrets.token_hex(6)}",
                "thoiGianTiepNhan": f"{now:%Y%m%d%H%M%S}",
            }
        )

    async def received(self, _: web.Request) -> web.Response:
        """How many files came, and how many of them twice."""
        twice = sum(1 for count in self._received.values() if count > 1)
        return web.json_response({"files": len(self._received), "twice": twice, "hashes": list(self._received)[:1000]})

    async def set_mode(self, request: web.Request) -> web.Response:
        """`up` or `down`."""
        self._mode = request.match_info["mode"]
        return web.json_response({"mode": self._mode})
