"""Rights of the data subject, and the register of breaches."""

from __future__ import annotations

from alembic import op

from services.chassis.migrations import grant

revision = "0010"
down_revision = "0009"

_STATEMENTS = (
    """
    CREATE TABLE subject_request (
        person_id uuid NOT NULL, id uuid NOT NULL, kind varchar(16) NOT NULL, purpose varchar(32), documents uuid[] NOT NULL,
        created_at timestamptz NOT NULL, actor varchar(200) NOT NULL, regime varchar(32) NOT NULL, acknowledge_due_at timestamptz,
        due_at timestamptz NOT NULL, third_party_due_at timestamptz NOT NULL, text_sealed bytea,
        CONSTRAINT pk_subject_request PRIMARY KEY (person_id, id)
    )
    """,
    "CREATE INDEX ix_subject_request_id ON subject_request (id)",
    "CREATE INDEX ix_subject_request_created_at ON subject_request (person_id, created_at, id)",
    "CREATE INDEX ix_subject_request_due_at ON subject_request (due_at, id)",
    """
    CREATE TABLE subject_request_event (
        person_id uuid NOT NULL, subject_request_id uuid NOT NULL, type varchar(16) NOT NULL, at timestamptz NOT NULL,
        actor varchar(200) NOT NULL, organization varchar(5) NOT NULL, article varchar(200) NOT NULL, documents uuid[] NOT NULL,
        parts jsonb NOT NULL, CONSTRAINT pk_subject_request_event PRIMARY KEY (person_id, subject_request_id, type)
    )
    """,
    """
    CREATE TABLE subject_request_open (
        person_id uuid NOT NULL, subject_request_id uuid NOT NULL, kind varchar(16) NOT NULL, organization varchar(5) NOT NULL,
        next_due_at timestamptz NOT NULL, alarmed_due_at timestamptz,
        CONSTRAINT pk_subject_request_open PRIMARY KEY (person_id, subject_request_id)
    )
    """,
    "CREATE INDEX ix_subject_request_open_next_due_at ON subject_request_open (next_due_at, subject_request_id)",
    "CREATE INDEX ix_subject_request_open_organization ON subject_request_open (organization, next_due_at, subject_request_id)",
    """
    CREATE TABLE breach (
        id uuid CONSTRAINT pk_breach PRIMARY KEY, discovered_at timestamptz NOT NULL, nature varchar(16) NOT NULL,
        organization varchar(5) NOT NULL, text_sealed bytea NOT NULL, created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_breach_discovered_at ON breach (discovered_at, id)",
    """
    CREATE TABLE breach_event (
        breach_id uuid NOT NULL, id uuid NOT NULL, type varchar(24) NOT NULL, at timestamptz NOT NULL, actor varchar(200) NOT NULL,
        persons integer NOT NULL, text_sealed bytea, CONSTRAINT pk_breach_event PRIMARY KEY (breach_id, id)
    )
    """,
    """
    CREATE TABLE breach_person (
        person_id uuid NOT NULL, breach_id uuid NOT NULL, at timestamptz NOT NULL,
        CONSTRAINT pk_breach_person PRIMARY KEY (person_id, breach_id)
    )
    """,
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
    grant(op, "SELECT, INSERT", "subject_request", "subject_request_event", "breach", "breach_event", "breach_person")
    grant(op, "UPDATE (text_sealed)", "subject_request")
    grant(op, "SELECT, INSERT, UPDATE, DELETE", "subject_request_open")
