"""Signer certificates that expire soon: a facility that renews late cannot send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.clock import Clock
from services.signing.model import SignerCertificate
from services.signing.ports import TrustStore

FIRST, LAST = 30, 7
"""Days before expiry at which is warned."""
_EXPIRED = timedelta(days=7)
"""How long an expired certificate is counted."""


@dataclass(frozen=True)
class ExpiryWarning:
    """A certificate that came under a threshold since the last look."""

    signer: SignerCertificate
    days_left: int


@dataclass(frozen=True)
class Expiring:
    """How many have how many days left (0: expired within a week, 7, 30), and what is new."""

    counts: Mapping[int, int]
    warnings: Sequence[ExpiryWarning]


class ExpiryService:
    """Looks for certificates that expire soon; tells each once for each threshold."""

    def __init__(self, store: TrustStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._told: set[tuple[str, int]] = set()

    async def look(self) -> Expiring:
        """The present state."""
        now = self._clock()
        found = await self._store.expiring_signers(now - _EXPIRED, now + timedelta(days=FIRST))
        counts = {0: 0, LAST: 0, FIRST: 0}
        warnings, current = [], set()
        for signer in found:
            left = signer.days_left(now)
            threshold = 0 if signer.expires_at <= now else LAST if signer.expires_at <= now + timedelta(LAST) else FIRST
            counts[threshold] += 1
            key = (signer.fingerprint, threshold)
            current.add(key)
            if key not in self._told:
                warnings.append(ExpiryWarning(signer, left))
        self._told = current
        return Expiring(counts, warnings)
