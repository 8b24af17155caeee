"""The revocation state of a certificate at the best signature time (ETSI EN 319 102-1 §5.2.5 and §5.2.6). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.signing.formats.facts import SubIndication
from services.signing.model import RevocationStatus, TrustSnapshot
from services.signing.policy import SignaturePolicy

_HOLD = "certificateHold"


@dataclass(frozen=True)
class RevocationResult:
    """What is known: the evidence that decides, and a sub-indication with its reason, both empty when the certificate was good.

    `grace_period_end` is until when newer evidence may still change a good result; None when it is conclusive.
    """

    status: RevocationStatus | None
    sub_indication: str = ""
    reason: str = ""
    grace_period_end: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether evidence that is not at hand yet would decide."""
        return self.sub_indication == SubIndication.TRY_LATER


def statements(snapshot: TrustSnapshot, issuers: Sequence[str], serial: str) -> Sequence[RevocationStatus]:
    """All that lists and OCSP answers say of a certificate. `issuers` are the fingerprints under which its issuer is registered."""
    found = []
    for issuer in issuers:
        listed = snapshot.lists.get(issuer)
        if listed is not None:
            revoked = snapshot.revocations.get((issuer, serial))
            found.append(
                listed
                if revoked is None
                else RevocationStatus(
                    listed.this_update,
                    listed.next_update,
                    revoked.revoked_at,
                    revoked.invalid_since,
                    listed.source,
                    listed.sha256,
                    revoked.reason,
                )
            )
        answered = snapshot.answers.get((issuer, serial))
        if answered is not None:
            found.append(answered)
    return found


def decide(
    found: Sequence[RevocationStatus], best_time: datetime, now: datetime, policy: SignaturePolicy
) -> RevocationResult:
    """Whether a certificate was good when the signature existed for sure.

    A revocation later than that does no harm: the proof of existence is older. One whose invalidity date is older does,
    since the signer says himself that the key was not his alone. Without a revocation the newest evidence counts: it is
    conclusive once it was issued after the signature and the grace period has passed.
    """
    revoked = [status for status in found if status.revoked_at is not None]
    if revoked:
        status = min(revoked, key=_ended)
        if status.revoked_at is not None and status.revoked_at <= best_time:
            reason = "CERTIFICATE_ON_HOLD" if status.reason == _HOLD else "CERTIFICATE_REVOKED"
            return RevocationResult(status, SubIndication.REVOKED_NO_POE, reason)
        if status.invalid_since is not None and status.invalid_since <= best_time:
            return RevocationResult(status, SubIndication.REVOKED_NO_POE, "CERTIFICATE_INVALID_SINCE")
        return RevocationResult(status)
    if not found:
        return RevocationResult(None, SubIndication.TRY_LATER, "REVOCATION_UNKNOWN")
    newest = max(found, key=lambda status: status.this_update)
    if best_time > newest.next_update:
        return RevocationResult(newest, SubIndication.TRY_LATER, "REVOCATION_STALE")
    end = best_time + policy.grace_period
    if newest.this_update >= end:
        return RevocationResult(newest)
    if now < end:
        return RevocationResult(newest, grace_period_end=end)
    if newest.this_update >= best_time:
        return RevocationResult(newest)
    # The grace period is over and all that is known was said before the signature: wait for the next list.
    if now <= newest.next_update:
        return RevocationResult(newest, grace_period_end=newest.next_update)
    return RevocationResult(newest, SubIndication.TRY_LATER, "REVOCATION_STALE")


def _ended(status: RevocationStatus) -> datetime:
    times = [time for time in (status.revoked_at, status.invalid_since) if time is not None]
    return min(times)
