"""The outbox, with everything in it that still shows treatment: the role that decides is told of what was there before."""

from __future__ import annotations

from alembic import op

from services.chassis.outbox import create_outbox

revision = "0004"
down_revision = "0003"

# Frozen: the topic and the aggregates of `relations.py` when this was written. A day more than may be needed is left out by the teller.
_QUEUE = """
    WITH open AS (
        SELECT 'referrals/' || id AS resource, id FROM referral
        WHERE valid_through >= current_date - 1 OR arrived_at > now() - interval '31 days'
        UNION ALL
        SELECT 'appointments/' || id, id FROM appointment WHERE day >= current_date - 1
    ), aggregate AS (
        INSERT INTO outbox_aggregate (topic, aggregate) SELECT 'treatment_relations', resource FROM open
    )
    INSERT INTO outbox (topic, aggregate, id, payload, trace)
    SELECT 'treatment_relations', resource, gen_random_uuid(), '', '' FROM open ORDER BY id
"""


def upgrade() -> None:
    """Makes the tables and fills them once."""
    create_outbox(op)
    op.execute(_QUEUE)
