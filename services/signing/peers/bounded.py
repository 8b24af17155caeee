"""Reading what a party outside answers, never more than a bound."""

from __future__ import annotations

import aiohttp


class AnswerTooLong(Exception):
    """The answer is longer than anything that could be right."""


async def read_at_most(answer: aiohttp.ClientResponse, largest: int) -> bytes:
    """The body; raises AnswerTooLong beyond `largest` bytes."""
    body = b""
    async for chunk in answer.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > largest:
            raise AnswerTooLong
    return body
