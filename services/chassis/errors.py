"""Errors as nouns with a reason. No gRPC here: `status.py` alone knows codes. No text ever holds a person's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of error it is; each maps to one canonical code."""

    INVALID = "INVALID"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    DENIED = "DENIED"
    NOT_FOUND = "NOT_FOUND"
    EXISTS = "EXISTS"
    PRECONDITION = "PRECONDITION"
    ABORTED = "ABORTED"
    EXHAUSTED = "EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE = "DEADLINE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field: its path in the request (`documents[3].content`), what it should be, and a stable reason."""

    field: str
    description: str
    reason: str = ""


class DomainError(Exception):
    """Base of every error that a caller may see. Subclasses set `kind` and `reason`."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        text: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after


class InvalidArgument(DomainError):
    """Fields are wrong; all of them are named at once."""

    kind = Kind.INVALID
    reason = "FIELD_INVALID"

    @classmethod
    def of(cls, *violations: FieldViolation) -> InvalidArgument:
        """From the violations alone."""
        return cls("; ".join(f"{one.field}: {one.description}" for one in violations), violations=violations)


class Unavailable(DomainError):
    """Something this role needs is down; a retry helps."""

    kind = Kind.UNAVAILABLE
    reason = "UNAVAILABLE"

    def __init__(self, text: str, *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(text, metadata=metadata, retry_after=timedelta(seconds=1))


class PeerUnavailable(Unavailable):
    """Another role does not answer."""

    reason = "PEER_UNAVAILABLE"

    def __init__(self, peer: str) -> None:
        super().__init__(f"{peer} does not answer", metadata={"peer": peer})


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database does not answer")


class PeerRefused(DomainError):
    """Another role refused what this one asked; a fault of ours, whatever the peer's reason."""

    kind = Kind.INTERNAL
    reason = "PEER_REFUSED"

    def __init__(self, peer: str, peer_reason: str) -> None:
        super().__init__(f"{peer} refused", metadata={"peer": peer, "peer_reason": peer_reason})
        self.peer_reason = peer_reason


class RequestIdReused(DomainError):
    """The same request id came with another request (AIP-155)."""

    kind = Kind.EXISTS
    reason = "REQUEST_ID_REUSED"
