"""What is promised about packaging: the public wheel stands alone, pins carry hashes and no address, and the tree keeps its shape."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from lienthong.client.tlog.note import ED25519, VerifierKey

from deploy.local.pki import Pki
from services.records.signatures import SignatureForm
from tests.fakes.evidence_packages import World

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", *patterns], capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_requirements_are_pinned_with_hashes_and_name_no_index() -> None:
    text = (ROOT / "requirements/develop.txt").read_text("utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", text)
    pins = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(pins) > 40
    for pin in pins:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==[^ ]+", pin), pin[:60]
        assert "--hash=sha256:" in pin


def test_no_source_file_is_long_and_none_names_this_machine() -> None:
    for path in tracked("*.py"):
        if "_pb2" in path.name:
            continue
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 600, f"{path.relative_to(ROOT)} has {len(lines)} lines"
        assert str(ROOT) not in "\n".join(lines), path


def test_the_public_wheel_stands_alone(tmp_path: Path) -> None:
    """Built from client/, unpacked into an empty environment that sees no other code of ours, its command runs."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / "client", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    alone = tmp_path / "alone"
    venv.create(alone, with_pip=True)
    python = alone / "bin/python"
    pins = tmp_path / "constraints.txt"
    text = (ROOT / "requirements/develop.txt").read_text("utf-8")
    pins.write_text("\n".join(sorted(set(re.findall(r"^([a-z0-9._-]+==[^ ]+) \\$", text, re.MULTILINE)))), "utf-8")
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "-c",
        str(pins),
        f"{wheel}[agent,witness]",
    ]
    subprocess.run(install, check=True, capture_output=True)
    said = subprocess.run(
        [str(alone / "bin/lienthong"), "--help"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    for command in ("sign", "submit", "status", "receipt", "person", "records"):
        assert command in said.stdout
    config = tmp_path / "witness.toml"
    key = VerifierKey("log.example/2026", ED25519, bytes(32)).encode()
    config.write_text(
        f'name = "witness.example/w1"\nkey = "w.pem"\ndatabase = "w.sqlite3"\nlisten = "127.0.0.1:1"\nlogs = ["{key}"]\n'
    )
    for command, expected in (("init", "witness witness.example/w1 "), ("show", "log.example/2026 nothing cosigned")):
        shown = subprocess.run(
            [str(alone / "bin/lienthong-witness"), command, str(config)],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert shown.stdout.startswith(expected)
    served = subprocess.run([str(python), "-c", "import lienthong.witness.server"], cwd=tmp_path, check=False)
    assert served.returncode == 0
    _verifies_alone(alone / "bin/lienthong", tmp_path)
    ours = subprocess.run([str(python), "-c", "import services"], capture_output=True, cwd=tmp_path, check=False)
    assert ours.returncode != 0


def _verifies_alone(lienthong: Path, folder: Path) -> None:
    """A package and the receipt in it, with nothing but the wheel and public keys; a changed one fails by name."""
    world = World(Pki(folder / "pki"))
    package = world.package(SignatureForm.CMS_DETACHED, SignatureForm.BATCH)
    trust = folder / "trust"
    trust.mkdir()
    (trust / "trust.policy").write_text(world.trust.receipts.encode(), "utf-8")
    for name, certificates in (
        ("authorities", world.trust.authorities),
        ("timestamps", world.trust.timestamp_authorities),
        ("seals", world.trust.seals),
    ):
        (trust / f"{name}.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    receipt = folder / "receipt.json"
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        (named,) = [name for name in archive.namelist() if name.endswith("receipt.json")]
        receipt.write_bytes(archive.read(named))
    (folder / "good.asice").write_bytes(package)
    (folder / "bad.asice").write_bytes(package[:200] + bytes([package[200] ^ 1]) + package[201:])
    for file, code, said in (
        ("good.asice", 0, "all at hand"),
        ("receipt.json", 0, "LOGGED"),
        ("bad.asice", 1, "CONTAINER_INVALID"),
    ):
        done = subprocess.run(
            [str(lienthong), "verify", str(folder / file), "--trust", str(trust)],
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert said in done.stdout + done.stderr
