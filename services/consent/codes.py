"""Codes that answer a consent request: one to scan from the kiosk's screen, one that is sent to the person's phone."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from services.consent.model import Channel

CODE_LIFE = timedelta(minutes=5)
MOST_WRONG = 5
"""Wrong codes that close a request by SMS."""
DIGITS = 6
_KIOSK_BYTES = 24
_KIND = "consent-code"
Blind = Callable[[str, str], bytes]
"""Keyed hash of a value of a kind, such as `Keyring.blind`."""
BY_CODE = frozenset({Channel.KIOSK_QR, Channel.SMS_CODE})


@dataclass(frozen=True)
class SmsSettings:
    """`endpoint` is the URL of the SMS gateway, none where no codes are sent; `authority` the CA of its certificate, `token_file` its bearer token."""

    endpoint: str = ""
    authority: Path | None = None
    token_file: Path | None = None


class Sms(Protocol):
    """The SMS gateway."""

    async def send(self, phone: str, text: str, id: UUID) -> None:
        """Sends a text to a number of 10 digits; once for each id. Raises SmsUnavailable, ChannelNotAllowed."""


def new_code(channel: Channel) -> str:
    """A new code: 192 random bits to scan, or six digits to type."""
    if channel is Channel.KIOSK_QR:
        return secrets.token_urlsafe(_KIOSK_BYTES)
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def code_hash(blind: Blind, request: UUID, code: str) -> bytes:
    """What is kept of a code; six digits could be found from a plain hash."""
    return blind(_KIND, f"{request}|{code}")


def is_code(blind: Blind, request: UUID, code: str, kept: bytes) -> bool:
    """Whether a code is the one that was given, in constant time."""
    return bool(kept) and hmac.compare_digest(code_hash(blind, request, code), kept)


def sms_text(code: str, binding_message: str) -> str:
    """What is sent. It names no facility and nothing of health: a phone lies open."""
    return f"Lien Thong: ma xac nhan {code} (yeu cau {binding_message}). Co hieu luc 5 phut. Khong doc ma neu ban khong yeu cau."
