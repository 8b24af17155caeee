"""JSON lines on stderr. Fields are chosen one by one by whoever logs; no exception text and no person's data ever."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TextIO

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_threshold = 20


def set_level(level: str) -> None:
    """Lines under this level are left out: debug, info, warning, error."""
    global _threshold  # noqa: PLW0603 - one process, one log
    _threshold = _LEVELS.get(level, 20)


def event(name: str, *, level: str = "info", stream: TextIO | None = None, **fields: str | float | bool) -> None:
    """Writes one line."""
    if _LEVELS[level] < _threshold:
        return
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": name, **fields}
    (stream or sys.stderr).write(json.dumps(line, ensure_ascii=True) + "\n")
