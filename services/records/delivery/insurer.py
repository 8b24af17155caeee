"""The insurer's reception portal over HTTPS (domain.md §2.6). "Received" is all it says; it checks later, on its own pages."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urljoin

import aiohttp

from services.chassis.clock import Clock
from services.records.config import InsurerSettings
from services.records.ports import InsurerRefused, InsurerUnavailable

RECEIVED = "200"
_SESSION_ENDED = frozenset({"401", "403"})
_RECORD, _CHECK_IN = "130", "0"
_FORM = "application/x-www-form-urlencoded"
# A session is renewed this long before it ends, so that none ends on the way.
_MARGIN = timedelta(seconds=30)
_UNKNOWN_LIFE = timedelta(minutes=5)


class InsurerPortal:
    """`Insurer`. One session token is shared and renewed."""

    def __init__(self, http: aiohttp.ClientSession, settings: InsurerSettings, password: str, clock: Clock) -> None:
        self._http = http
        self._base = settings.url.rstrip("/") + "/"
        self._username = settings.username
        # The portal's interface wants the upper-case MD5 of the password; it protects nothing, TLS does.
        self._digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest().upper()
        self._clock = clock
        self._session: tuple[str, str, datetime] | None = None

    async def deliver(self, facility: str, version: str, content: bytes, *, check_in: bool) -> str:
        """Hands over the exact bytes; returns `maGiaoDich`."""
        suffix = "QD4750" if version in ("130", "4750") else "QD3176"
        path = "api/qd130/" + (f"checkInKcb{suffix.replace('QD', 'Qd')}" if check_in else f"guiHoSoXml{suffix}")
        form = {
            "username": self._username,
            "loaiHoSo": _CHECK_IN if check_in else _RECORD,
            "maTinh": facility[:2],
            "maCSKCB": facility,
        }
        body = urlencode(form).encode() + b"&fileHSBase64=" + _form_base64(content)
        answer = await self._send(path, body)
        if str(answer.get("maKetQua")) in _SESSION_ENDED:
            self._session = None
            answer = await self._send(path, body)
        code = str(answer.get("maKetQua", ""))
        if code in _SESSION_ENDED:
            raise InsurerUnavailable(code)
        if code != RECEIVED or not answer.get("maGiaoDich"):
            raise InsurerRefused(code)
        return str(answer["maGiaoDich"])

    async def _send(self, path: str, body: bytes) -> dict[str, Any]:
        access, identity = await self._token()
        headers = {"accessToken": access, "tokenId": identity, "passwordHash": self._digest, "Content-Type": _FORM}
        return await self._post(path, headers=headers, data=body)

    async def _token(self) -> tuple[str, str]:
        if self._session is None or self._session[2] <= self._clock():
            body = {"username": self._username, "password": self._digest}
            answer = await self._post("api/token/take", json=body)
            # Some portals wrap the key, some do not.
            key = answer.get("APIKey") or answer
            if not isinstance(key, dict) or not key.get("access_token"):
                raise InsurerUnavailable(str(answer.get("maKetQua", "no token")))
            ends = self._clock() + _life(key.get("expires_in")) - _MARGIN
            self._session = (str(key["access_token"]), str(key.get("id_token", "")), ends)
        return self._session[0], self._session[1]

    async def _post(self, path: str, **request: Any) -> dict[str, Any]:
        try:
            async with self._http.post(urljoin(self._base, path), **request) as response:
                if response.status >= 500:
                    raise InsurerUnavailable(f"HTTP_{response.status}")
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # The error's text may quote what was sent; its class says enough.
            raise InsurerUnavailable(type(error).__name__) from None
        if not isinstance(answer, dict):
            raise InsurerUnavailable("not an object")
        return answer


def _form_base64(content: bytes) -> bytes:
    """Base64 as a form carries it. The general encoder goes through a file byte by byte; only three characters need it."""
    encoded = base64.b64encode(content)
    return encoded.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D")


def _life(expires_in: object) -> timedelta:
    """Seconds, as the interface describes it; anything else is taken for a short life."""
    try:
        return max(timedelta(seconds=float(str(expires_in))), _MARGIN)
    except (ValueError, OverflowError):
        return _UNKNOWN_LIFE


@asynccontextmanager
async def open_portal(settings: InsurerSettings, clock: Clock) -> AsyncIterator[InsurerPortal]:
    """The portal with an HTTP session of its own, closed at the end."""
    password = "" if settings.password_file is None else settings.password_file.read_text("utf-8").strip()
    context = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    connector = aiohttp.TCPConnector(ssl=context, limit=8)
    timeout = aiohttp.ClientTimeout(total=settings.timeout_seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield InsurerPortal(http, settings, password, clock)
