"""A world of trust in memory, one signer in it, and a time-stamp of OpenSSL."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.authorities import application
from deploy.local.pki import Pki, SigningPair
from services.signing.formats.facts import SignatureFacts
from tests.integration.signing.trust_world import (
    DAY,
    FACILITY,
    NOW,
    TrustWorld,
    facts_of,
    openssl_token,
)


@pytest.fixture(scope="module")
def folder(pki: Pki) -> Path:
    made = pki.public_authorities()
    application(made)
    return made


@pytest.fixture
def world(pki: Pki) -> TrustWorld:
    return TrustWorld(pki)


@pytest.fixture(scope="module")
def pair(pki: Pki) -> SigningPair:
    starts, ends = NOW - 5 * DAY, NOW + 360 * DAY
    return pki.signer(FACILITY, label="mapping", algorithm="p256", starts=starts, ends=ends)


@pytest.fixture(scope="module")
def facts(pair: SigningPair) -> SignatureFacts:
    return facts_of(pair)


@pytest.fixture(scope="module")
def token(folder: Path) -> bytes:
    return openssl_token(folder)
