"""The notice API of the national ID app over HTTPS.

The provider is a port: what differs at the real one is configuration or another file like this one.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

from services.consent.client_assertion import ClientAssertion
from services.consent.notices import APP_UNREACHABLE, RECIPIENT_UNKNOWN, Delivery

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_TAKEN = frozenset({200, 201, 202, 204, 409})
_UNKNOWN = 404
_REFUSED_FROM = 400
_FAILED_FROM = 500


class HttpsNoticeApp:
    """`NoticeApp`. One session is kept; every call is bounded to 5 s, and no answer's body is read."""

    def __init__(self, endpoint: str, authority: Path, assertion: ClientAssertion) -> None:
        self._endpoint = endpoint
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._assertion = assertion
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpsNoticeApp:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def tell(self, delivery: Delivery) -> str:
        """Posts it. That the app has it already counts as taken."""
        if self._session is None:
            return "NOT_STARTED"
        notice = delivery.notice
        body = {
            "id": str(notice.id),
            "recipient": f"persons/{delivery.account}",
            "person": f"persons/{notice.person}",
            "type": notice.type,
            "resource": notice.resource,
            "organization": f"organizations/{notice.organization}" if notice.organization else "",
            "create_time": notice.created_at.isoformat(),
        }
        headers = {"authorization": f"Bearer {self._assertion.to(self._endpoint)}"}
        try:
            async with self._session.post(
                self._endpoint, json=body, headers=headers, ssl=self._tls, allow_redirects=False
            ) as answer:
                return _reason(answer.status)
        except (TimeoutError, aiohttp.ClientError):
            return APP_UNREACHABLE


def _reason(status: int) -> str:
    if status in _TAKEN:
        return ""
    if status == _UNKNOWN:
        return RECIPIENT_UNKNOWN
    return "APP_REFUSED" if _REFUSED_FROM <= status < _FAILED_FROM else "APP_FAILED"
