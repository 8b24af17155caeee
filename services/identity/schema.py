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
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
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
from services.chassis.outbox import outbox_table

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)
# By which transaction a row was last written: readers of a feed pass over nothing that commits late.
XID = text("(pg_current_xact_id()::text)::bigint")

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
    # True for who is found by exact identifier only.
    Column("protected", Boolean, nullable=False),
    Column("death_sealed", LargeBinary),
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
    # What a steward calls it by; the blind values change with the blind key.
    Column("id", UUID, nullable=False, server_default=text("gen_random_uuid()")),
    Index("ix_source_record_person_id", "person_id", "filed_at", "id"),
    Index("ix_source_record_id", "id"),
)

# Links of entries. `link_event` is the truth and only added to; the other tables are its fold.
link_event = Table(
    "link_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("target_id", UUID, nullable=False),
    Column("link_id", UUID),
    Column("at", TIME, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("method", String(16), nullable=False),
    Column("score", Float),
    Column("model_version", String(64), nullable=False),
    Column("detail", JSONB, nullable=False),
    Index("ix_link_event_target_id", "target_id"),
    Index("ix_link_event_link_id", "link_id"),
)

person_link = Table(
    "person_link",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("target_id", UUID, nullable=False),
    Column("state", String(16), nullable=False),
    Column("method", String(16), nullable=False),
    Column("evidence", String(24)),
    Column("actor", String(128), nullable=False),
    Column("second_actor", String(128), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("score", Float),
    Column("model_version", String(64), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_person_link_id", "id"),
    Index("ix_person_link_target_id", "target_id"),
    # An entry answers with one other at most.
    Index("uq_person_link_active", "person_id", unique=True, postgresql_where=text("state = 'ACTIVE'")),
)

# One row for every entry that is not its own root; `current_id` is the root, so a lookup is one step.
person_redirect = Table(
    "person_redirect",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("current_id", UUID, nullable=False),
    Index("ix_person_redirect_current_id", "current_id"),
    CheckConstraint("person_id <> current_id", name="no_loop"),
)

# The smaller id stands first.
person_refusal = Table(
    "person_refusal",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("other_id", UUID, primary_key=True),
    Column("event_id", UUID, nullable=False),
    Index("ix_person_refusal_other_id", "other_id"),
    CheckConstraint("person_id < other_id", name="order"),
)

review_task = Table(
    "review_task",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("reason", String(24), nullable=False),
    Column("state", String(16), nullable=False),
    Column("facility_id", String(5), nullable=False),
    # Ids, scores and bits per field; no values.
    Column("candidates", JSONB, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("documents_waiting", Integer, nullable=False),
    Column("double_review", Boolean, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("claimed_by", String(128)),
    Column("claim_ends_at", TIME),
    # Decisions so far: who, what, when, why.
    Column("decisions", JSONB, nullable=False),
    Column("decided_at", TIME),
    Column("version", Integer, nullable=False),
    Index("ix_review_task_id", "id"),
    Index(
        "ix_review_task_waiting",
        "state",
        text("documents_waiting DESC"),
        "created_at",
        "id",
        postgresql_where=text("state <> 'DECIDED'"),
    ),
    Index(
        "uq_review_task_open",
        "person_id",
        "reason",
        unique=True,
        postgresql_where=text("state IN ('OPEN', 'CLAIMED')"),
    ),
)

# The feed. `xid` is the transaction's 64-bit id and orders what is committed: a reader takes rows below the oldest transaction that still runs,
# so that one which commits late is not passed over.
person_change = Table(
    "person_change",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("xid", BigInteger, nullable=False, server_default=XID),
    Column("kind", String(16), nullable=False),
    Column("current_id", UUID, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("at", TIME, nullable=False),
    Column("source_record", String(128), nullable=False),
    Column("former_id", UUID),
    Index("ix_person_change_xid", "xid", "id"),
    Index("ix_person_change_at", "at"),
)

provisional_person = Table(
    "provisional_person",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("facility_id", String(5), nullable=False),
    Column("kind", String(16), nullable=False),
    # Two neutral words, nobody's name; empty for those who came by a document.
    Column("alias", String(32), nullable=False),
    Column("arrival_at", TIME, nullable=False),
    Column("notice_due_at", TIME),
    Column("notice_at", TIME),
    # False once the entry is identified, or answers with another one: what the work lists leave out.
    Column("waiting", Boolean, nullable=False),
    Column("mother_id", UUID),
    Column("birth_sealed", LargeBinary),
    Column("birth_order", SmallInteger, nullable=False),
    Index("ix_provisional_person_waiting", "facility_id", "arrival_at", "person_id", postgresql_where=text("waiting")),
    Index("ix_provisional_person_arrival", "arrival_at", "person_id", postgresql_where=text("waiting")),
    Index("ix_provisional_person_mother_id", "mother_id", postgresql_where=text("mother_id IS NOT NULL")),
)

# What was said of a person, and when; only added to. A person of whom one thing was said has none: it lies in `person`.
person_demographics = Table(
    "person_demographics",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("valid_from", TIME, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("assurance", String(16), nullable=False),
    Column("actor", String(128), nullable=False),
)

wristband_alias = Table(
    "wristband_alias",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("alias", String(32), primary_key=True),
    Column("person_id", UUID, nullable=False),
    # Until then no other patient of the facility is called so.
    Column("until", TIME, nullable=False),
)

# What entries are found by when no number is given: keyed hashes, never the name and birth date they are made of. Provisional and protected
# entries, and those without a name, have none.
block_key = Table(
    "block_key",
    METADATA,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("person_id", UUID, primary_key=True),
)

# What is compared of an entry, ready made, sealed with the entry's key. `block_keys` are its keys in `block_key`, 8 bytes each, so that they can be
# taken away whatever made them; `normaliser` and `blind_version` say what did.
person_feature = Table(
    "person_feature",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("normaliser", String(32), nullable=False),
    Column("blind_version", SmallInteger, nullable=False),
    Column("block_keys", LargeBinary, nullable=False),
    Column("packed_sealed", LargeBinary, nullable=False),
)

# Loads of an existing population, few; parts are loaded in order, so their number is all that has to be kept.
population_load = Table(
    "population_load",
    METADATA,
    Column("source", String(40), primary_key=True),
    Column("parts", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("conflicts", BigInteger, nullable=False),
    # Keyed hash of the part loaded last, which tells whether it comes again as it was.
    Column("last_part", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
)

# Rows that could not be used: where and why, never what.
population_load_error = Table(
    "population_load_error",
    METADATA,
    Column("source", String(40), primary_key=True),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("field", String(64), primary_key=True),
    Column("reason", String(64), primary_key=True),
)

re_resolution = Table(
    "re_resolution",
    METADATA,
    Column("version", String(64), primary_key=True),
    Column("last_person_id", UUID, nullable=False),
    Column("updated_at", TIME, nullable=False),
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
    Column("capabilities", ARRAY(String(64)), nullable=False),
    Column("contact", String(255), nullable=False),
    Column("suspension_reason", String(64), nullable=False),
    Column("xid", BigInteger, nullable=False, server_default=XID, onupdate=XID),
    Column("changed_at", TIME, nullable=False, server_default=text("now()"), onupdate=text("now()")),
    Index("ix_organization_parent_code", "parent_code"),
    Index("ix_organization_xid", "xid", "code"),
    Index("ix_organization_capabilities", "capabilities", postgresql_using="gin"),
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
    Column("licence_from", TIME),
    Column("licence_until", TIME),
    Column("scope", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("xid", BigInteger, nullable=False, server_default=XID, onupdate=XID),
    Column("changed_at", TIME, nullable=False, server_default=text("now()"), onupdate=text("now()")),
    Index("ix_practitioner_xid", "xid", "licence"),
    Index("ix_practitioner_organizations", "organizations", postgresql_using="gin"),
)

# What became of facilities and practitioners, by resource name.
registry_event = Table(
    "registry_event",
    METADATA,
    Column("subject", String(64), primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("at", TIME, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("detail", JSONB, nullable=False),
)

check_in = Table(
    "check_in",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("organization", String(5), nullable=False),
    Column("at", TIME, nullable=False),
    # What waits in the outbox names it without the person.
    Index("ix_check_in_id", "id"),
)

outbox_table(METADATA)
person_key = person_key_table(METADATA)
