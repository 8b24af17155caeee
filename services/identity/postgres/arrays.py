"""Parallel arrays as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Insert, Subquery, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
_ROWS_AT_ONCE = 500
_FEW = 50


def slices(rows: Sequence[T], size: int = _ROWS_AT_ONCE) -> Iterator[Sequence[T]]:
    """The rows, in order, at most so many at once: making the arrays of many thousands would keep other calls waiting."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def unnested(**columns: tuple[Any, Sequence[Any]]) -> Subquery:
    """A table of parallel arrays, so that a statement has the same text whatever the number of rows."""
    parts = [func.unnest(cast(list(values), ARRAY(type))).label(name) for name, (type, values) in columns.items()]
    return select(*parts).subquery("asked")


async def insert_rows(
    connection: AsyncConnection, made: Insert, rows: Sequence[Mapping[str, Any]]
) -> CursorResult[Any]:
    """Inserts rows, one at least, in their order; what they have beside the columns of the table is left out. Many go as one array a column, which
    costs less than as many parameters as values do; few as values, which costs less to plan.
    """
    columns = [column for column in made.table.columns if column.name in rows[0]]
    if len(rows) <= _FEW:
        return await connection.execute(made, [{column.name: row[column.name] for column in columns} for row in rows])
    parts = unnested(**{column.name: (column.type, [row[column.name] for row in rows]) for column in columns})
    return await connection.execute(made.from_select([column.name for column in columns], select(parts)))
