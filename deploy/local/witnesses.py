"""The witnesses of a local stack: three parties, each with a key and a database of its own, and the trust file that asks for two of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lienthong.client.tlog.note import VerifierKey
from lienthong.client.tlog.policy import TrustPolicy, WitnessGroup
from lienthong.witness.config import load_config
from lienthong.witness.keys import initialise

from deploy.local.pki import Pki
from deploy.local.ports import Ports

WITNESSES = ("ministry", "insurer", "province")
QUORUM = 2


@dataclass(frozen=True)
class LocalWitness:
    """A witness: its public key, where it is asked, and its configuration."""

    key: VerifierKey
    url: str
    config: Path

    @property
    def arguments(self) -> list[str]:
        """How to start it."""
        return [sys.executable, "-m", "lienthong.witness", "serve", str(self.config)]


def make_witnesses(folder: Path, log: VerifierKey, pki: Pki, ports: Ports) -> dict[str, LocalWitness]:
    """Makes keys, databases and configurations under `folder`."""
    made = {}
    for name in WITNESSES:
        home, address, pair = folder / name, ports.reserve(), pki.server(f"witness-{name}")
        home.mkdir(mode=0o700, parents=True)
        config = home / "witness.toml"
        config.write_text(
            f'name = "witness.lienthong.vn/{name}"\nkey = "witness.pem"\ndatabase = "witness.sqlite3"\n'
            f'listen = "{address}"\ncertificate = "{pair.certificate}"\nprivate_key = "{pair.private_key}"\n'
            f'logs = ["{log.encode()}"]\n',
            "utf-8",
        )
        made[name] = LocalWitness(initialise(load_config(config)), f"https://{address}", config)
    return made


def trust_policy(log: VerifierKey, promise: VerifierKey, witnesses: Mapping[str, LocalWitness]) -> TrustPolicy:
    """Receipts need the log's signature and QUORUM witnesses."""
    return TrustPolicy(
        logs=(log,),
        promise_keys=(promise,),
        witnesses={name: witness.key for name, witness in witnesses.items()},
        groups={"witnesses": WitnessGroup(QUORUM, tuple(witnesses))},
        quorum="witnesses",
        witness_urls={name: witness.url for name, witness in witnesses.items()},
    )
