"""Opaque page tokens (AIP-158): where the last page ended, bound to the filter it was made for. They grant nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from services.chassis.errors import FieldViolation, InvalidArgument

DEFAULT_PAGE = 50
LARGEST_PAGE = 500
_DIGEST = 8


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
    wrong = InvalidArgument.of(FieldViolation("page_token", "the token of the former page", "PAGE_TOKEN_INVALID"))
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        body = raw[_DIGEST:]
        if raw[:_DIGEST] != _digest(body, bound_to):
            raise wrong
        return tuple(str(part) for part in json.loads(body))
    except ValueError:
        raise wrong from None


def _digest(body: bytes, bound_to: str) -> bytes:
    return hashlib.sha256(body + b"\x00" + bound_to.encode()).digest()[:_DIGEST]
