"""One role in processes of its own on this machine, and credentials of its callers."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from deploy.local.pki import Pki
from deploy.local.ports import Ports
from deploy.local.processes import Command, Process
from deploy.local.tokens import TokenIssuer
from services.chassis.principal import PrincipalKind
from services.chassis.workload import TRUST_DOMAIN

ROOT = Path(__file__).resolve().parents[1]
FACILITY = "01001"
NOBODY = "127.0.0.1:9"
"""An address where nobody listens: peers that are not part of the measurement."""
_ISSUER = "https://tokens.bench"
_STARTING = 60.0


class Role:
    """Processes of a role. `settings` are further variables of its environment, by their name after `LIENTHONG_`."""

    def __init__(
        self, name: str, folder: Path, database: str, keyring: Path, processes: int, settings: Mapping[str, str]
    ) -> None:
        self.pki = Pki(folder / "pki")
        self._name = name
        self._issuer = TokenIssuer(_ISSUER)
        trusted = self._issuer.trusted_for(PrincipalKind.FACILITY, PrincipalKind.ADMIN)
        (folder / "issuers.json").write_text(json.dumps({_ISSUER: trusted}), "utf-8")
        self._ports = Ports()
        self.addresses = [self._ports.reserve() for _ in range(processes)]
        pair = self.pki.workload(name)
        kept = {
            variable: os.environ[variable] for variable in ("PATH", "HOME", "TMPDIR", "LANG") if variable in os.environ
        }
        common = kept | {
            "LIENTHONG_SERVER_CERTIFICATE": str(pair.certificate),
            "LIENTHONG_SERVER_PRIVATE_KEY": str(pair.private_key),
            "LIENTHONG_SERVER_AUTHORITY": str(self.pki.authority),
            "LIENTHONG_SERVER_TOKEN_ISSUERS": str(folder / "issuers.json"),
            "LIENTHONG_DATABASE_URL": database,
            "LIENTHONG_TELEMETRY_LOG_LEVEL": "error",
            "LIENTHONG_KEYRING": str(keyring),
        }
        common |= {f"LIENTHONG_{variable}": value for variable, value in settings.items()}
        arguments = [sys.executable, "-m", f"services.{name}", "serve"]
        self._ready = [folder / f"{name}-{number}.ready" for number in range(processes)]
        self._processes = [
            Process(
                Command(
                    name,
                    arguments,
                    common | {"LIENTHONG_SERVER_LISTEN": address, "LIENTHONG_SERVER_READY_FILE": str(ready)},
                    ready.with_suffix(".log"),
                    ROOT,
                )
            )
            for address, ready in zip(self.addresses, self._ready, strict=True)
        ]

    def __enter__(self) -> Role:
        end = time.monotonic() + _STARTING
        for process, ready in zip(self._processes, self._ready, strict=True):
            while not ready.exists():
                if not process.running or time.monotonic() > end:
                    raise RuntimeError(process.tail())
                time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.stop()
        self._ports.release()

    def channel(self, number: int, workload: str = "gateway") -> grpc.aio.Channel:
        """To one of the processes, as the gateway or as another role."""
        pair = self.pki.workload(workload)
        credentials = grpc.ssl_channel_credentials(
            self.pki.authority.read_bytes(), pair.private_key.read_bytes(), pair.certificate.read_bytes()
        )
        options = [("grpc.ssl_target_name_override", f"{self._name}.lienthong.internal")]
        return grpc.aio.secure_channel(self.addresses[number], credentials, options=options)

    def metadata(self, kind: PrincipalKind) -> list[tuple[str, str]]:
        """What the gateway, or a role that forwards, sends on for a caller."""
        if kind is PrincipalKind.ADMIN:
            return [("authorization", f"Bearer {self._issuer.mint(kind, 'admin')}")]
        pem = self.pki.facility(FACILITY).certificate.read_bytes()
        token = self._issuer.mint(kind, f"facility:{FACILITY}", certificate=pem, facility=FACILITY)
        digest = hashlib.sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).hexdigest()
        return [
            ("authorization", f"Bearer {token}"),
            ("x-forwarded-client-cert", f"Hash={digest};URI={TRUST_DOMAIN}facility/{FACILITY}"),
        ]
