"""The witness as a process over HTTP and TLS: its state outlives SIGKILL, and what it cannot use stops the start."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from lienthong.client.tlog.checkpoint import Checkpoint, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, consistency_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner, VerifierKey
from lienthong.client.tlog.witness import LARGEST_REQUEST, PATH, SIZE_TYPE, AddCheckpoint

from deploy.local.ports import Ports
from tests.fixtures.identities import Identities

LOG = NoteSigner.generate("log.example/2026")
NODES: dict[Node, bytes] = {}
ROOTS = [CompactRange().root()]
_edge = CompactRange()
for _number in range(20):
    NODES.update(_edge.append(leaf_hash(b"%d" % _number)))
    ROOTS.append(_edge.root())


def request(old: int, new: int) -> bytes:
    note = sign_checkpoint(Checkpoint(LOG.name, new, ROOTS[new]), LOG)
    return AddCheckpoint(old, tuple(consistency_path(old, new, NODES)), note).encode()


def command(name: str, config: Path) -> list[str]:
    return [sys.executable, "-m", "lienthong.witness", name, str(config)]


@contextmanager
def serving(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command("serve", config), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert b"serving" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


def configured(folder: Path, address: str, more: str = "") -> Path:
    config = folder / "witness.toml"
    config.write_text(
        f'name = "witness.example/w1"\nkey = "w.pem"\ndatabase = "w.sqlite3"\nlisten = "{address}"\n'
        f'logs = ["{LOG.verifier_key.encode()}"]\n{more}'
    )
    return config


async def post(url: str, body: bytes, tls: ssl.SSLContext | bool = True) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as http, http.post(url + PATH, data=body, ssl=tls) as answer:
        return answer.status, await answer.text(), answer.content_type


def test_what_was_cosigned_outlives_a_kill(tmp_path: Path) -> None:
    ports = Ports()
    address = ports.reserve()
    config = configured(tmp_path, address)
    made = subprocess.run(command("init", config), capture_output=True, text=True, check=True).stdout.split()
    assert made[:2] == ["witness", "witness.example/w1"]
    assert VerifierKey.parse(made[2]).name == "witness.example/w1"
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("w.pem", "w.sqlite3")] == [0o600, 0o600]
    with serving(config) as process:
        assert asyncio.run(post(f"http://{address}", request(0, 7)))[0] == 200
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with serving(config) as process:
        stale = asyncio.run(post(f"http://{address}", request(0, 9)))
        assert stale == (409, "7\n", SIZE_TYPE)
        assert asyncio.run(post(f"http://{address}", request(7, 9)))[0] == 200
        assert asyncio.run(post(f"http://{address}", b"x" * (LARGEST_REQUEST + 1)))[0] == 413
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    shown = subprocess.run(command("show", config), capture_output=True, text=True, check=True).stdout
    assert shown.startswith("log.example/2026 9 ")
    # `init` again changes neither key nor state.
    again = subprocess.run(command("init", config), capture_output=True, text=True, check=True).stdout.split()
    assert again == made
    ports.release()


def test_tls(tmp_path: Path, identities: Identities) -> None:
    ports = Ports()
    address, pair = ports.reserve(), identities.pki.server("witness")
    config = configured(tmp_path, address, f'certificate = "{pair.certificate}"\nprivate_key = "{pair.private_key}"\n')
    subprocess.run(command("init", config), capture_output=True, check=True)
    trusted = ssl.create_default_context(cafile=str(identities.pki.authority))
    with serving(config):
        assert asyncio.run(post(f"https://{address}", request(0, 3), trusted))[0] == 200
    ports.release()


def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    config = configured(tmp_path, "nowhere", 'extra = 1\ncertificate = "c.pem"\n')
    done = subprocess.run(command("serve", config), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    for name in ("extra: unknown", "listen: not host:port", "certificate, private_key"):
        assert name in done.stderr
    config = configured(tmp_path, "127.0.0.1:1")
    subprocess.run(command("init", config), capture_output=True, check=True)
    (tmp_path / "w.sqlite3").unlink()
    done = subprocess.run(command("serve", config), capture_output=True, text=True, check=False)
    assert (done.returncode, "no database of a witness" in done.stderr) == (2, True)


def test_a_database_that_is_held_makes_no_cosignature(tmp_path: Path) -> None:
    ports = Ports()
    address = ports.reserve()
    config = configured(tmp_path, address)
    subprocess.run(command("init", config), capture_output=True, check=True)
    with serving(config):
        blocker = sqlite3.connect(tmp_path / "w.sqlite3", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert asyncio.run(post(f"http://{address}", request(0, 3)))[0] == 500
        blocker.execute("ROLLBACK")
        blocker.close()
        assert asyncio.run(post(f"http://{address}", request(0, 3)))[0] == 200
    ports.release()
