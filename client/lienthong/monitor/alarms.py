"""What a monitor can find."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Alarm(Enum):
    """The kinds of alarm."""

    CHECKPOINT_INVALID = "CHECKPOINT_INVALID"
    """The newest checkpoint is malformed or not signed by a log of the policy."""

    COSIGNATURE_INVALID = "COSIGNATURE_INVALID"
    """The cosignature of a witness of the policy is wrong."""

    WITNESS_QUORUM_MISSING = "WITNESS_QUORUM_MISSING"
    """No checkpoint had the policy's quorum for longer than the patience."""

    LOG_SHRANK = "LOG_SHRANK"
    """The log shows fewer entries than before."""

    LOG_FORKED = "LOG_FORKED"
    """Two checkpoints of one size have different roots; both are kept, and both are signed by the log."""

    CONSISTENCY_BROKEN = "CONSISTENCY_BROKEN"
    """The log cannot prove that it extends what was seen before."""

    ENTRIES_MISMATCH = "ENTRIES_MISMATCH"
    """The entries that the log hands out are not those under its signed root, or some are withheld."""

    ENTRY_UNREADABLE = "ENTRY_UNREADABLE"
    """An entry is not one of version 1."""

    SEQUENCE_GAP = "SEQUENCE_GAP"
    """Numbers of a facility are missing although their promises are overdue."""

    SEQUENCE_DUPLICATE = "SEQUENCE_DUPLICATE"
    """A number of a facility occurs twice."""

    RECEIPT_INVALID = "RECEIPT_INVALID"
    """A receipt does not hold; the text starts with its reason."""

    RECEIPT_FORKED = "RECEIPT_FORKED"
    """A receipt's checkpoint is signed by the log and is not part of its history."""

    PROMISE_BROKEN = "PROMISE_BROKEN"
    """The deadline of a promise has passed and the entry is not in the log."""


@dataclass(frozen=True)
class Raised:
    """An alarm and what it is about: a size, a facility's numbers, a file. Never a person's data."""

    alarm: Alarm
    text: str

    def __str__(self) -> str:
        return f"{self.alarm.value}: {self.text}"
