"""The whole suite on this machine, under one folder: keys, database, roles, gateway and the outside world.

`LocalStack` owns every child process and ends each by its own process id. A role that dies is started again on its
own port, so that the gateway finds it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.jwk import ECKey
from lienthong.client.tlog.note import NoteSigner

from deploy.envoy.values import Address, GatewayValues, Issuer, Rate
from deploy.local.authorities import Authorities
from deploy.local.gateway import gateway_command, wait_ready
from deploy.local.outside import Outside
from deploy.local.pki import Pki
from deploy.local.ports import Ports
from deploy.local.postgres import PostgresServer, RoleDatabase
from deploy.local.processes import Command, Process, ProcessFailed, run, start_time
from deploy.local.seed import Seeded, seed
from deploy.local.tokens import TokenIssuer
from deploy.local.witnesses import make_witnesses, trust_policy
from services.chassis.keyring import create_keyring
from services.chassis.principal import PrincipalKind

ROLES = ("identity", "signing", "consent", "referrals", "records")
ORIGIN = "log.lienthong.vn/2026"
PROMISE_NAME = "lienthong.vn/receipt-promise"
ROOT = Path(__file__).resolve().parents[2]
_READY_SECONDS = 40.0
_WATCH_SECONDS = 0.1
_BACKOFF = (0.2, 5.0)
"""Seconds before a child that died is started again; doubled each time, until it has run for a while."""
_STEADY_SECONDS = 20.0
PROCESSES = "processes.json"
"""The processes of a stack, with the times at which they started, and who holds it."""
ENDPOINTS = "endpoints.json"
"""How to use a stack; it appears when everything is up."""
MARKER = ".lienthong-stack"
"""A file in the folder of a stack. A folder without it is nobody's to remove."""
_OPERATORS = {
    "admin": PrincipalKind.ADMIN,
    "steward": PrincipalKind.STEWARD,
    "auditor": PrincipalKind.AUDITOR,
    "ministry": PrincipalKind.MINISTRY,
}
_ISSUERS = {
    "facility": (PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER),
    "operator": tuple(_OPERATORS.values()),
    "citizen": (PrincipalKind.CITIZEN,),
}
"""The issuers of access tokens, and the kinds of principal that each may vouch for."""


