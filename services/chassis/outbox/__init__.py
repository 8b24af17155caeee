"""The transactional outbox: facts that others must learn leave with the transaction that made them, and reach them at
least once.

In order per aggregate: a message is not delivered while an older one of its topic and aggregate is undelivered, and no
aggregate waits for another. A message that cannot be delivered becomes a dead letter with its reason; it stops blocking
its aggregate and can be run again. Nothing is deleted before it was delivered.
"""

from services.chassis.outbox.message import DONE, Dead, DeadLetter, Deliver, Done, Message, Outcome, Retry
from services.chassis.outbox.relay import Backlog, Relay
from services.chassis.outbox.tables import create_outbox, enqueue, outbox_table

__all__ = [
    "DONE",
    "Backlog",
    "Dead",
    "DeadLetter",
    "Deliver",
    "Done",
    "Message",
    "Outcome",
    "Relay",
    "Retry",
    "create_outbox",
    "enqueue",
    "outbox_table",
]
