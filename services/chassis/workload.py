"""Who calls on this hop: SPIFFE ids from client certificates, and the table of who may call what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.chassis.principal import PrincipalKind

TRUST_DOMAIN = "spiffe://lienthong.vn/"


class WorkloadInvalid(Exception):
    """The URI is not a SPIFFE id of ours."""


@dataclass(frozen=True)
class Workload:
    """A certificate's identity: a role, or `facility` with its code."""

    role: str
    facility: str | None = None

    @classmethod
    def parse(cls, uri: str) -> Workload:
        """From `spiffe://lienthong.vn/<role>` or `.../facility/<code>`; exact, no wildcards."""
        path = uri.removeprefix(TRUST_DOMAIN)
        parts = path.split("/")
        if path == uri or not all(part.isascii() and part.isalnum() for part in parts):
            raise WorkloadInvalid("not a SPIFFE id of this trust domain")
        if len(parts) == 2 and parts[0] == "facility":
            return cls("facility", parts[1])
        if len(parts) == 1 and parts[0] != "facility":
            return cls(parts[0])
        raise WorkloadInvalid("not a SPIFFE id of this trust domain")

    @property
    def uri(self) -> str:
        """The SPIFFE id."""
        return TRUST_DOMAIN + self.role + (f"/{self.facility}" if self.facility else "")


GATEWAY = Workload("gateway")
IDENTITY = Workload("identity")
RECORDS = Workload("records")
CONSENT = Workload("consent")
REFERRALS = Workload("referrals")
SIGNING = Workload("signing")
PROBE = Workload("probe")
ROLES = (IDENTITY, RECORDS, CONSENT, REFERRALS, SIGNING)
FORWARDERS = frozenset({GATEWAY, *ROLES})
"""Workloads whose `x-forwarded-client-cert` header is believed."""


@dataclass(frozen=True)
class Access:
    """The (workload, principal kind) pairs that may call one RPC."""

    pairs: frozenset[tuple[Workload, PrincipalKind]]

    def workload_allowed(self, workload: Workload) -> bool:
        """Whether any principal may come through this workload."""
        return any(workload == allowed for allowed, _ in self.pairs)

    def allowed(self, workload: Workload, kind: PrincipalKind) -> bool:
        """Whether this pair may call."""
        return (workload, kind) in self.pairs


AccessTable = Mapping[str, Access]
"""`package.Service/Method` to who may call it."""


def allow(*pairs: tuple[Workload, PrincipalKind]) -> Access:
    """A row of the access table."""
    return Access(frozenset(pairs))
