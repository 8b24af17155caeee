"""Parallel arrays as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Subquery, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY


def unnested(**columns: tuple[Any, Sequence[Any]]) -> Subquery:
    """A table of parallel arrays, so that a statement has the same text whatever the number of rows."""
    parts = [func.unnest(cast(list(values), ARRAY(type))).label(name) for name, (type, values) in columns.items()]
    return select(*parts).subquery("asked")
