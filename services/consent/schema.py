"""Tables of the consent database. All that grows with the nation is distributed by `person_id`, which therefore stands in every primary key."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.chassis.feed import feed_tables
from services.chassis.keyring import person_key_table
from services.chassis.migrations import NAMING

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)

consent = Table(
    "consent",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("purpose", String(32), nullable=False),
    Column("kinds", ARRAY(String(32)), nullable=False),
    Column("data_start", TIME),
    Column("data_end", TIME),
    Column("duration_seconds", BigInteger, nullable=False),
    Column("organization", String(5)),
    Column("channel", String(32), nullable=False),
    Column("text_version", String(32), nullable=False),
    Column("text_sha256", String(64), nullable=False),
    # The app's assertion names the person; it lies encrypted beside its wrapped key.
    Column("assertion_sealed", LargeBinary),
    Column("acr", String(128), nullable=False),
    Column("request_id", UUID),
    Column("granted_at", TIME, nullable=False),
    # Names are looked up without the person; not unique, so that the table can be distributed by person.
    Index("ix_consent_id", "id"),
)

consent_event = Table(
    "consent_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("consent_id", UUID, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("at", TIME, nullable=False),
)

consent_request = Table(
    "consent_request",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("organization", String(5), nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("binding_message", String(32), nullable=False),
    Column("app_request_sealed", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("answer", String(16)),
    Column("answered_at", TIME),
    Column("consent_id", UUID),
    Column("next_poll_at", TIME, nullable=False),
    Index("ix_consent_request_id", "id"),
    Index("ix_consent_request_due", "next_poll_at", postgresql_where="answer IS NULL"),
)

decision = Table(
    "decision",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("content", JSONB, nullable=False),
    Column("decided_at", TIME, nullable=False),
    Index("ix_decision_id", "id"),
)

access_entry = Table(
    "access_entry",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", UUID, nullable=False),
    Column("at", TIME, nullable=False),
    Column("organization", String(5), nullable=False),
    Column("licence", String(50), nullable=False),
    Column("principal_kind", String(16), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("basis", String(32), nullable=False),
    Column("kinds", ARRAY(String(32)), nullable=False),
    Column("method", String(200), nullable=False),
    Column("decision_id", UUID, nullable=False),
    Column("effect", String(16), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # Ledgers of several entries are read together.
    Index("ix_access_entry_person_id_at", "person_id", "at", "sequence"),
)

person_key = person_key_table(METADATA)
feed_tables(METADATA)

ledger_head = Table(
    "ledger_head",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
