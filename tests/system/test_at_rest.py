"""At rest: after the story, neither a dump of any database nor a file of the server tells of a person."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from deploy.local.story import SOURCE
from deploy.local.suite import ROLES, LocalStack

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture
def resting(stack: LocalStack, told: str) -> LocalStack:
    """The stack after the story, with everything on its disk."""
    assert told
    with psycopg.connect(stack.postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    return stack


def spellings(secret: str) -> set[bytes]:
    """How a text may lie in a column or a file."""
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD") for text in (secret, secret.upper())}
    bare = "".join(one for one in unicodedata.normalize("NFD", secret) if not unicodedata.combining(one))
    forms |= {bare, bare.replace("đ", "d").replace("Đ", "D")}
    escaped = {one.encode("ascii", "backslashreplace") for one in forms}
    return {one.encode() for one in forms} | {one.encode("utf-16-le") for one in forms} | escaped


def secrets(stack: LocalStack) -> set[bytes]:
    """Names and numbers of the sample persons."""
    texts = {person[key] for person in stack.endpoints["persons"] for key in ("full_name", "citizen_number")}
    assert len(texts) >= 4
    return {spelling for text in texts for spelling in spellings(text)}


def rows(stack: LocalStack, role: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, with its columns as they are."""
    with psycopg.connect(stack.postgres.url(role)) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in connection.execute(SQL("SELECT * FROM {}").format(Identifier(table))):
                yield table, b"|".join(value if isinstance(value, bytes) else repr(value).encode() for value in row)


def test_no_dump_holds_a_name_or_number_of_a_person(resting: LocalStack) -> None:
    wanted, facilities = secrets(resting), 0
    for role in ROLES:
        filled = set()
        for table, row in rows(resting, role):
            filled.add(table)
            facilities += SOURCE.encode() in row
            assert not [secret for secret in wanted if secret in row], (role, table)
        # What is sealed for a person is there, or there would be nothing to find.
        assert role == "signing" or "person_key" in filled, role
    # What may be read is found, so what names a person would have been.
    assert facilities


def test_no_file_of_the_server_holds_a_name_or_number_of_a_person(resting: LocalStack) -> None:
    """Tables, indexes and the write-ahead log: what a stolen disk or a copy of it would show."""
    wanted, seen = secrets(resting), 0
    for path in resting.postgres.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            seen += len(content)
            assert not [secret for secret in wanted if secret in content], path.name
    assert seen > 1_000_000
