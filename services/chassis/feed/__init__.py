"""Following another role's feed: each batch is applied and its cursor kept in one transaction, at least once, by one process of a role at a
time; and what most followers keep from it, which entry answers for which.

Who has not heard anything for a while does not know what is true now. Readers are told so and leave out what depends on it.
"""

from services.chassis.feed.follower import Batch, Follower, FollowSettings
from services.chassis.feed.redirects import Entries, Redirect, apply_redirects, entries_of
from services.chassis.feed.tables import create_feed, feed_tables

__all__ = [
    "Batch",
    "Entries",
    "FollowSettings",
    "Follower",
    "Redirect",
    "apply_redirects",
    "create_feed",
    "entries_of",
    "feed_tables",
]
