"""Tables of the signing database. The log tables grow with the nation's documents; the log is one sequence by nature, so it is not distributed."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
)

from services.chassis.migrations import NAMING

METADATA = MetaData(naming_convention=NAMING)
TIME = DateTime(timezone=True)

trust_state = Table(
    "trust_state", METADATA, Column("id", Integer, primary_key=True), Column("version", BigInteger, nullable=False)
)

authority = Table(
    "authority",
    METADATA,
    Column("fingerprint", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("revocation_list_uri", String(512), nullable=False),
    Column("ocsp_uri", String(512), nullable=False),
    Column("sunset_at", TIME),
)

signer_certificate = Table(
    "signer_certificate",
    METADATA,
    Column("fingerprint", String(64), primary_key=True),
    Column("facility", String(5), nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("role", String(16), nullable=False),
    Column("licence", String(64), nullable=False),
    Column("suspended_at", TIME),
    Column("compromised_at", TIME),
    Index("ix_signer_certificate_facility", "facility", "fingerprint"),
)

revocation_list = Table(
    "revocation_list",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    # A CRL number has up to 20 octets (RFC 5280 §5.2.3), more than bigint holds; fixed-width hex keeps the order.
    Column("number", String(40), nullable=False),
    Column("this_update", TIME, nullable=False),
    Column("next_update", TIME, nullable=False),
    Column("sha256", String(64), nullable=False),
)

revoked_certificate = Table(
    "revoked_certificate",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("revoked_at", TIME, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("invalid_since", TIME),
    ForeignKeyConstraint(["issuer"], ["revocation_list.issuer"]),
)

ocsp_answer = Table(
    "ocsp_answer",
    METADATA,
    Column("issuer", String(64), primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("this_update", TIME, nullable=False),
    Column("next_update", TIME, nullable=False),
    Column("revoked_at", TIME),
    Column("reason", String(32), nullable=False),
    Column("sha256", String(64), nullable=False),
)

# Content-addressed and append-only: what a verdict rests on stays for as long as the verdict.
evidence = Table(
    "evidence",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

trust_list = Table(
    "trust_list",
    METADATA,
    Column("territory", String(16), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("issued_at", TIME, nullable=False),
    Column("next_update", TIME, nullable=False),
    Column("sha256", String(64), nullable=False),
)

log_state = Table(
    "log_state", METADATA, Column("id", Integer, primary_key=True), Column("size", BigInteger, nullable=False)
)

log_entry = Table(
    "log_entry",
    METADATA,
    Column("leaf_index", BigInteger, primary_key=True, autoincrement=False),
    Column("leaf_hash", LargeBinary, nullable=False, unique=True),
    Column("entry", LargeBinary, nullable=False),
)

log_node = Table(
    "log_node",
    METADATA,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

log_checkpoint = Table(
    "log_checkpoint",
    METADATA,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", String, nullable=False),
    Column("published_at", TIME, nullable=False),
)

log_cosignature = Table(
    "log_cosignature",
    METADATA,
    Column("size", BigInteger, ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
    Column("witness", String, primary_key=True),
    Column("line", String, nullable=False),
    Column("seen_at", TIME, nullable=False),
)

# A checkpoint whose cosignatures made up the quorum of the policy at the time.
log_witnessed = Table(
    "log_witnessed",
    METADATA,
    Column("size", BigInteger, ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
    Column("witnessed_at", TIME, nullable=False),
)

log_timestamp = Table(
    "log_timestamp",
    METADATA,
    Column("size", BigInteger, ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False),
    Column("token", LargeBinary, nullable=False),
    Column("stated_at", TIME, nullable=False),
)
