"""Texts at rest: sealed under the person's key, bound to the place where they lie."""

from __future__ import annotations

from services.chassis.keyring import Wrapping, open_sealed, seal, sealed_from_bytes


def seal_text(key: Wrapping, value: str, place: bytes) -> bytes:
    """Seals a text for a place such as `consent|table.column|id`."""
    return seal(key, value.encode(), place).to_bytes()


def open_text(key: Wrapping, sealed: bytes, place: bytes) -> str:
    """Opens it again; raises SealBroken when it lay elsewhere."""
    return open_sealed(key, sealed_from_bytes(bytes(sealed)), place).decode()
