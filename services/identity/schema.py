"""Tables of the identity database.

What grows with the nation carries its distribution column in the primary key and in every unique constraint:
`person_id` for what is known of a person, `blind` for the lookup by identifier (the person is what it is asked for),
`facility_id` for source records. The registers of facilities and practitioners are small and would be reference
tables.

Whatever names a person lies sealed (AES-256-GCM under a wrapped key of its own); numbers are found by a keyed hash of
their canonical value. `blind_version` says under which key, and is there to change it.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from services.chassis.idempotency import request_table
from services.chassis.keyring import person_key_table
from services.chassis.migrations import NAMING

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)

request = request_table(METADATA)

person = Table(
    "person",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("state", String(16), nullable=False),
    # Registering facility of a provisional person.
    Column("facility_id", String(5)),
    Column("demographics_sealed", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("(state = 'PROVISIONAL') = (facility_id IS NOT NULL)", name="facility_of_provisional"),
)

person_identifier = Table(
    "person_identifier",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("kind", String(24), primary_key=True),
    Column("blind", LargeBinary, primary_key=True),
    # The register as it was sent: an insurance card has the kind of its social-insurance number.
    Column("type", String(24), nullable=False),
    Column("value_sealed", LargeBinary, nullable=False),
    Column("assurance", String(16), nullable=False),
    Column("valid_from", TIME, nullable=False),
    Column("valid_to", TIME),
    Column("blind_version", SmallInteger, nullable=False),
)

identifier_lookup = Table(
    "identifier_lookup",
    METADATA,
    Column("blind", LargeBinary, primary_key=True),
    Column("kind", String(24), primary_key=True),
    Column("person_id", UUID, primary_key=True),
    # False for numbers several persons may hold, and for superseded ones, which stay findable.
    Column("exclusive", Boolean, nullable=False),
    # What makes two concurrent registrations of one number end with one person.
    Index("uq_identifier_lookup_exclusive", "blind", "kind", unique=True, postgresql_where=text("exclusive")),
)

person_event = Table(
    "person_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("at", TIME, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("detail", JSONB, nullable=False),
)

source_record = Table(
    "source_record",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("mrn_blind", LargeBinary, primary_key=True),
    Column("said_blind", LargeBinary, primary_key=True),
    Column("person_id", UUID, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("warnings", ARRAY(String(64)), nullable=False),
    # What the document said, kept for stewards and for better rules.
    Column("said_sealed", LargeBinary, nullable=False),
    Column("filed_at", TIME, nullable=False),
    Column("blind_version", SmallInteger, nullable=False),
    Index("ix_source_record_person_id", "person_id"),
)

organization = Table(
    "organization",
    METADATA,
    Column("code", String(5), primary_key=True),
    Column("display_name", String(255), nullable=False),
    Column("care_level", String(16), nullable=False),
    Column("province_code", String(2), nullable=False),
    Column("province_era", String(16), nullable=False),
    Column("parent_code", String(5)),
    Column("state", String(16), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("version", Integer, nullable=False),
)

practitioner = Table(
    "practitioner",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("licence", String(50), nullable=False, unique=True),
    Column("human_name", String(255), nullable=False),
    Column("organizations", ARRAY(String(5)), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_practitioner_organizations", "organizations", postgresql_using="gin"),
)

person_key = person_key_table(METADATA)
