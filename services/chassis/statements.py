"""A span for every SQL statement, named by its verb and its table: never its text, never a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

# Literals are matched so that what stands inside them is not taken for SQL.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")+"|[A-Za-z_][\w$]*(?:\."?[A-Za-z_][\w$]*"?)*|[()]""")
# The word after which a statement's table is named; None when it follows at once.
_TABLE_AFTER: dict[str, str | None] = {
    "SELECT": "FROM",
    "DELETE": "FROM",
    "INSERT": "INTO",
    "MERGE": "INTO",
    "UPDATE": None,
    "COPY": None,
}
_FILLERS = frozenset({"ONLY", "LATERAL", "TABLE"})


@lru_cache(maxsize=1024)
def verb_and_table(statement: str) -> tuple[str, str]:
    """What a statement does and to which table; a query's is the first one it reads. Empty where there is none."""
    depth = 0
    verb = ""
    for match in _TOKEN.finditer(statement):
        word = match.group()
        if word in "()":
            depth += 1 if word == "(" else -1
        elif depth == 0 and word.upper() in _TABLE_AFTER:
            verb = word.upper()
            return verb, _table(statement[match.end() :], _TABLE_AFTER[verb])
        elif not verb:
            # BEGIN, SET and so on; a query with common table expressions goes on to its own verb.
            verb = word.upper()
    return ("OTHER" if verb == "WITH" else verb), ""


def _table(rest: str, after: str | None) -> str:
    depth = 0
    expected = after is None
    for match in _TOKEN.finditer(rest):
        word = match.group()
        if expected and word.upper() not in _FILLERS:
            return "" if word in "()" or word.startswith("'") else word.rpartition(".")[2].strip('"')
        if word in "()":
            depth += 1 if word == "(" else -1
        elif depth == 0 and word.upper() == after:
            expected = True
    return ""


@contextmanager
def statement_span(verb: str, table: str) -> Iterator[None]:
    """The span of a statement that the engine doesn't see: one that is run on the driver's own connection."""
    span = _start(verb, table)
    try:
        yield
    except BaseException as error:
        _fail(span, error)
        raise
    finally:
        if span is not None:
            span.end()


def trace_statements(engine: AsyncEngine) -> None:
    """Gives every statement of this engine its span, when the caller's span is recorded."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        span = _start(*verb_and_table(statement))
        if span is not None:
            connection.info["span"] = span

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def after(connection: Any, *_: Any) -> None:
        span = connection.info.pop("span", None)
        if span is not None:
            span.end()

    @event.listens_for(engine.sync_engine, "handle_error")
    def failed(context: Any) -> None:
        span = context.connection.info.pop("span", None) if context.connection is not None else None
        if span is not None:
            _fail(span, context.original_exception)
            span.end()


@lru_cache(maxsize=8)
def tracer_of(provider: TracerProvider) -> Tracer:
    """The tracer of a provider: asking it for one each time costs as much as a span."""
    return provider.get_tracer("lienthong")


def _start(verb: str, table: str) -> Span | None:
    if not trace.get_current_span().is_recording():
        return None
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb, "db.collection.name": table}
    return tracer_of(trace.get_tracer_provider()).start_span(
        f"{verb} {table}".strip(), kind=SpanKind.CLIENT, attributes={key: it for key, it in attributes.items() if it}
    )


def _fail(span: Span | None, error: BaseException) -> None:
    """Marks it with the SQLSTATE or the error's class. The driver's text can hold the values of a row."""
    if span is not None:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", str(getattr(error, "sqlstate", None) or type(error).__name__))
