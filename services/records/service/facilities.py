"""Whether a facility takes part, remembered for a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.chassis.clock import Clock
from services.records.errors import FacilityNotActive
from services.records.ports import Identity

_KEEP = timedelta(seconds=60)
# A facility that was just registered should not wait a minute for it.
_KEEP_REFUSAL = timedelta(seconds=2)
_MOST = 20_000


class Facilities:
    """A suspension holds at the latest a minute after it was made."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock
        self._known: dict[str, tuple[datetime, bool]] = {}

    async def require_active(self, facility: str) -> None:
        """Raises FacilityNotActive, or Unavailable when it is not known and identity does not answer."""
        now = self._clock()
        until, active = self._known.get(facility, (now, False))
        if until <= now:
            active = await self._identity.active(facility)
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[facility] = (now + (_KEEP if active else _KEEP_REFUSAL), active)
        if not active:
            raise FacilityNotActive
