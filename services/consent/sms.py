"""The SMS gateway over HTTPS. The provider is a port: what differs at a real one is configuration or another file like this one."""

from __future__ import annotations

import asyncio
import ssl
from uuid import UUID

import aiohttp

from services.consent.codes import SmsSettings
from services.consent.errors import ChannelNotAllowed, SmsUnavailable

_TIMEOUT = aiohttp.ClientTimeout(total=5)
_TAKEN = frozenset({200, 201, 202, 204, 409})


class HttpsSms:
    """`Sms`. Every call is bounded to 5 s; the gateway deduplicates by `id`. The number and the text are in the body only."""

    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=str(settings.authority)) if settings.authority else None

    async def send(self, phone: str, text: str, id: UUID) -> None:
        """Posts it."""
        settings = self._settings
        if not settings.endpoint or settings.token_file is None:
            raise ChannelNotAllowed("codes by SMS are not set up here", metadata={"why": "NOT_SET_UP"})
        token = (await asyncio.to_thread(settings.token_file.read_text, "utf-8")).strip()
        headers = {"authorization": f"Bearer {token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as http,
                http.post(
                    settings.endpoint,
                    json={"id": str(id), "to": phone, "text": text},
                    headers=headers,
                    ssl=self._tls if self._tls is not None else True,
                    allow_redirects=False,
                ) as answer,
            ):
                if answer.status not in _TAKEN:
                    raise SmsUnavailable("the SMS gateway did not take it")
        except (TimeoutError, aiohttp.ClientError) as error:
            raise SmsUnavailable("the SMS gateway cannot be reached") from error
