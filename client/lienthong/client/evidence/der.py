"""A strict reader of DER (ITU-T X.690): definite lengths in their shortest form, tags of one byte, nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

SEQUENCE, SET, INTEGER, OCTETS, OBJECT, UTC_TIME, GENERALIZED_TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0x17, 0x18
CONTEXT_0, CONTEXT_1, CONTEXT_2 = 0xA0, 0xA1, 0xA2
_LONG_FORM = 0x80
_MOST_LENGTH_BYTES = 4


class DerInvalid(ValueError):
    """Not DER, or not of the expected structure."""


@dataclass(frozen=True)
class Value:
    """One value: `tag`, `content` without the header, `encoded` with it."""

    tag: int
    content: bytes
    encoded: bytes

    def children(self) -> list[Value]:
        """The values inside a constructed one."""
        found, rest = [], self.content
        while rest:
            value, rest = _split(rest)
            found.append(value)
        return found

    def expect(self, tag: int) -> Value:
        """Itself, when it has the tag."""
        if self.tag != tag:
            raise DerInvalid("another type than expected")
        return self

    def oid(self) -> str:
        """Dotted form of an object identifier."""
        self.expect(OBJECT)
        if not self.content or self.content[-1] & 0x80:
            raise DerInvalid("an object identifier that ends early")
        arcs, arc = [], 0
        for octet in self.content:
            arc = arc << 7 | octet & 0x7F
            if not octet & 0x80:
                arcs.append(arc)
                arc = 0
        first = min(arcs[0] // 40, 2)
        return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))

    def integer(self) -> int:
        """Value of an INTEGER."""
        return int.from_bytes(self.expect(INTEGER).content, "big", signed=True)

    def time(self) -> datetime:
        """A UTCTime, or a GeneralizedTime with or without a fraction of a second; both in UTC."""
        text = self.content.decode("ascii", "replace")
        if self.tag == UTC_TIME:
            # Two digits of the year: 1950 to 2049 (RFC 5280 §4.1.2.5.1).
            text = ("20" if text[:2] < "50" else "19") + text
        elif self.tag != GENERALIZED_TIME:
            raise DerInvalid("not a time")
        for form in ("%Y%m%d%H%M%SZ", "%Y%m%d%H%M%S.%fZ"):
            try:
                return datetime.strptime(text, form).replace(tzinfo=UTC)
            except ValueError:
                continue
        raise DerInvalid("not a time")


def read(data: bytes) -> Value:
    """The one value that `data` is. Raises DerInvalid."""
    value, rest = _split(data)
    if rest:
        raise DerInvalid("bytes behind the value")
    return value


def _split(data: bytes) -> tuple[Value, bytes]:
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise DerInvalid("no value of a known form")
    size, start = data[1], 2
    if size & _LONG_FORM:
        count = size & 0x7F
        if not 1 <= count <= _MOST_LENGTH_BYTES or len(data) < 2 + count:
            raise DerInvalid("a length that is not allowed")
        size, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        if size < _LONG_FORM or size.bit_length() <= 8 * (count - 1):
            raise DerInvalid("a length that is not in its shortest form")
    end = start + size
    if end > len(data):
        raise DerInvalid("a value that ends early")
    return Value(data[0], data[start:end], data[:end]), data[end:]
