"""Bytes from outside: whatever they are, a token, a list or a trusted list is judged or refused, never anything else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.authorities import application
from deploy.local.pki import Pki
from services.signing.certificates import PathCache
from services.signing.errors import RevocationListRefused
from services.signing.service.trust import TrustService
from services.signing.service.verification.timestamps import judge_timestamp
from services.signing.service.verification.trust import Trust
from services.signing.trusted_list import TrustedListRefused, read_trusted_list
from tests.integration.signing.trust_world import DAY, NOW, TrustWorld, openssl_token, shipped

_KEPT: dict[str, tuple[TrustWorld, bytes, bytes]] = {}
MUTATIONS = settings(max_examples=100, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def _keep(pki: Pki) -> None:
    folder: Path = pki.public_authorities()
    application(folder)
    crl = pki.signing_authority.revocation_list(1, list(pki.signing_authority.issued))
    _KEPT["good"] = (TrustWorld(pki), openssl_token(folder), crl)


def mutated(data: st.DataObject, good: bytes) -> bytes:
    """The good bytes with a run of them replaced, anywhere."""
    place = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 4))
    return good[:place] + data.draw(st.binary(max_size=6)) + good[place + cut :]


@MUTATIONS
@given(st.data())
def test_time_stamps(data: st.DataObject) -> None:
    world, token, _ = _KEPT["good"]
    trust, later = Trust.of(world.snapshot, None), NOW + DAY
    bad = mutated(data, token)
    judged = judge_timestamp(bad, b"the signature value", later, later, trust, world.policy, PathCache())
    reason = judged.verdict.reason
    assert reason == "" or reason.startswith("TIMESTAMP_")


@MUTATIONS
@given(st.data())
def test_revocation_lists(data: st.DataObject) -> None:
    world, _, good = _KEPT["good"]
    parse = TrustService._parse_list
    _, entries = parse(good, world.snapshot)
    assert entries
    bad = mutated(data, good)
    try:
        _, found = parse(bad, world.snapshot)
    except RevocationListRefused:
        return
    assert bad == good or found == entries


@MUTATIONS
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_trusted_lists(content: bytes) -> None:
    with pytest.raises(TrustedListRefused):
        read_trusted_list(content, [], shipped(), NOW)


def test_a_token_is_never_believed_for_other_bytes() -> None:
    world, token, _ = _KEPT["good"]
    trust, policy = Trust.of(world.snapshot, None), shipped()
    later = NOW + timedelta(days=1)

    def judge(covered: bytes) -> str:
        return judge_timestamp(token, covered, later, later, trust, policy, PathCache()).verdict.reason

    assert judge(b"the signature value") == ""
    assert judge(b"") == judge(b"the signature value ") == "TIMESTAMP_IMPRINT_OR_SIGNATURE"
