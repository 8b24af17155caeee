"""Tables of the consent database. All that grows with the nation is distributed by `person_id`, which therefore stands in every primary key."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
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
    Column("licence", String(50)),
    Column("organization_class", String(16)),
    Column("erase_after_seconds", BigInteger),
    Column("frequency_reads", Integer),
    Column("frequency_interval_seconds", BigInteger),
    Column("sensitive_classes", ARRAY(String(16)), nullable=False, server_default="{}"),
    Column("source", String(5)),
    Column("required", ARRAY(String(8)), nullable=False, server_default="{SELF}"),
    Column("granted_as", String(8), nullable=False, server_default="SELF"),
    Column("granted_by", UUID),
    # When a child comes of age, where that cuts the permission short; a date of birth is not kept.
    Column("ends_by", TIME),
    Column("witness_licence", String(50), nullable=False, server_default=""),
    # Names are looked up without the person; not unique, so that the table can be distributed by person.
    Index("ix_consent_id", "id"),
)

consent_event = Table(
    "consent_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("consent_id", UUID, primary_key=True),
    # AGREED_SELF, AGREED_GUARDIAN, REVOKED.
    Column("kind", String(16), primary_key=True),
    Column("at", TIME, nullable=False),
    Column("actor_id", UUID),
    Column("channel", String(32), nullable=False, server_default=""),
    Column("text_version", String(32), nullable=False, server_default=""),
    Column("text_sha256", String(64), nullable=False, server_default=""),
    Column("evidence_sealed", LargeBinary),
    Column("acr", String(128), nullable=False, server_default=""),
    Column("witness_licence", String(50), nullable=False, server_default=""),
)

# Each permitted read that rests on a consent: what its frequency counts, and who was given something.
consent_use = Table(
    "consent_use",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("consent_id", UUID, primary_key=True),
    Column("decision_id", UUID, primary_key=True),
    Column("organization", String(5), nullable=False),
    Column("at", TIME, nullable=False),
    Index("ix_consent_use_at", "person_id", "consent_id", "at"),
)

# Scans of signed papers, each once, sealed; a consent's evidence names the scan by its SHA-256.
consent_scan = Table(
    "consent_scan",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("scan_sealed", LargeBinary, nullable=False),
    Column("recorded_at", TIME, nullable=False),
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
    Column("channel", String(32), nullable=False, server_default="NATIONAL_ID_APP"),
    # Keyed hash of the code that answers it, and how often another one was told.
    Column("code_hash", LargeBinary),
    Column("wrong_codes", SmallInteger, nullable=False, server_default="0"),
    # The guardian who is asked; whose agreement is needed, and until when that holds.
    Column("asked_id", UUID),
    Column("required", ARRAY(String(8)), nullable=False, server_default="{SELF}"),
    Column("ends_by", TIME),
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
    Column("emergency_access_id", UUID),
    Index("ix_decision_id", "id"),
    Index(
        "ix_decision_emergency_access",
        "person_id",
        "emergency_access_id",
        postgresql_where="emergency_access_id IS NOT NULL",
    ),
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
    Column("acting_person_id", UUID),
    Column("resources", ARRAY(String(200)), nullable=False, server_default="{}"),
    Column("emergency_access_id", UUID),
    Column("sensitive_classes", ARRAY(String(16)), nullable=False, server_default="{}"),
    Column("form", SmallInteger, nullable=False, server_default="1"),
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
    Column("anchored_sequence", BigInteger, nullable=False, server_default="0"),
    Index("ix_ledger_head_unanchored", "person_id", postgresql_where="sequence > anchored_sequence"),
)

# A head's leaf in the tree of an anchor, with its path: hashes of 32 bytes one after the other.
ledger_anchor = Table(
    "ledger_anchor",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("anchor_entry_id", UUID, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("leaf_index", Integer, nullable=False),
    Column("path", LargeBinary, nullable=False),
)
# The entries of the transparency log that name the anchors' roots; of no person.
anchor_entry = Table(
    "anchor_entry",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("tree_size", Integer, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("anchored_at", TIME, nullable=False),
    Column("log_index", BigInteger),
    Column("tlog_proof", Text),
    Index("ix_anchor_entry_open", "id", postgresql_where="tlog_proof IS NULL"),
)

treatment_relation = Table(
    "treatment_relation",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("type", String(16), nullable=False),
    Column("organization", String(5), nullable=False),
    Column("starts_at", TIME),
    Column("ends_at", TIME, nullable=False),
    Column("recorded_at", TIME, nullable=False),
)

# Followed from the registries of the identity role; they name nobody.
registered_organization = Table(
    "registered_organization",
    METADATA,
    Column("organization", String(5), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("care_level", String(16), nullable=False),
    Column("changed_at", TIME, nullable=False),
)
registered_licence = Table(
    "registered_licence",
    METADATA,
    Column("licence", String(50), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("scope", String(64), nullable=False),
    Column("starts_at", TIME),
    Column("ends_at", TIME),
    Column("organizations", ARRAY(String(5)), nullable=False),
    Column("changed_at", TIME, nullable=False),
)

# `person_id` is the ward.
guardianship = Table(
    "guardianship",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("guardian_id", UUID, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("starts_at", TIME),
    Column("ends_at", TIME),
    Column("evidence", String(64), nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_guardianship_id", "id"),
    Index("ix_guardianship_guardian", "guardian_id", "id"),
)
guardianship_end = Table(
    "guardianship_end",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("guardianship_id", UUID, primary_key=True),
    Column("at", TIME, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("actor", String(128), nullable=False),
)

emergency_access = Table(
    "emergency_access",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("organization", String(5), nullable=False),
    Column("licence", String(50), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("text_sealed", LargeBinary, nullable=False),
    Column("opened_at", TIME, nullable=False),
    Column("actor", String(200), nullable=False, server_default=""),
    Column("acr", String(200), nullable=False, server_default=""),
    Index("ix_emergency_access_id", "id"),
    Index("ix_emergency_access_organization", "organization", "licence", "opened_at"),
    Index("ix_emergency_access_opened_at", "opened_at", "id"),
)
emergency_access_event = Table(
    "emergency_access_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("access_id", UUID, primary_key=True),
    # CONFIRMED, WIDENED, LIFE_SAVING, ENDED, REVIEWED.
    Column("type", String(16), primary_key=True),
    Column("at", TIME, nullable=False),
    Column("organization", String(5), nullable=False, server_default=""),
    Column("licence", String(50), nullable=False, server_default=""),
    Column("life_saving", Boolean, nullable=False, server_default="false"),
    Column("outcome", String(16), nullable=False, server_default=""),
    Column("text_sealed", LargeBinary),
    Column("actor", String(200), nullable=False, server_default=""),
    Column("acr", String(200), nullable=False, server_default=""),
)
# Those that nobody has reviewed: a list made of the two tables above, which can be made again from them.
emergency_review_due = Table(
    "emergency_review_due",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("access_id", UUID, primary_key=True),
    Column("organization", String(5), nullable=False),
    Column("opened_at", TIME, nullable=False),
    Index("ix_emergency_review_due_opened_at", "opened_at", "access_id"),
)

notice = Table(
    "notice",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("type", String(48), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("organization", String(5), nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_notice_created_at", "person_id", "created_at", "id"),
)
# To the person and to each guardian.
notice_delivery = Table(
    "notice_delivery",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("notice_id", UUID, primary_key=True),
    Column("recipient_id", UUID, primary_key=True),
    Column("due_at", TIME, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_reason", String(64), nullable=False, server_default=""),
    Column("delivered_at", TIME),
    Index("ix_notice_delivery_due_at", "due_at", postgresql_where="delivered_at IS NULL"),
)

restriction = Table(
    "restriction",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("subject_request_id", UUID, primary_key=True),
    # RESTRICT, OBJECT.
    Column("kind", String(16), nullable=False),
    Column("purpose", String(32)),
    Column("starts_at", TIME, nullable=False),
)
restriction_lift = Table(
    "restriction_lift",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("subject_request_id", UUID, primary_key=True),
    Column("at", TIME, nullable=False),
)

erasure_acknowledgement = Table(
    "erasure_acknowledgement",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("consent_id", UUID, primary_key=True),
    Column("organization", String(5), primary_key=True),
    Column("at", TIME, nullable=False),
    Column("licence", String(50), nullable=False),
    Column("retained_under", String(200), nullable=False),
)

# Rights of the data subject: a request, what became of it, and a list of what is open, which can be made again from the two.
subject_request = Table(
    "subject_request",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("purpose", String(32)),
    Column("documents", ARRAY(UUID), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("regime", String(32), nullable=False),
    Column("acknowledge_due_at", TIME),
    Column("due_at", TIME, nullable=False),
    Column("third_party_due_at", TIME, nullable=False),
    # Gone once it was answered and the person asked for deletion.
    Column("text_sealed", LargeBinary),
    Index("ix_subject_request_id", "id"),
    Index("ix_subject_request_created_at", "person_id", "created_at", "id"),
    Index("ix_subject_request_due_at", "due_at", "id"),
)
subject_request_event = Table(
    "subject_request_event",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("subject_request_id", UUID, primary_key=True),
    # ACKNOWLEDGED, PASSED, FULFILLED, REFUSED, LIFTED.
    Column("type", String(16), primary_key=True),
    Column("at", TIME, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("organization", String(5), nullable=False),
    Column("article", String(200), nullable=False),
    Column("documents", ARRAY(UUID), nullable=False),
    Column("parts", JSONB, nullable=False),
)
subject_request_open = Table(
    "subject_request_open",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("subject_request_id", UUID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("organization", String(5), nullable=False),
    Column("next_due_at", TIME, nullable=False),
    # The clock that an alarm was raised for.
    Column("alarmed_due_at", TIME),
    Index("ix_subject_request_open_next_due_at", "next_due_at", "subject_request_id"),
    Index("ix_subject_request_open_organization", "organization", "next_due_at", "subject_request_id"),
)

# The register of breaches is of the system or of a facility; only who is concerned is of persons.
breach = Table(
    "breach",
    METADATA,
    Column("id", UUID, primary_key=True),
    Column("discovered_at", TIME, nullable=False),
    Column("nature", String(16), nullable=False),
    Column("organization", String(5), nullable=False),
    Column("text_sealed", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Index("ix_breach_discovered_at", "discovered_at", "id"),
)
breach_event = Table(
    "breach_event",
    METADATA,
    Column("breach_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("type", String(24), nullable=False),
    Column("at", TIME, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("persons", Integer, nullable=False),
    Column("text_sealed", LargeBinary),
)
breach_person = Table(
    "breach_person",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("breach_id", UUID, primary_key=True),
    Column("at", TIME, nullable=False),
)
