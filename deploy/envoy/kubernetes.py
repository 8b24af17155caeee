"""Values of the gateway inside a cluster: names of services, mounted secrets, logs to standard output."""

from __future__ import annotations

from pathlib import PurePosixPath

from deploy.envoy.values import Address, GatewayValues, Issuer

ROOT = PurePosixPath("/etc/lienthong")
ROLES = ("consent", "identity", "records", "referrals", "signing")
_PORT = 8443


def kubernetes(root: PurePosixPath = ROOT, namespace: str = "lienthong") -> GatewayValues:
    """Values with every file under `root`: `edge/tls.{crt,key}`, `workload/tls.{crt,key}` and `ca.crt`,
    `facility/ca.crt`, `issuers/*.json`.
    """

    def issuer(name: str) -> Issuer:
        return Issuer(f"https://id.lienthong.vn/{name}", str(root / f"issuers/{name}.json"))

    return GatewayValues(
        facility_listener=Address("0.0.0.0", 8443),  # noqa: S104 - the pod's own network
        public_listener=Address("0.0.0.0", 9443),  # noqa: S104 - the pod's own network
        admin=Address("127.0.0.1", 9901),
        edge_certificate=str(root / "edge/tls.crt"),
        edge_key=str(root / "edge/tls.key"),
        workload_certificate=str(root / "workload/tls.crt"),
        workload_key=str(root / "workload/tls.key"),
        facility_authority=str(root / "facility/ca.crt"),
        workload_authority=str(root / "workload/ca.crt"),
        descriptors=str(root / "envoy/descriptors.binpb"),
        facility_issuers=(issuer("facility"),),
        public_issuers=(issuer("citizen"), issuer("operator")),
        roles={role: Address(f"{role}.{namespace}.svc.cluster.local", _PORT) for role in ROLES},
        dns=True,
        collector=Address(f"otel-collector.{namespace}.svc.cluster.local", 4317),
        access_log="/dev/stdout",
        sampled=5.0,
    )
