"""The gateway's configuration: Envoy accepts both renderings, and what they let through is what the contracts call
public.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import lienthong
import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from deploy.envoy.binary import envoy_binary
from deploy.envoy.contracts import load, public_methods
from deploy.envoy.kubernetes import ROLES, kubernetes
from deploy.envoy.render import bootstrap, render
from deploy.envoy.replies import refusals, status_of
from deploy.envoy.routes import BODY_LIMIT
from deploy.envoy.values import Address, GatewayValues, Issuer
from tests.fixtures.identities import Identities


def local(identities: Identities, folder: Path) -> GatewayValues:
    pair = identities.workload("gateway")
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")
    issuer = Issuer("https://id.test/facility", str(jwks))
    authority = str(identities.pki.authority)
    return GatewayValues(
        facility_listener=Address("127.0.0.1", 10001),
        public_listener=Address("127.0.0.1", 10002),
        admin=Address("127.0.0.1", 10003),
        edge_certificate=str(pair.certificate),
        edge_key=str(pair.private_key),
        workload_certificate=str(pair.certificate),
        workload_key=str(pair.private_key),
        facility_authority=authority,
        workload_authority=authority,
        descriptors="",
        facility_issuers=(issuer,),
        public_issuers=(issuer, Issuer("https://id.test/citizen", str(jwks))),
        roles={role: Address("127.0.0.1", 11000 + number) for number, role in enumerate(ROLES)},
        dns=False,
        collector=None,
        access_log=str(folder / "access.log"),
    )


def cluster(identities: Identities, folder: Path) -> GatewayValues:
    """Kubernetes' values with its secrets mounted under a folder."""
    pair = identities.workload("gateway")
    for name in ("edge", "workload"):
        (folder / name).mkdir()
        (folder / name / "tls.crt").write_bytes(pair.certificate.read_bytes())
        (folder / name / "tls.key").write_bytes(pair.private_key.read_bytes())
    for name in ("facility", "issuers", "envoy"):
        (folder / name).mkdir()
    for name in ("workload", "facility"):
        (folder / name / "ca.crt").write_bytes(identities.pki.authority.read_bytes())
    for name in ("facility", "citizen", "operator"):
        (folder / "issuers" / f"{name}.json").write_text(json.dumps(identities.issuer.jwks), "utf-8")
    return kubernetes(PurePosixPath(folder))


@pytest.mark.parametrize("make", [local, cluster])
def test_envoy_accepts_the_configuration(identities: Identities, tmp_path: Path, make: Any) -> None:
    values = make(identities, tmp_path)
    folder = tmp_path / "envoy" if make is cluster else tmp_path
    configuration = render(values, folder)
    command = [str(envoy_binary()), "--mode", "validate", "-c", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "deprecated" not in done.stderr.lower()


def services() -> dict[str, Any]:
    """Every service of the installed stubs."""
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(lienthong.__path__, "lienthong."):
        if module.name.endswith("_pb2") and ".v1." in module.name:
            descriptor = importlib.import_module(module.name).DESCRIPTOR
            found |= {service.full_name: service for service in descriptor.services_by_name.values()}
    return found


def test_public_is_what_has_a_mapping_and_nothing_else() -> None:
    known = services()
    mapped = {
        f"{name}/{method.name}"
        for name, service in known.items()
        for method in service.methods
        if method.GetOptions().HasExtension(annotations_pb2.http)
    }
    public = {method.path for method in public_methods(load())}
    assert public == mapped
    internal = {
        "lienthong.consent.v1.DecisionService",
        "lienthong.identity.v1.SourceRecordService",
        "lienthong.referrals.v1.SlipImportService",
        "lienthong.signing.v1.LogAppendService",
        "lienthong.signing.v1.VerificationService",
    }
    assert internal <= known.keys()
    assert not internal & {path.partition("/")[0] for path in public}


def route_table(listener: dict[str, Any]) -> list[dict[str, Any]]:
    (chain,) = listener["filter_chains"]
    (manager,) = chain["filters"]
    (host,) = manager["typed_config"]["route_config"]["virtual_hosts"]
    routes: list[dict[str, Any]] = host["routes"]
    return routes


def test_each_public_method_has_one_exact_route_and_the_rest_is_404() -> None:
    contracts = load()
    methods = {method.path: method for method in public_methods(contracts)}
    for listener in bootstrap(kubernetes())["static_resources"]["listeners"]:
        table = route_table(listener)
        exact = [one for one in table if "route" in one]
        assert {one["match"]["path"] for one in exact} == {f"/{path}" for path in methods}
        assert [one["direct_response"]["status"] for one in table if "route" not in one] == [404, 404]
        for one in exact:
            method = methods[one["name"]]
            assert one["route"]["cluster"] == method.role
            streaming = BODY_LIMIT in one.get("typed_per_filter_config", {})
            assert streaming is method.streaming
            assert ("idle_timeout" in one["route"]) is method.streaming


def test_administration_is_on_loopback_and_clients_of_both_doors_are_told_apart() -> None:
    configuration = bootstrap(kubernetes())
    assert configuration["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    doors = {
        listener["name"]: listener["filter_chains"][0] for listener in configuration["static_resources"]["listeners"]
    }
    facility, public = (doors[name]["transport_socket"]["typed_config"] for name in ("facility", "public"))
    assert facility["require_client_certificate"] is True
    assert "require_client_certificate" not in public
    managers = {name: chain["filters"][0]["typed_config"] for name, chain in doors.items()}
    assert managers["facility"]["forward_client_cert_details"] == "SANITIZE_SET"
    assert managers["public"]["forward_client_cert_details"] == "SANITIZE"


def test_log_lines_hold_no_path_and_no_address() -> None:
    for listener in bootstrap(kubernetes())["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        (log,) = manager["access_log"]
        fields = json.dumps(log["typed_config"]["log_format"]).upper()
        for telling in ("%REQ(", "REMOTE", "PATH", "DETAILS", "%RESP("):
            assert telling not in fields
        # Spans bear the path up to this length: the slash, and nothing of a person's name.
        assert manager["tracing"]["max_path_tag_length"] == 1


def test_descriptors_hold_the_error_details_that_statuses_carry() -> None:
    names = {message.name for file in load().file for message in file.message_type}
    assert {"ErrorInfo", "BadRequest", "RetryInfo", "RequestInfo"} <= names
    assert isinstance(load(), FileDescriptorSet)


def test_every_refusal_is_a_rich_status() -> None:
    reasons = [refusal.reason for refusal in refusals(1)]
    assert len(reasons) == len(set(reasons))
    for refusal in refusals(1):
        status = status_of(refusal)
        assert status.code
        assert status.details[0].type_url.endswith("google.rpc.ErrorInfo")
