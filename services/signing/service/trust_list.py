"""Importing trusted lists (ETSI TS 119 612): what the scheme operator grants becomes trusted, what it withdraws gets an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation
from services.signing import certificates
from services.signing.errors import TrustListRefused
from services.signing.formats.facts import Finding
from services.signing.model import Authority, AuthorityKind, TrustListImport
from services.signing.policy import SignaturePolicy
from services.signing.ports import TrustStore
from services.signing.trusted_list import ListedAuthority, TrustedList, TrustedListRefused, read_trusted_list


class TrustListService:
    """Imports trusted lists that one of the registered scheme operators signed."""

    def __init__(
        self, store: TrustStore, operators: Sequence[x509.Certificate], policy: SignaturePolicy, clock: Clock
    ) -> None:
        self._store = store
        self._operators = operators
        self._policy = policy
        self._clock = clock

    async def import_list(self, content: bytes) -> TrustListImport:
        """Imports a list; the same one again changes nothing. Raises TrustListRefused with a reason on the field."""
        now = self._clock()
        try:
            listed = await asyncio.to_thread(read_trusted_list, content, self._operators, self._policy, now)
        except TrustedListRefused as refused:
            raise _refused(refused.reason) from refused
        wanted = _import(listed, now)
        if not await self._store.import_trust_list(wanted):
            raise _refused("SEQUENCE_OLD")
        return wanted


def _import(listed: TrustedList, now: datetime) -> TrustListImport:
    """Authorities that are too weak to be trusted are left out, whatever the list says."""
    authorities: dict[str, Authority] = {}
    for one in listed.authorities:
        fingerprint = certificates.fingerprint(one.certificate)
        try:
            certificates.check_algorithms(one.certificate)
        except Finding:
            continue
        authorities[fingerprint] = _authority(one, fingerprint, now)
    return TrustListImport(
        territory=listed.territory,
        sequence=listed.sequence,
        issued_at=listed.issued_at,
        next_update=listed.next_update,
        sha256=listed.sha256,
        authorities=tuple(authorities.values()),
    )


def _authority(listed: ListedAuthority, fingerprint: str, now: datetime) -> Authority:
    """The scheme operator's word makes an anchor of it, whoever issued its certificate (RFC 5280 §6.1.1 d)."""
    return Authority(
        fingerprint=fingerprint,
        kind=AuthorityKind.ROOT,
        certificate=certificates.encoded(listed.certificate),
        created_at=now,
        expires_at=listed.certificate.not_valid_after_utc,
        purpose=listed.purpose,
        sunset_at=listed.withdrawn_at,
    )


def _refused(reason: str) -> TrustListRefused:
    text = "the list is unreadable, not signed by a registered scheme operator, out of its time, or too old"
    return TrustListRefused(text, violations=(FieldViolation("trust_list", text, reason),))
