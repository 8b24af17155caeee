"""What a statement's span is called."""

from __future__ import annotations

import pytest

from services.chassis.statements import verb_and_table


@pytest.mark.parametrize(
    ("statement", "verb", "table"),
    [
        ("SELECT 1", "SELECT", ""),
        ("select a, b from note where a = %(a)s", "SELECT", "note"),
        ("SELECT extract(epoch FROM at), (SELECT max(id) FROM other) FROM note", "SELECT", "note"),
        ("SELECT 'x FROM y' FROM note", "SELECT", "note"),
        ('SELECT "from" FROM "request"', "SELECT", "request"),
        ("SELECT 'it''s FROM' FROM public.note n", "SELECT", "note"),
        ("SELECT * FROM ONLY note", "SELECT", "note"),
        ("SELECT * FROM (SELECT 1) AS inner_one", "SELECT", ""),
        ("SELECT * FROM unnest(%(ids)s) AS one", "SELECT", "unnest"),
        ("INSERT INTO note (text) SELECT text FROM other", "INSERT", "note"),
        ("\n  INSERT\n  INTO note VALUES (1)", "INSERT", "note"),
        ("UPDATE note SET text = other.text FROM other", "UPDATE", "note"),
        ("UPDATE ONLY note SET a = 1", "UPDATE", "note"),
        ("DELETE FROM note USING other", "DELETE", "note"),
        ("COPY note (text) FROM STDIN", "COPY", "note"),
        ("COPY (SELECT 1) TO STDOUT", "COPY", ""),
        ("MERGE INTO note USING other ON true WHEN MATCHED THEN DO NOTHING", "MERGE", "note"),
        ("WITH a AS (SELECT 1 FROM x), b AS (DELETE FROM y) UPDATE note SET a = 1 FROM a", "UPDATE", "note"),
        ("WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a", "SELECT", "a"),
        ("WITH a AS (SELECT 1)", "OTHER", ""),
        ("SET statement_timeout = 5", "SET", ""),
        ("BEGIN", "BEGIN", ""),
        ("", "", ""),
    ],
)
def test_verb_and_table(statement: str, verb: str, table: str) -> None:
    assert verb_and_table(statement) == (verb, table)
