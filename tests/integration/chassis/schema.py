"""Tables of a role that exists for these tests only."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, String, Table

from services.chassis.idempotency import request_table
from services.chassis.migrations import NAMING
from services.chassis.outbox import outbox_table

METADATA = MetaData(naming_convention=NAMING)

counter = Table(
    "counter",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
    CheckConstraint("value >= 0", name="not_negative"),
)
# Append-only.
note = Table("note", METADATA, Column("id", Integer, primary_key=True), Column("text", String(100), nullable=False))
request = request_table(METADATA)
outbox = outbox_table(METADATA)
