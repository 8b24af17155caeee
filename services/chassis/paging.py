"""Opaque page tokens (AIP-158): where the last page ended, bound to the filter it was made for.

They grant nothing and hide nothing: the digest finds accidents, not forgers, and the key can be read. A key MUST NOT hold
a person's data, and the query a token goes on with is authorised like the first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from services.chassis.errors import FieldViolation, InvalidArgument

DEFAULT_PAGE = 50
LARGEST_PAGE = 500
_DIGEST = 8
_LARGEST_TOKEN = 1024
_URL_SAFE = b"-_"


def page_limit(page_size: int, largest: int = LARGEST_PAGE) -> int:
    """Rows of a page: 0 means 50; more than the largest, or less than 0, is an error."""
    if not 0 <= page_size <= largest:
        raise InvalidArgument.of(FieldViolation("page_size", f"0 to {largest}", "PAGE_SIZE_OUT_OF_RANGE"))
    return page_size or min(DEFAULT_PAGE, largest)


def encode_token(key: Sequence[str], bound_to: str) -> str:
    """A token that says where to go on; `bound_to` is everything the request filters by."""
    body = json.dumps(list(key), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(body, bound_to) + body).rstrip(b"=").decode()


def decode_token(token: str, bound_to: str) -> tuple[str, ...]:
    """The key of a token; empty for no token. InvalidArgument when it was altered or made for another request."""
    if not token:
        return ()
    key = _read(token, bound_to)
    # Only the one spelling that was given out: base64 has several of the same bytes.
    if key is None or encode_token(key, bound_to) != token:
        raise InvalidArgument.of(FieldViolation("page_token", "the token of the former page", "PAGE_TOKEN_INVALID"))
    return key


def _read(token: str, bound_to: str) -> tuple[str, ...] | None:
    # The limit also keeps the parser from nesting deep; anybody can compute the digest.
    if len(token) > _LARGEST_TOKEN or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=_URL_SAFE, validate=True)
        body = raw[_DIGEST:]
        key = json.loads(body) if raw[:_DIGEST] == _digest(body, bound_to) else None
    except (binascii.Error, ValueError):
        return None
    if not isinstance(key, list) or not all(isinstance(part, str) for part in key):
        return None
    return tuple(key)


def _digest(body: bytes, bound_to: str) -> bytes:
    return hashlib.sha256(body + b"\x00" + bound_to.encode()).digest()[:_DIGEST]
