"""A witness over HTTP (C2SP tlog-witness)."""

from __future__ import annotations

import ssl

import aiohttp
from lienthong.client.tlog.checkpoint import parse_decimal
from lienthong.client.tlog.witness import PATH, AddCheckpoint

from services.signing.peers.bounded import AnswerTooLong, read_at_most
from services.signing.ports import WitnessBehind, WitnessFailed

_LARGEST_ANSWER = 64 * 1024


class HttpWitness:
    """`Witness` under a submission prefix. Answers are bounded in time by the session and in size here."""

    def __init__(self, http: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | None) -> None:
        self._http = http
        self._url = url.rstrip("/") + PATH
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True

    async def add_checkpoint(self, request: AddCheckpoint) -> str:
        """Sends a checkpoint. A redirect is not followed: the policy names the address."""
        try:
            async with self._http.post(
                self._url, data=request.encode(), ssl=self._tls, allow_redirects=False
            ) as answer:
                status, body = answer.status, await read_at_most(answer, _LARGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise WitnessFailed("UNREACHABLE") from None
        except AnswerTooLong:
            raise WitnessFailed("ANSWER_TOO_LONG") from None
        text = body.decode("utf-8", "replace")
        if status == 409:
            size = parse_decimal(text.removesuffix("\n"))
            if size is None:
                raise WitnessFailed("ANSWER_MALFORMED")
            raise WitnessBehind(size)
        if status != 200:
            raise WitnessFailed(f"HTTP_{status}")
        return text
