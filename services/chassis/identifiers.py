"""UUIDs minted in the application, so that any PostgreSQL from 15 on will do."""

from __future__ import annotations

import os
import time
from uuid import UUID, uuid5


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits. Ids of one process and millisecond are in random order."""
    value = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def uuid_from_request(scope: str, request_id: UUID) -> UUID:
    """The id of what a request makes (UUIDv5 over caller, method and request id): a retry meets the same primary key (AIP-155)."""
    return uuid5(request_id, scope)
