"""`python -m services.chassis.keyring COMMAND FILE [VERSION]`: makes, adds and destroys root keys and blind keys, in a file or in the token
that the file describes.

Root keys: `add-root`, restart the role, `rotate-keys` of the role, `forget-root VERSION`. Blind keys: `add-blind`, restart, `turn-blind`,
restart, `reindex` of the role, `forget-blind`, restart.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from services.chassis.keyring import file, token
from services.chassis.keyring.provider import KeyringUnreadable, open_keyring

COMMANDS = ("create", "show", "add-root", "forget-root", "add-blind", "turn-blind", "forget-blind")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; 1 when it is refused, with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m services.chassis.keyring", description="Root keys and blind keys.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("file", type=Path)
    parser.add_argument("version", type=int, nargs="?", help="for forget-root")
    given = parser.parse_args(arguments)
    if (given.version is not None) != (given.command == "forget-root"):
        parser.error("forget-root, and it alone, takes a version")
    try:
        sys.stdout.write(_run(given.command, given.file, given.version) + "\n")
    except FileExistsError:
        sys.stderr.write("it exists already, or is being changed\n")
        return 1
    except FileNotFoundError:
        sys.stderr.write("there is no such file\n")
        return 1
    except (KeyringUnreadable, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(command: str, path: Path, version: int | None) -> str:
    if command == "create":
        file.create_keyring(path)
        return show(path)
    described = json.loads(path.read_text("utf-8"))
    if "token" in described:
        _change_token(command, path, described, version)
    elif command == "forget-root" and version is not None:
        file.forget(path, version)
    elif command in _ON_FILES:
        _ON_FILES[command](path)
    return show(path)


_ON_FILES = {
    "add-root": file.rotate,
    "add-blind": file.add_blind,
    "turn-blind": file.turn_blind,
    "forget-blind": file.forget_blind,
}


def _change_token(command: str, path: Path, described: dict[str, object], version: int | None) -> None:
    address = token.token_address(path, described["token"], described.get("blind"))
    if command == "add-root":
        token.add_token_version(address)
    elif command == "forget-root" and version is not None:
        token.forget_token_version(address, version)
    elif command.endswith("-blind"):
        versions = list(token.TokenKeyring(address).blind_versions)
        if command == "turn-blind":
            file.describe(path, {**described, "blind": file.blind_turned(versions)})
        elif command == "add-blind":
            file.blind_added(versions, 0)
            file.describe(path, {**described, "blind": file.blind_added(versions, token.add_token_blind(address))})
        else:
            left, gone = file.blind_left(versions)
            file.describe(path, {**described, "blind": left})
            token.forget_token_blind(token.token_address(path, described["token"], left), gone)


def show(path: Path) -> str:
    """Which versions there are, never what they are."""
    keyring = open_keyring(path)
    roots = ", ".join(
        f"{one} (wraps)" if one == keyring.current_version else str(one) for one in sorted(keyring.versions)
    )
    blinds = ", ".join(map(str, keyring.blind_versions))
    return f"root versions: {roots}\nblind versions, the first is written: {blinds}"


if __name__ == "__main__":
    raise SystemExit(main())
