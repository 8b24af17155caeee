"""Tables of the records database.

Everything of a submission is distributed by `facility_id`, which never changes; what readers look for is distributed by
`person_id`. Both stand in every primary key and unique constraint. What is written once is never updated: the submission
with its first answer, the bytes, the evidence, the changes. What moves on stands apart in `progress`, a narrow row.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from services.chassis.feed import feed_tables
from services.chassis.keyring import person_key_table
from services.chassis.migrations import NAMING
from services.chassis.outbox import outbox_table

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)

outbox = outbox_table(METADATA)
person_key = person_key_table(METADATA)
feed_tables(METADATA)

facility_counter = Table(
    "facility_counter",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
)

submission = Table(
    "submission",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("document_id", String(128), nullable=False),
    Column("content_sha256", LargeBinary, nullable=False),
    # RETRIEVABLE, HELD or REJECTED: where the answer left it.
    Column("state", SmallInteger, nullable=False),
    Column("rejection", String(64), nullable=False, server_default=""),
    # Dense per facility, from 1; none for a refused document.
    Column("sequence", BigInteger),
    Column("received_at", TIME, nullable=False),
    Column("stored_at", TIME, nullable=False),
    Column("trace_id", String(32), nullable=False),
    # The first answer (zstd): what the same bytes under the same id get for the record's life. Verdict, findings,
    # entry, salt and promise are in it.
    Column("answer", LargeBinary, nullable=False),
    CheckConstraint("(rejection = '') = (sequence IS NOT NULL)", name="numbered_when_accepted"),
    Index("uq_submission_key", "facility_id", "document_id", unique=True, postgresql_where=text("rejection = ''")),
    Index("uq_submission_sequence", "facility_id", "sequence", unique=True, postgresql_where=text("rejection = ''")),
    Index(
        "ix_submission_refused",
        "facility_id",
        "document_id",
        "content_sha256",
        postgresql_where=text("rejection <> ''"),
    ),
)

progress = Table(
    "progress",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("leaf_index", BigInteger),
    Column("tlog_proof", LargeBinary),
    # Until when the newest time-stamp protects the evidence; a new document has that of its checkpoint.
    Column("protected_until", TIME, nullable=False, server_default=text("now() + interval '1 year'")),
    Index(
        "ix_progress_protected_until",
        "protected_until",
        "submission_id",
        postgresql_where=text("tlog_proof IS NOT NULL"),
    ),
    Index("ix_progress_unproven", "leaf_index", postgresql_where=text("leaf_index IS NOT NULL AND tlog_proof IS NULL")),
)

state_change = Table(
    "state_change",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    Column("state", SmallInteger, primary_key=True),
    Column("destination", String(32), primary_key=True),
    Column("at", TIME, nullable=False),
    Column("reason", String(100), nullable=False),
)

document_body = Table(
    "document_body",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("id", UUID, primary_key=True),
    # Under whose key it is sealed.
    Column("person_id", UUID, nullable=False),
    # The exact bytes, zstd, then sealed; empty once they are erased.
    Column("content_sealed", LargeBinary, nullable=False),
    # Detached signatures, framed, zstd, sealed; none for an enveloped signature.
    Column("signatures_sealed", LargeBinary),
)

evidence = Table(
    "evidence",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    Column("content_sealed", LargeBinary, nullable=False),
    Column("signatures_sealed", LargeBinary),
)

document = Table(
    "document",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("facility_id", String(5), nullable=False),
    Column("format", String(16), nullable=False),
    Column("kinds", ARRAY(String(32)), nullable=False),
    # First and last minute of the care, both inclusive.
    Column("care_start", TIME, nullable=False),
    Column("care_end", TIME, nullable=False),
    Column("content_sha256", LargeBinary, nullable=False),
    Column("content_size", BigInteger, nullable=False),
    Column("received_at", TIME, nullable=False),
    # The person's identity is not confirmed: nobody but the facility may know of it.
    Column("held", Boolean, nullable=False),
    # Sensitive classes of care; who may read all of them may read it.
    Column("classes", ARRAY(String(16)), nullable=False, server_default="{}"),
    Index("ix_document_person_id_care_end", "person_id", text("care_end DESC"), text("id DESC")),
    Index("ix_document_id", "id"),
    Index("ix_document_person_id_facility_id", "person_id", "facility_id"),
)

# That a document was erased, and by which request of the person; the document's line in the index stays.
document_erasure = Table(
    "document_erasure",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("document_id", UUID, primary_key=True),
    Column("subject_request_id", UUID, nullable=False),
    Column("at", TIME, nullable=False),
)

health_book = Table(
    "health_book",
    METADATA,
    Column("person_id", UUID, primary_key=True),
    Column("document_id", UUID, primary_key=True),
    # Parts by kind, framed, each zstd and sealed by itself: a read opens only those it may show.
    Column("parts", LargeBinary, nullable=False),
)

verdict = Table(
    "verdict",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    # From 2: the first one stands in the first answer.
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("occasion", String(32), nullable=False),
    Column("created_at", TIME, nullable=False),
    # The verdict as signing gave it, zstd; it names certificates and no person.
    Column("verdict", LargeBinary, nullable=False),
)

judgement_due = Table(
    "judgement_due",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    Column("due_at", TIME, nullable=False),
    Column("occasion", String(32), nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Index("ix_judgement_due_due_at", "due_at"),
)

signer = Table(
    "signer",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("submission_id", UUID, primary_key=True),
    Column("certificate_sha256", LargeBinary, primary_key=True),
    Column("received_at", TIME, nullable=False),
    # Best time that is proven for the signature.
    Column("proven_at", TIME),
    Index("ix_signer_certificate_sha256", "certificate_sha256", "received_at", "submission_id"),
)

disclosure = Table(
    "disclosure",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("document_id", UUID, primary_key=True),
    # Facility that was given the document; empty for the person.
    Column("reader", String(5), primary_key=True),
    Column("first_at", TIME, nullable=False),
    Column("last_at", TIME, nullable=False),
)

# One row for each key that was ever compromised: few, and not distributed.
key_compromise = Table(
    "key_compromise",
    METADATA,
    Column("certificate_sha256", LargeBinary, primary_key=True),
    Column("since", TIME, primary_key=True),
    Column("noticed_at", TIME, nullable=False),
)

seal_renewal = Table(
    "seal_renewal",
    METADATA,
    Column("facility_id", String(5), primary_key=True),
    Column("document_id", UUID, primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("renewed_at", TIME, nullable=False),
    Column("protected_until", TIME, nullable=False),
    # Manifest (names and digests of the package's files) and evidence record (RFC 4998), both zstd.
    Column("listing", LargeBinary, nullable=False),
    Column("record", LargeBinary, nullable=False),
)
