"""Archive time-stamps of a package: evidence records over all that it held when each was made (RFC 4998)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from lienthong.client.evidence.container import MANIFEST, RECORD, RECORD_MANIFEST, SEAL, check_listed, read_listing
from lienthong.client.evidence.errors import EvidenceError, MemberMissing, RenewalInvalid
from lienthong.client.evidence.record import Record, RecordInvalid
from lienthong.client.evidence.timestamps import TokenRefused, open_token

_NAME = re.compile(re.escape(RECORD_MANIFEST) + r"([1-9][0-9]{0,2})\.xml")
_OWN = (MANIFEST, SEAL)


@dataclass(frozen=True)
class RenewalLine:
    """One archive time-stamp: its number from 1, the time it states, its digest."""

    number: int
    time: datetime
    digest: str


def check_renewals(
    members: Mapping[str, bytes],
    needed: Iterable[str],
    authorities: Iterable[x509.Certificate],
    known: Iterable[x509.Certificate],
) -> list[RenewalLine]:
    """The archive time-stamps, oldest first. Each must protect the `needed` files and the records before it, unchanged.
    Raises RenewalInvalid, MemberMissing.
    """
    numbers = sorted(int(found[1]) for name in members if (found := _NAME.fullmatch(name)))
    ours = 2 * len(numbers) + sum(name in members for name in _OWN)
    if numbers != list(range(1, len(numbers) + 1)) or ours != sum(name.startswith("META-INF/") for name in members):
        raise RenewalInvalid("archive time-stamps are numbered from 1 without a gap", RECORD_MANIFEST)
    trusted, pool = list(authorities), list(known)
    wanted, lines = list(needed), list[RenewalLine]()
    for number in numbers:
        line = _check(number, members, wanted, trusted, pool)
        if lines and line.time < lines[-1].time:
            raise RenewalInvalid("older than the one before it", f"{RECORD}{number}.ers")
        lines.append(line)
        wanted += [f"{RECORD_MANIFEST}{number}.xml", f"{RECORD}{number}.ers"]
    return lines


def _check(
    number: int,
    members: Mapping[str, bytes],
    wanted: list[str],
    trusted: list[x509.Certificate],
    pool: list[x509.Certificate],
) -> RenewalLine:
    name, kept = f"{RECORD_MANIFEST}{number}.xml", f"{RECORD}{number}.ers"
    if kept not in members:
        raise MemberMissing("not there", kept)
    try:
        listing = read_listing(members[name], name)
        check_listed(listing, members)
        record = Record.parse(members[kept])
        token = open_token(record.token, trusted, pool)
    except (EvidenceError, RecordInvalid, TokenRefused) as error:
        raise RenewalInvalid(str(error), kept) from error
    if listing.protected_by != kept or listing.digest != record.digest:
        raise RenewalInvalid("its manifest is another one's", name)
    if not set(wanted) <= listing.digests.keys():
        raise RenewalInvalid("it leaves out what it must protect", name)
    if sorted(listing.digests.values()) != sorted(record.tree[0]):
        raise RenewalInvalid("it protects other files than its manifest names", kept)
    if token.digest != record.digest or not token.covers(record.preimage):
        raise RenewalInvalid("its time-stamp is over something else", kept)
    return RenewalLine(number, token.time, record.digest)
