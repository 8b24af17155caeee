"""Tables of the referrals database, distributed by `person_id`, which therefore stands in every primary key."""

from __future__ import annotations

from sqlalchemy import Column, Date, DateTime, Index, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.feed import feed_tables
from services.chassis.keyring import person_key_table
from services.chassis.migrations import NAMING
from services.chassis.outbox import outbox_table

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)

imported_event = Table(
    "imported_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("event_id", UUID, primary_key=True),
    Column("imported_at", TIME, nullable=False),
)

referral = Table(
    "referral",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("number", String(50), nullable=False),
    Column("document_id", UUID, nullable=False),
    Column("source", String(5), nullable=False),
    Column("target", String(5), nullable=False),
    Column("previous", ARRAY(String(5)), nullable=False),
    Column("reason_code", String(4), nullable=False),
    Column("signed_on", Date, nullable=False),
    Column("valid_through", Date, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("content_sealed", LargeBinary, nullable=False),
    Column("accepted_at", TIME),
    Column("arrived_at", TIME),
    # Idempotency keys of the two steps (AIP-155).
    Column("accept_request", String(36), nullable=False, server_default=""),
    Column("arrive_request", String(36), nullable=False, server_default=""),
    # Worklists; ids are UUIDv7, so their order is the order of time. Names are looked up without the person.
    Index("ix_referral_id", "id"),
    Index("ix_referral_target", "target", "id"),
    Index("ix_referral_source", "source", "id"),
)

appointment = Table(
    "appointment",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("number", String(50), nullable=False),
    Column("document_id", UUID, nullable=False),
    Column("organization", String(5), nullable=False),
    Column("day", Date, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("state", String(16), nullable=False),
    Index("ix_appointment_id", "id"),
    Index("ix_appointment_organization", "organization", "day", "id"),
    Index("ix_appointment_person", "person_id", "day", "id"),
)

person_key = person_key_table(METADATA)
feed_tables(METADATA)
outbox_table(METADATA)
