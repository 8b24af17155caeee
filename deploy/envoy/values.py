"""What differs between two places where the gateway runs. Everything else is fixed by the builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Address:
    """Host (or DNS name) and port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `host:port`."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Issuer:
    """An issuer of access tokens (`iss`) and the file with its public keys (JWKS)."""

    issuer: str
    jwks: str


@dataclass(frozen=True)
class Rate:
    """A token bucket for one caller: `burst` calls at once, refilled with `per_second` each second."""

    burst: int
    per_second: int


@dataclass(frozen=True)
class GatewayValues:
    """Where the gateway listens, whom it trusts and where the roles are. Paths are those that Envoy will see.

    `edge_*` is the server certificate shown to the outside, `workload_*` the gateway's identity towards the roles;
    `facility_authority` signs client certificates of facilities, `workload_authority` those of the roles. `roles`
    maps a role to where it answers; `dns` says whether those hosts are names to resolve again and again. `collector`
    receives spans (OTLP over gRPC), `sampled` is the share of traces in percent that start here. `unary_limit` is how
    long a unary call may take whatever its deadline says; `largest_message` is in bytes of the encoded gRPC message.
    """

    facility_listener: Address
    public_listener: Address
    admin: Address
    edge_certificate: str
    edge_key: str
    workload_certificate: str
    workload_key: str
    facility_authority: str
    workload_authority: str
    descriptors: str
    facility_issuers: tuple[Issuer, ...]
    public_issuers: tuple[Issuer, ...]
    roles: Mapping[str, Address]
    dns: bool
    collector: Address | None
    access_log: str
    sampled: float = 100.0
    facility_rate: Rate = Rate(burst=2000, per_second=500)
    public_rate: Rate = Rate(burst=200, per_second=50)
    unary_limit: timedelta = timedelta(seconds=60)
    json_deadline: timedelta = timedelta(seconds=15)
    stream_idle: timedelta = timedelta(minutes=5)
    largest_message: int = 20 * 1024 * 1024
    heap: int = 1024 * 1024 * 1024
    connections: int = 20_000
    audience: str = "lienthong"


def seconds(span: timedelta) -> str:
    """A duration as Envoy writes it."""
    return f"{span.total_seconds():g}s"
