"""What every servicer needs: digests of requests and counts of outcomes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from google.protobuf.message import Message
from opentelemetry.metrics import Counter as Instrument

from services.identity.telemetry import ATTRIBUTE_OUTCOME


def digest(request: Message) -> bytes:
    """Tells whether a request id comes with the same request again."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def count_outcomes(instrument: Instrument, outcomes: Iterable[str]) -> None:
    """Adds each outcome to the instrument."""
    for outcome, number in Counter(outcomes).items():
        instrument.add(number, {ATTRIBUTE_OUTCOME: outcome})
