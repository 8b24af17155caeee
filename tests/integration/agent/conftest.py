"""A SoftHSM token with keys and certificates in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pkcs11
import pytest
from pkcs11.util.x509 import decode_x509_certificate

from deploy.local.pki import Pki, SigningPair
from tests.fixtures.debian import softhsm2_util, softhsm_module

PIN = "271828"
LABEL = "facility"


@dataclass(frozen=True)
class SoftToken:
    """A token; `pairs` are the keys in it by label, whose ids are 01, 02 and so on in their order."""

    module: Path
    pairs: dict[str, SigningPair]

    def open(self) -> pkcs11.Session:
        """A session for changes."""
        return pkcs11.lib(str(self.module)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("agent-pki"))


@pytest.fixture(scope="module")
def soft_token(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[SoftToken]:
    """The module reads its configuration when it is initialised, so it is finalised before and after."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n", "utf-8")
    module, before = softhsm_module(), os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    util = [softhsm2_util(), "--module", str(module)]

    def softhsm(*arguments: str) -> None:
        subprocess.run([*util, *arguments, "--pin", PIN], check=True, capture_output=True, timeout=30)

    softhsm("--init-token", "--free", "--label", LABEL, "--so-pin", PIN)
    pairs = {kind: pki.signer("01001", algorithm=kind) for kind in ("rsa", "p256", "rsa1024")}
    pairs["bare"] = pki.signer("01001", algorithm="p256")
    for number, (label, pair) in enumerate(pairs.items(), 1):
        found = ("--token", LABEL, "--label", label, "--id", f"{number:02x}")
        softhsm("--import", str(pair.private_key), *found)
    pkcs11.lib(str(module)).reinitialize()
    token = SoftToken(module, pairs)
    with token.open() as session:
        for number, (label, pair) in enumerate(pairs.items(), 1):
            if label != "bare":
                fields = decode_x509_certificate(pair.certificate_der)
                extra = {pkcs11.Attribute.TOKEN: True, pkcs11.Attribute.ID: bytes([number])}
                session.create_object({**fields, **extra, pkcs11.Attribute.LABEL: label})
    yield token
    pkcs11.lib(str(module)).finalize()
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before
