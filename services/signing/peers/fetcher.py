"""HTTP to the addresses of authorities, over aiohttp: bounded in time and bytes, no redirections, no cookies, no proxy."""

from __future__ import annotations

from types import TracebackType

import aiohttp

from services.signing.ports import FetchFailed

_CHUNK = 64 * 1024
_CONNECTIONS = 16


class HttpFetcher:
    """`Fetcher` over HTTP. An async context manager."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpFetcher:
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector, cookie_jar=jar)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, address: str, most_bytes: int) -> bytes:
        """The body of a GET."""
        return await self._fetch("GET", address, None, "", most_bytes)

    async def post(self, address: str, body: bytes, content_type: str, most_bytes: int) -> bytes:
        """The body of the answer to a POST."""
        return await self._fetch("POST", address, body, content_type, most_bytes)

    async def _fetch(self, method: str, address: str, body: bytes | None, content_type: str, most_bytes: int) -> bytes:
        if self._session is None:
            raise FetchFailed("FETCHER_CLOSED")
        headers = {"content-type": content_type} if content_type else {}
        try:
            async with self._session.request(
                method, address, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise FetchFailed("STATUS_NOT_OK")
                content = bytearray()
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    content += chunk
                    if len(content) > most_bytes:
                        raise FetchFailed("BODY_TOO_LARGE")
                return bytes(content)
        except TimeoutError as error:
            raise FetchFailed("TIMEOUT") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise FetchFailed("UNREACHABLE") from error
