"""Evidence that verdicts rest on: kept once under its hash, given out by hash."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from services.chassis.errors import FieldViolation, InvalidArgument
from services.signing.model import Evidence
from services.signing.ports import EvidenceStore

MOST_HASHES = 200
LARGEST_ANSWER = 14 * 1024 * 1024
"""Most bytes of evidence in an answer; the channel takes 20 MiB."""
_KNOWN = 16_384


class EvidenceService:
    """Keeps and gives evidence."""

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store
        self._known: OrderedDict[str, None] = OrderedDict()

    async def keep(self, evidence: Sequence[Evidence]) -> None:
        """Keeps what is not known to be kept: usually nothing, since certificates recur."""
        fresh = {one.sha256: one for one in evidence if one.sha256 not in self._known}
        if not fresh:
            return
        await self._store.add(list(fresh.values()))
        for sha256 in fresh:
            self._known[sha256] = None
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    async def batch(self, hashes: Sequence[str]) -> Sequence[Evidence]:
        """Evidence by hash, 1 to 200, in the order asked for; what is not at hand or does not fit is left out. The first always fits."""
        if not 1 <= len(hashes) <= MOST_HASHES:
            raise InvalidArgument.of(FieldViolation("sha256", f"1 to {MOST_HASHES} hashes", "COUNT_OUT_OF_RANGE"))
        wrong = [
            FieldViolation(f"sha256[{place}]", "64 lower-case hex digits", "HASH_INVALID")
            for place, one in enumerate(hashes)
            if len(one) != 64 or not set(one) <= set("0123456789abcdef")
        ]
        if wrong:
            raise InvalidArgument.of(*wrong)
        sizes = await self._store.sizes(hashes)
        fitting: list[str] = []
        total = 0
        for one in dict.fromkeys(hashes):
            size = sizes.get(one)
            if size is not None and (not fitting or total + size <= LARGEST_ANSWER):
                fitting.append(one)
                total += size
        found = {one.sha256: one for one in await self._store.get(fitting)} if fitting else {}
        return [found[one] for one in fitting if one in found]