class LocalStack:
    """A stack under `folder`. Use it as a context manager, or `start` and `stop`."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self._durable = durable
        self._ports = Ports()
        self._postgres: PostgresServer | None = None
        self._processes: dict[str, Process] = {}
        self._watching = threading.Event()
        self._restart = threading.Event()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._gateway_values: GatewayValues | None = None
        self.endpoints: dict[str, Any] = {}

    def __enter__(self) -> LocalStack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def postgres(self) -> PostgresServer:
        """The database server, for fault tests."""
        if self._postgres is None:
            raise ProcessFailed("the database is not started")
        return self._postgres

    def start(self) -> None:
        """Starts everything and writes endpoints.json; takes away what it started when something fails."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=False)
        (self.folder / MARKER).touch()
        self._record()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        (self.folder / "logs").mkdir()
        pki = Pki(self.folder / "pki")
        with ThreadPoolExecutor(2) as pool:
            database = pool.submit(self._start_database)
            outside, authorities = self._start_outside(pki), self._start_authorities(pki)
            databases = database.result()
        addresses = {role: self._ports.reserve() for role in ROLES}
        keys = self._keys(pki)
        for role in ROLES:
            self._launch(self._role(role, pki, databases[role], addresses, outside, keys, authorities))
        gateway = self._gateway_values = self._gateway(pki, addresses, outside)
        self._launch(gateway_command(gateway, self.folder, self._log("gateway")))
        self._wait_roles()
        wait_ready(self._processes["gateway"], gateway, _READY_SECONDS, frozenset(ROLES))
        seeded = seed(pki, outside, str(gateway.public_listener), authorities)
        self.endpoints = self._endpoints(pki, outside, gateway, seeded)
        self.endpoints["authorities"] = {"ocsp": authorities.ocsp, "tsa": authorities.tsa, "folder": authorities.folder}
        partial = self.folder / "endpoints.part"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(self.endpoints, ensure_ascii=False, indent=2) + "\n", "utf-8")
        partial.replace(self.folder / ENDPOINTS)
        self._restart.set()
        self._watching.set()
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Ends every child, newest first, and removes the folder and what lay outside it."""
        self._watching.clear()
        if self._watcher is not None:
            self._watcher.join(10)
        children = list(reversed(self._processes.values()))
        with ThreadPoolExecutor(max(len(children), 1)) as pool:
            list(pool.map(lambda child: child.stop(), children))
        if self._postgres is not None:
            self._postgres.stop()
        self._ports.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, role: str) -> None:
        """SIGKILL to a role; it is started again unless `keep_down` was called."""
        self._processes[role].kill()

    def keep_down(self) -> None:
        """From now on a role that dies stays down."""
        self._restart.clear()

    def bring_up(self) -> None:
        """From now on a role that dies is started again, those that are down too."""
        self._restart.set()

    def wait_serving(self, seconds: float = _READY_SECONDS) -> None:
        """Waits until the gateway would route to every role, for instance after a kill. Raises ProcessFailed."""
        if self._gateway_values is None:
            raise ProcessFailed("the stack is not started")
        wait_ready(self._processes["gateway"], self._gateway_values, seconds, frozenset(ROLES))

    def check(self) -> None:
        """Raises ProcessFailed when a child is down."""
        for name, process in self._processes.items():
            if not process.running:
                raise ProcessFailed(f"{name} is down:\n{process.tail()}")

    def _watch(self) -> None:
        pauses: dict[str, float] = {}
        due: dict[str, float] = {}
        while self._watching.is_set():
            now = time.monotonic()
            for name, process in list(self._processes.items()):
                if process.running or not self._restart.is_set():
                    continue
                if name not in due:
                    steady = now - process.started > _STEADY_SECONDS
                    pauses[name] = _BACKOFF[0] if steady else min(pauses.get(name, _BACKOFF[0] / 2) * 2, _BACKOFF[1])
                    due[name] = now + pauses[name]
                elif now >= due[name]:
                    del due[name]
                    self._launch(process.command)
            time.sleep(_WATCH_SECONDS)

    def _record(self) -> None:
        """Writes the process ids, for a `down` that finds no supervisor."""
        with self._lock:
            pids = {name: process.pid for name, process in self._processes.items()}
            folders = []
            if self._postgres is not None:
                folders.append(str(self._postgres.home))
                with suppress(RuntimeError):  # it may not have come to its process yet
                    pids["postgres"] = self._postgres.pid
            content = {
                "holder": [os.getpid(), start_time(os.getpid())],
                "processes": {name: [pid, start_time(pid)] for name, pid in pids.items()},
                "folders": folders,
            }
            partial = self.folder / "processes.part"
            partial.write_text(json.dumps(content), "utf-8")
            partial.replace(self.folder / PROCESSES)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _launch(self, command: Command) -> None:
        process = Process(command)
        with self._lock:
            self._processes[command.name] = process
        self._record()

    def _start_database(self) -> dict[str, RoleDatabase]:
        self._postgres = PostgresServer(durable=self._durable)
        self._record()
        self._postgres.start()
        self._record()
        databases = {role: self._postgres.create_role_database(role) for role in ROLES}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda role: self._migrate(role, databases[role]), ROLES))
        return databases

    def _migrate(self, role: str, database: RoleDatabase) -> None:
        environment = _environment() | {"LIENTHONG_DATABASE_OWNER_URL": database.owner_url}
        arguments = [sys.executable, "-m", f"services.{role}", "migrate"]
        run(Command(f"migrate-{role}", arguments, environment, self._log(f"migrate-{role}"), ROOT), _READY_SECONDS)

    def _start_outside(self, pki: Pki) -> Outside:
        server = pki.server("outside")
        keys = {name: TokenIssuer(name).save(pki.folder / f"{name}.jwk") for name in _ISSUERS}
        client = ECKey.generate_key("P-256")
        (pki.folder / "consent-client.jwk").write_text(json.dumps(client.as_dict(private=True)), "utf-8")
        settings = Outside(
            listen=self._ports.reserve(),
            collector=self._ports.reserve(),
            spans=str(self.folder / "spans.jsonl"),
            certificate=str(server.certificate),
            private_key=str(server.private_key),
            authority=str(pki.authority),
            facility_key=str(keys["facility"]),
            operator_key=str(keys["operator"]),
            citizen_key=str(keys["citizen"]),
            client_id="lienthong-consent",
            client_jwk=dict(client.as_dict(private=False)),
            operators={name: (secrets.token_urlsafe(18), kind.value) for name, kind in _OPERATORS.items()},
            insurer_username="lienthong",
            insurer_password=secrets.token_urlsafe(18),
            insurer_folder=str(self.folder / "insurer"),
        )
        path = pki.folder / "outside.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(settings)), "utf-8")
        (pki.folder / "insurer.password").write_text(settings.insurer_password, "utf-8")
        self._issuers(pki, settings)
        arguments = [sys.executable, "-m", "deploy.local.outside", str(path)]
        self._launch(Command("outside", arguments, _environment(), self._log("outside"), ROOT))
        return settings

    def _start_authorities(self, pki: Pki) -> Authorities:
        """OCSP, lists and time-stamps: what the public authorities run."""
        settings = Authorities(self._ports.reserve(), str(pki.public_authorities()))
        arguments = [
            sys.executable,
            "-m",
            "deploy.local.authorities",
            str(settings.save(pki.folder / "authorities.json")),
        ]
        self._launch(Command("authorities", arguments, _environment(), self._log("authorities"), ROOT))
        return settings

    def _issuers(self, pki: Pki, outside: Outside) -> None:
        trusted = {}
        for name, kinds in _ISSUERS.items():
            issuer = TokenIssuer.load(f"{outside.base}/{name}", pki.folder / f"{name}.jwk")
            trusted[issuer.issuer] = issuer.trusted_for(*kinds)
            (pki.folder / f"{name}.jwks").write_text(json.dumps(issuer.jwks), "utf-8")
        (pki.folder / "issuers.json").write_text(json.dumps(trusted), "utf-8")

    def _keys(self, pki: Pki) -> dict[str, Path]:
        keys = {"log": pki.ed25519("log"), "promise": pki.ed25519("promise")}
        for role in ("identity", "consent", "referrals", "records"):
            keys[role] = pki.folder / f"keyring-{role}.json"
            create_keyring(keys[role])
        log, promise = (
            NoteSigner(name, load_pem_private_key(keys[key].read_bytes(), None)).verifier_key  # type: ignore[arg-type] # made as Ed25519
            for name, key in ((ORIGIN, "log"), (PROMISE_NAME, "promise"))
        )
        witnesses = make_witnesses(self.folder / "witnesses", log, pki, self._ports)
        for name, witness in witnesses.items():
            name = f"witness-{name}"
            self._launch(Command(name, witness.arguments, _environment(), self._log(name), ROOT))
        # With the policy, all that `lienthong.client.evidence` needs to verify a package.
        for name, certificates in pki.evidence_roots().items():
            (self.folder / f"{name}.pem").write_bytes(certificates)
        (self.folder / "trust.policy").write_text(trust_policy(log, promise, witnesses).encode(), "utf-8")
        return keys

    def _role(
        self,
        role: str,
        pki: Pki,
        database: RoleDatabase,
        addresses: Mapping[str, str],
        outside: Outside,
        keys: Mapping[str, Path],
        authorities: Authorities,
    ) -> Command:
        pair = pki.workload(role)
        environment = _environment() | {
            "LIENTHONG_SERVER_LISTEN": addresses[role],
            "LIENTHONG_SERVER_CERTIFICATE": str(pair.certificate),
            "LIENTHONG_SERVER_PRIVATE_KEY": str(pair.private_key),
            "LIENTHONG_SERVER_AUTHORITY": str(pki.authority),
            "LIENTHONG_SERVER_TOKEN_ISSUERS": str(pki.folder / "issuers.json"),
            "LIENTHONG_SERVER_READY_FILE": str(self.folder / f"{role}.ready"),
            "LIENTHONG_DATABASE_URL": database.app_url,
            "LIENTHONG_TELEMETRY_OTLP_ENDPOINT": outside.collector,
        }
        environment |= {f"LIENTHONG_{other.upper()}_ADDRESS": address for other, address in addresses.items()}
        if role in keys:
            environment["LIENTHONG_KEYRING"] = str(keys[role])
        if role == "signing":
            environment |= {
                "LIENTHONG_LOG_KEY": str(keys["log"]),
                "LIENTHONG_LOG_ORIGIN": ORIGIN,
                "LIENTHONG_WITNESS_POLICY": str(self.folder / "trust.policy"),
                "LIENTHONG_WITNESS_AUTHORITY": str(pki.authority),
                "LIENTHONG_STAMP_URL": authorities.tsa,
                "LIENTHONG_STAMP_ROOTS": str(Path(authorities.folder) / "time-root.crt"),
                "LIENTHONG_REVOCATION_INTERVAL": "60",
            }
        if role == "records":
            environment |= {
                "LIENTHONG_PROMISE_KEY": str(keys["promise"]),
                "LIENTHONG_SEAL_KEY": str(pki.seal().private_key),
                "LIENTHONG_SEAL_CERTIFICATE": str(pki.seal().certificate),
                "LIENTHONG_ARCHIVE_URL": authorities.tsa,
                "LIENTHONG_ARCHIVE_ROOTS": str(Path(authorities.folder) / "time-root.crt"),
                "LIENTHONG_INSURER_URL": f"{outside.base}/insurer",
                "LIENTHONG_INSURER_USERNAME": outside.insurer_username,
                "LIENTHONG_INSURER_PASSWORD_FILE": str(pki.folder / "insurer.password"),
                "LIENTHONG_INSURER_CA": str(pki.authority),
            }
        if role == "identity":
            environment |= {
                "LIENTHONG_APP_ISSUER": f"{outside.base}/citizen",
                "LIENTHONG_APP_JWKS": str(pki.folder / "citizen.jwks"),
            }
        if role == "consent":
            environment |= {
                "LIENTHONG_CIBA_ISSUER": f"{outside.base}/citizen",
                "LIENTHONG_CIBA_JWKS": str(pki.folder / "citizen.jwks"),
                "LIENTHONG_CIBA_AUTHORITY": str(pki.authority),
                "LIENTHONG_CIBA_CLIENT_ID": outside.client_id,
                "LIENTHONG_CIBA_CLIENT_KEY": str(pki.folder / "consent-client.jwk"),
            }
        arguments = [sys.executable, "-m", f"services.{role}", "serve"]
        return Command(role, arguments, environment, self._log(role), ROOT)

    def _gateway(self, pki: Pki, addresses: Mapping[str, str], outside: Outside) -> GatewayValues:
        edge, gateway = pki.server("gateway"), pki.workload("gateway")
        facility, operator, citizen = (
            Issuer(f"{outside.base}/{name}", str(pki.folder / f"{name}.jwks")) for name in _ISSUERS
        )
        return GatewayValues(
            facility_listener=Address.parse(self._ports.reserve()),
            public_listener=Address.parse(self._ports.reserve()),
            admin=Address.parse(self._ports.reserve()),
            edge_certificate=str(edge.certificate),
            edge_key=str(edge.private_key),
            workload_certificate=str(gateway.certificate),
            workload_key=str(gateway.private_key),
            facility_authority=str(pki.authority),
            workload_authority=str(pki.authority),
            descriptors="",
            facility_issuers=(facility,),
            public_issuers=(operator, citizen),
            roles={role: Address.parse(address) for role, address in addresses.items()},
            dns=False,
            collector=Address.parse(outside.collector),
            access_log=str(self._log("gateway-access")),
            facility_rate=Rate(burst=20_000, per_second=5_000),
            public_rate=Rate(burst=2_000, per_second=500),
        )

    def _wait_roles(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        waiting = set(ROLES)
        while waiting:
            waiting = {role for role in waiting if not (self.folder / f"{role}.ready").exists()}
            for role in waiting:
                if not self._processes[role].running or time.monotonic() > end:
                    raise ProcessFailed(f"{role} did not start:\n{self._processes[role].tail()}")
            time.sleep(0.05)

    def _endpoints(self, pki: Pki, outside: Outside, gateway: GatewayValues, seeded: Seeded) -> dict[str, Any]:
        facilities = []
        for one in seeded.facilities:
            profile = self.folder / "facilities" / one.code / "profile.json"
            profile.parent.mkdir(parents=True)
            fields = {
                "facility": one.code,
                "gateway": str(gateway.facility_listener),
                "authority": str(pki.authority),
                "client_certificate": str(one.client.certificate),
                "client_key": str(one.client.private_key),
                "token_endpoint": f"{outside.base}/facility/token",
                "signing_keystore": str(one.signer.keystore),
                "signing_passphrase_file": str(one.signer.passphrase_file),
                "policy": str(self.folder / "trust.policy"),
                "spool": str(profile.parent / "spool"),
            }
            profile.write_text(json.dumps(fields, indent=2), "utf-8")
            facilities.append(
                {
                    **{name: fields[name] for name in ("client_certificate", "client_key", "token_endpoint")},
                    "code": one.code,
                    "name": one.name,
                    "level": one.level,
                    "signing_certificate": str(one.signer.certificate),
                    "signing_key": str(one.signer.private_key),
                    "signing_keystore": str(one.signer.keystore),
                    "signing_passphrase_file": str(one.signer.passphrase_file),
                    "practitioner_licence": one.licence,
                    "profile": str(profile),
                }
            )
        return {
            "gateway": {
                "grpc": str(gateway.facility_listener),
                "json": f"https://{gateway.facility_listener}",
                "public_grpc": str(gateway.public_listener),
                "public_json": f"https://{gateway.public_listener}",
            },
            "ca": str(pki.authority),
            "facilities": facilities,
            "persons": seeded.persons,
            "citizen": {
                "token_endpoint": f"{outside.base}/citizen/token",
                "requests": f"{outside.base}/citizen/requests",
                "page": f"{outside.base}/citizen/",
            },
            "operators": {
                name: {
                    "client_id": name,
                    "client_secret": secret,
                    "kind": kind,
                    "token_endpoint": f"{outside.base}/operator/token",
                }
                for name, (secret, kind) in outside.operators.items()
            },
            "insurer": f"{outside.base}/insurer",
            "trust_policy": str(self.folder / "trust.policy"),
            "collector": outside.collector,
            "spans": outside.spans,
            "logs": str(self.folder / "logs"),
        }


def _environment() -> dict[str, str]:
    """What every child gets: nothing of the caller's environment but where programs and packages are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "GRPC_VERBOSITY": "ERROR"}


def fetch(url: str, authority: str, headers: Mapping[str, str] | None = None) -> Any:
    """JSON from the outside world."""
    import ssl

    context = ssl.create_default_context(cafile=authority)
    request = urllib.request.Request(url, headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return json.loads(answer.read())
