"""`lienthong-witness`: `init` makes key and database, `serve` runs the witness, `show` says what it cosigned last."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from lienthong.client.tlog.note import encode64
from lienthong.witness.config import ConfigInvalid, WitnessConfig, load_config
from lienthong.witness.keys import initialise
from lienthong.witness.store import StoreMissing, WitnessStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code, 2 when the configuration cannot be used."""
    parser = argparse.ArgumentParser(prog="lienthong-witness", description=__doc__)
    parser.add_argument("command", choices=("init", "serve", "show"))
    parser.add_argument("config", type=Path, help="TOML file")
    parsed = parser.parse_args(arguments)
    try:
        config = load_config(parsed.config)
        if parsed.command == "init":
            print(f"witness {config.name} {initialise(config).encode()}")
        elif parsed.command == "show":
            _show(config)
        else:
            # aiohttp comes with the extra; everything else works without it.
            from lienthong.witness.server import serve

            asyncio.run(serve(config))
    except (ConfigInvalid, StoreMissing, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _show(config: WitnessConfig) -> None:
    store = WitnessStore(config.database)
    for origin in sorted(config.logs):
        seen, forks = store.latest(origin), store.forks(origin)
        state = f"{seen.size} {encode64(seen.root)}" if seen else "nothing cosigned"
        print(f"{origin} {state}" + (f" FORKS {len(forks)}" if forks else ""))
    store.close()


if __name__ == "__main__":
    raise SystemExit(main())
