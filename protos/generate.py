"""Generates the stubs in client/lienthong and the gateway's descriptor set from the contracts.

`--check` generates into a temporary folder and fails with the names of files that differ. Generated files are swapped in only when all of
them could be made.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.api import annotations_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "client"
DESCRIPTORS = Path("deploy/envoy/descriptors.binpb")


def sources() -> list[str]:
    """Every contract, relative to protos/."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def includes() -> list[str]:
    """Where imports are looked up: our contracts, google.api and friends, and the well-known types."""
    common = Path(annotations_pb2.__file__).parents[2]
    known = Path(protoc.__file__).parent / "_proto"
    return [f"-I{PROTOS}", f"-I{common}", f"-I{known}"]


def run(*arguments: str) -> None:
    """One run of the compiler; exits with its code when it fails."""
    code = protoc.main(["protoc", *includes(), *arguments])
    if code:
        sys.exit(code)


def generate(target: Path) -> None:
    """Writes everything under a folder, laid out as in the checkout."""
    stubs = target / "client"
    stubs.mkdir(parents=True)
    plugins = Path(sysconfig.get_path("scripts"))
    run(
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--python_out={stubs}",
        f"--grpc_python_out={stubs}",
        f"--mypy_out=quiet,readable_stubs:{stubs}",
        f"--mypy_grpc_out=only_async,quiet,readable_stubs:{stubs}",
        *sources(),
    )
    for package in {path.parent for path in stubs.rglob("*_pb2.py")}:
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
    descriptors = target / DESCRIPTORS
    descriptors.parent.mkdir(parents=True)
    run("--include_imports", f"--descriptor_set_out={descriptors}", *sources())


def produced(target: Path) -> list[Path]:
    """The files of a generation, relative to the checkout."""
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def stale(files: list[Path]) -> list[Path]:
    """Generated files in the checkout that the contracts no longer lead to."""
    packages = {path.parent for path in files if path.name.endswith("_pb2.py")}
    kept = [path for package in packages for path in (ROOT / package).glob("*_pb2*") if path.is_file()]
    return sorted(path.relative_to(ROOT) for path in kept if path.relative_to(ROOT) not in files)


def main() -> None:
    """Generates or checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        generate(target)
        files = produced(target)
        if check:
            differing = [
                path
                for path in files
                if not (ROOT / path).exists() or not filecmp.cmp(target / path, ROOT / path, shallow=False)
            ]
            for path in (*differing, *stale(files)):
                print(f"not up to date: {path}")
            sys.exit(1 if differing or stale(files) else 0)
        for path in stale(files):
            (ROOT / path).unlink()
        for path in files:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / path, ROOT / path)


if __name__ == "__main__":
    main()
