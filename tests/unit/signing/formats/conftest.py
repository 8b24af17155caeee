"""Signers with throw-away keys."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from lienthong.agent.signing import Pkcs12Signer

from deploy.local.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def signers(pki: Pki) -> Mapping[str, Pkcs12Signer]:
    pairs = {name: pki.signer("01001", algorithm=name) for name in ("rsa", "p256")}
    return {name: Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8")) for name, pair in pairs.items()}
