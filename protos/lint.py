"""Lints the contracts with buf, offline: the compiler builds an image that holds the imports too, and buf looks at ours only.

Where the last commit has contracts, breaking changes against it are refused as well.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import generate

BUF = str(Path(sysconfig.get_path("scripts")) / "buf")


def image(folder: Path, protos: Path) -> Path:
    """An image of a tree of contracts."""
    path = folder / "image.binpb"
    files = sorted(str(one.relative_to(protos)) for one in protos.rglob("*.proto"))
    includes = [f"-I{protos}", *generate.includes()[1:]]
    code = generate.protoc.main(
        ["protoc", *includes, "--include_imports", "--include_source_info", f"--descriptor_set_out={path}", *files]
    )
    if code:
        sys.exit(code)
    return path


def complaints(*arguments: str) -> list[str]:
    """What buf says about our files; it cannot be told to leave the imports of an image alone."""
    done = subprocess.run(
        [BUF, *arguments, "--config", str(generate.PROTOS / "buf.yaml")], capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("google/")]


def main() -> None:
    """Prints complaints and fails if there are any."""
    with tempfile.TemporaryDirectory() as folder:
        now = Path(folder) / "now"
        now.mkdir()
        current = image(now, generate.PROTOS)
        found = complaints("lint", str(current))
        before = Path(folder) / "before"
        before.mkdir()
        archive = subprocess.run(
            ["git", "-C", str(generate.ROOT), "archive", "HEAD", "protos"], capture_output=True, check=False
        )
        if archive.returncode == 0:
            subprocess.run(["tar", "-x", "-C", str(before)], input=archive.stdout, check=True)
            found += complaints("breaking", str(current), "--against", str(image(before, before / "protos")))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
