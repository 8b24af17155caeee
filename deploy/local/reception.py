"""A simulator of the insurer's reception portal (domain notes §2.6). Endpoints below its base:

    POST api/token/take                                 user and upper-case MD5 of the password
    POST api/qd130/guiHoSoXmlQD4750, ...QD3176          a claim file (loaiHoSo=130), form-encoded
    POST api/qd130/checkInKcbQd4750, ...Qd3176          a check-in (loaiHoSo=0)
    GET  status/{maGiaoDich}                            what checking said; the true portal shows it on its pages only

"200" says received, not valid: checking comes later. A driver can look and make trouble:

    GET  received                                       files, how many came twice, which
    POST mode/{up|down|slow|refuse}                     from now on

It keeps every file that it received, so that tests can compare bytes; what comes twice is counted, never hidden.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Any

from aiohttp import web

from deploy.local.oauth import read_form

_VIETNAM = timezone(timedelta(hours=7))
_SESSION = timedelta(minutes=15)
_CHECKING_SECONDS = 2.0
_SLOW_SECONDS = 5.0
_MOST = 100_000
_MOST_BYTES = 512 * 1024 * 1024
_RECORD, _CHECK_IN = "130", "0"
_WRONG_PARAMETERS = "205"


class Mode(Enum):
    """How the portal behaves."""

    UP = "up"
    DOWN = "down"
    SLOW = "slow"
    REFUSE = "refuse"


@dataclass
class Received:
    """A file as it came: by its SHA-256, how often, and the numbers of its transactions."""

    facility: str
    size: int
    first_at: float
    check_in: bool
    transactions: list[str]


class Reception:
    """The portal. `folder` gets the files, by hash."""

    def __init__(self, username: str, password: str, folder: Path) -> None:
        self._username = username
        # The interface asks for the upper-case MD5 of the password; it is the portal's choice, not ours.
        self._digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest().upper()
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sessions: dict[str, float] = {}
        self._received: dict[str, Received] = {}
        self._transactions: dict[str, str] = {}
        self._bytes = 0
        self._mode = Mode.UP

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints, and the driver's."""
        sending = ("guiHoSoXmlQD4750", "guiHoSoXmlQD3176", "checkInKcbQd4750", "checkInKcbQd3176")
        return [
            web.post("/insurer/api/token/take", self.take),
            *(web.post(f"/insurer/api/qd130/{name}", self.send) for name in sending),
            web.get("/insurer/status/{transaction}", self.status),
            web.get("/insurer/received", self.received),
            web.post("/insurer/mode/{mode}", self.set_mode),
        ]

    async def take(self, request: web.Request) -> web.Response:
        """Opens a session of 15 minutes. JSON or form."""
        if await self._trouble():
            return web.Response(status=503)
        body: Mapping[str, Any] = await _json_or_form(request)
        right = hmac.compare_digest(str(body.get("password", "")).encode(), self._digest.encode())
        if body.get("username") != self._username or not right:
            return web.json_response({"maKetQua": "401"})
        now = time.time()
        self._sessions = {token: until for token, until in self._sessions.items() if until > now}
        token = secrets.token_urlsafe(24)
        self._sessions[token] = now + _SESSION.total_seconds()
        key = {
            "access_token": token,
            "id_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "username": self._username,
            "expires_in": int(_SESSION.total_seconds()),
        }
        return web.json_response({"maKetQua": "200", "APIKey": key})

    async def send(self, request: web.Request) -> web.Response:
        """Receives a file."""
        if await self._trouble():
            return web.Response(status=503)
        form = await read_form(request)
        headers = request.headers
        session = self._sessions.get(headers.get("accessToken", ""), 0.0) > time.time()
        known = hmac.compare_digest(headers.get("passwordHash", "").encode(), self._digest.encode())
        if not session or not known or form.get("username") != self._username:
            return web.json_response({"maKetQua": "401"})
        check_in = "checkIn" in request.path
        facility = form.get("maCSKCB", "")
        content = _decoded(form.get("fileHSBase64", ""))
        wanted = _CHECK_IN if check_in else _RECORD
        if not content or form.get("loaiHoSo") != wanted or not facility or form.get("maTinh") != facility[:2]:
            return web.json_response({"maKetQua": _WRONG_PARAMETERS, "thongDiep": "Tham số không hợp lệ"})
        if self._mode is Mode.REFUSE:
            return web.json_response({"maKetQua": "500", "thongDiep": "Hồ sơ bị từ chối"})
        transaction = self._keep(content, facility, check_in)
        if not transaction:
            return web.Response(status=503)
        now = datetime.now(_VIETNAM)
        return web.json_response(
            {"maKetQua": "200", "maGiaoDich": transaction, "thoiGianTiepNhan": f"{now:%Y%m%d%H%M%S}", "thongDiep": ""}
        )

    def _keep(self, content: bytes, facility: str, check_in: bool) -> str:
        """The transaction's number; empty when the simulator is full."""
        digest = hashlib.sha256(content).hexdigest()
        known = self._received.get(digest)
        if known is None:
            if len(self._received) >= _MOST or self._bytes + len(content) > _MOST_BYTES:
                return ""
            (self._folder / f"{digest}.xml").write_bytes(content)
            self._bytes += len(content)
            known = self._received[digest] = Received(facility, len(content), time.time(), check_in, [])
        transaction = f"{facility}-{datetime.now(_VIETNAM):%Y%m%d}-{secrets.token_hex(6)}"
        known.transactions.append(transaction)
        self._transactions[transaction] = digest
        return transaction

    async def status(self, request: web.Request) -> web.Response:
        """`CHECKING` for a while, then `ACCEPTED`, or `REJECTED` for what is not XML."""
        digest = self._transactions.get(request.match_info["transaction"])
        if digest is None:
            return web.json_response({"state": "UNKNOWN"}, status=404)
        if time.time() - self._received[digest].first_at < _CHECKING_SECONDS:
            return web.json_response({"state": "CHECKING"})
        start = (self._folder / f"{digest}.xml").read_bytes()[:256].lstrip(b"\xef\xbb\xbf \r\n\t")
        if not start.startswith(b"<"):
            return web.json_response({"state": "REJECTED", "errors": [{"code": "XML", "text": "not XML"}]})
        return web.json_response({"state": "ACCEPTED", "errors": []})

    async def received(self, _: web.Request) -> web.Response:
        """How many files came, how many of them twice or more, and the first thousand."""
        twice = [digest for digest, one in self._received.items() if len(one.transactions) > 1]
        shown = {
            digest: {
                "facility": one.facility,
                "size": one.size,
                "check_in": one.check_in,
                "transactions": one.transactions[:10],
            }
            for digest, one in list(self._received.items())[:1000]
        }
        return web.json_response(
            {"files": len(self._received), "twice": len(twice), "calls": len(self._transactions), "received": shown}
        )

    async def set_mode(self, request: web.Request) -> web.Response:
        """Makes trouble, or ends it."""
        try:
            self._mode = Mode(request.match_info["mode"])
        except ValueError:
            return web.json_response({"modes": [mode.value for mode in Mode]}, status=404)
        return web.json_response({"mode": self._mode.value})

    async def _trouble(self) -> bool:
        if self._mode is Mode.SLOW:
            await asyncio.sleep(_SLOW_SECONDS)
        return self._mode is Mode.DOWN


async def _json_or_form(request: web.Request) -> Mapping[str, Any]:
    if request.content_type != "application/json":
        return await read_form(request)
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}


def _decoded(text: str) -> bytes:
    """Base64 of a file; empty when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
