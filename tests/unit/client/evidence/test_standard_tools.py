"""What others make of an evidence package: unzip, OpenSSL and pyHanko, none of which shares code with us."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms  # type: ignore[import-untyped] # has no stubs
from asn1crypto import x509 as asn1_x509
from lienthong.client.evidence.container import MANIFEST, SEAL, unpack
from lienthong.client.evidence.record import Record, plan
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko_certvalidator import ValidationContext

from deploy.local.pki import Pki
from tests.fakes.evidence_packages import World
from tests.fixtures.debian import openssl


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(Pki(tmp_path_factory.mktemp("pki")))


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package on disk, unpacked by `unzip` where it is installed."""
    folder = tmp_path_factory.mktemp("package")
    package = folder / "evidence.asice"
    package.write_bytes(world.package(by_ocsp=True))
    tool = shutil.which("unzip")
    if tool is not None:
        assert b"No errors detected" in run(tool, "-t", str(package))
    shutil.unpack_archive(package, folder / "unpacked", "zip")
    (folder / "unpacked" / "root.pem").write_bytes(world.pki.signing_root.pem)
    (folder / "unpacked" / "time.pem").write_bytes(world.pki.time_root.pem)
    (folder / "unpacked" / "issuer.pem").write_bytes(world.pki.signing_authority.pem)
    # The facility's signature does not carry its issuer; the package does, and OpenSSL wants it as a file.
    (folder / "unpacked" / "authorities.pem").write_bytes(world.pki.signing_root.pem + world.pki.signing_authority.pem)
    return folder / "unpacked"


def run(*command: str, cwd: Path | None = None) -> bytes:
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_openssl_verifies_the_time_stamp_over_the_checkpoint(folder: Path) -> None:
    said = run(
        *(openssl(), "ts", "-verify", "-data", "log/checkpoint.txt", "-in", "log/checkpoint.tst", "-token_in"),
        *("-CAfile", "time.pem"),
        cwd=folder,
    )
    assert b"Verification: OK" in said


def test_openssl_verifies_the_signature_over_the_document(folder: Path) -> None:
    run(
        *(openssl(), "cms", "-verify", "-binary", "-inform", "DER", "-in", "signatures/1.p7s"),
        *("-content", "document.xml", "-CAfile", "authorities.pem", "-purpose", "any"),
        *("-out", "/dev/null"),
        cwd=folder,
    )


def test_openssl_verifies_the_ocsp_answer(folder: Path) -> None:
    (answer,) = (folder / "evidence").glob("*.ors")
    said = run(
        *(openssl(), "ocsp", "-respin", str(answer), "-CAfile", "root.pem", "-verify_other", "issuer.pem"),
        *("-noverify", "-resp_text"),
        cwd=folder,
    )
    assert b"Cert Status: good" in said


def test_openssl_verifies_the_time_stamp_of_an_evidence_record(folder: Path, world: World) -> None:
    top, trees = plan([[b"a" * 32, b"b" * 32], [b"c" * 32, b"d" * 32]], "sha256")
    record = Record("sha256", trees[0], world.timestamp(top))
    (folder / "preimage").write_bytes(record.preimage)
    (folder / "token").write_bytes(Record.parse(record.encode()).token)
    command = ("ts", "-verify", "-data", "preimage", "-in", "token", "-token_in", "-CAfile", "time.pem")
    assert b"Verification: OK" in run(openssl(), *command, cwd=folder)


def test_pyhanko_verifies_the_seal_as_cades(folder: Path, world: World) -> None:
    # It writes subjects of certificates to the log.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    info = asn1_cms.ContentInfo.load((folder / SEAL).read_bytes(), strict=True)
    context = ValidationContext(
        trust_roots=[asn1_x509.Certificate.load(world.pki.signing_root.der)],
        other_certs=[asn1_x509.Certificate.load(world.pki.signing_authority.der)],
        allow_fetching=False,
    )

    def status(content: bytes) -> tuple[bool, bool]:
        async def work() -> tuple[bool, bool]:
            found = await async_validate_detached_cms(content, info["content"], signer_validation_context=context)
            return found.intact, found.trusted

        return asyncio.run(work())

    listing = (folder / MANIFEST).read_bytes()
    assert status(listing) == (True, True)
    assert status(listing + b" ") != (True, True)
    assert unpack((folder.parent / "evidence.asice").read_bytes())[MANIFEST] == listing
