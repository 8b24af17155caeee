"""`lienthong-witness`: `init` makes key and database, `serve` runs the witness, `show` says what it cosigned last."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lienthong.client.tlog.note import encode64
from lienthong.witness.config import ConfigInvalid, WitnessConfig, load_config
from lienthong.witness.store import StoreMissing, WitnessStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code, 2 when the configuration cannot be used."""
    parser = argparse.ArgumentParser(prog="lienthong-witness", description=__doc__)
    parser.add_argument("command", choices=("init", "serve", "show"))
    parser.add_argument("config", type=Path, help="TOML file")
    parsed = parser.parse_args(arguments)
    # aiohttp comes with the extra; everything else works without it.
    from lienthong.witness.server import load_cosigner, serve

    try:
        config = load_config(parsed.config)
        if parsed.command == "init":
            _init(config)
            print(f"witness {config.name} {load_cosigner(config).verifier_key.encode()}")
        elif parsed.command == "show":
            _show(config)
        else:
            asyncio.run(serve(config))
    except (ConfigInvalid, StoreMissing, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _init(config: WitnessConfig) -> None:
    """Makes what is not there; an existing key or database stays as it is."""
    if not config.key.exists():
        descriptor = os.open(config.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            key = Ed25519PrivateKey.generate()
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if not config.database.exists():
        WitnessStore.create(config.database)


def _show(config: WitnessConfig) -> None:
    store = WitnessStore(config.database)
    for origin in sorted(config.logs):
        seen, forks = store.latest(origin), store.forks(origin)
        state = f"{seen.size} {encode64(seen.root)}" if seen else "nothing cosigned"
        print(f"{origin} {state}" + (f" FORKS {len(forks)}" if forks else ""))
    store.close()


if __name__ == "__main__":
    raise SystemExit(main())
