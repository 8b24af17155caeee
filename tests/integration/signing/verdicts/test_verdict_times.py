"""What time-stamps prove, and the grace period with its countdown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, tsp  # type: ignore[import-untyped] # the oracle ships no types
from cryptography import x509

from deploy.local.pki import Pki, SigningPair
from services.signing import certificates
from services.signing.formats.facts import SignatureFacts
from services.signing.model import (
    AuthorityKind,
    CheckState,
    RevokedCertificate,
    SignatureLevel,
    SignerRole,
    TimeSource,
)
from tests.integration.signing.trust_world import (
    DAY,
    FACILITY,
    HOUR,
    NOW,
    TrustWorld,
    facts_of,
    registered,
    said,
    stamped,
)

# Registers the type of what a token holds.
assert tsp
PASSED, OPEN, FAILED = "TOTAL_PASSED", "INDETERMINATE", "TOTAL_FAILED"
LATER = "TRY_LATER"


class TestTimestamps:
    def test_a_timestamp_outlives_revocation_and_expiry(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        world.register(pair)
        world.revoke(pair, NOW + 2 * DAY)
        for received in (NOW + 3 * DAY, NOW + 400 * DAY):
            world.fresh_list(received - HOUR)
            assert world.judge([facts], received=received).sub_indication in ("REVOKED_NO_POE", "OUT_OF_BOUNDS_NO_POE")
            verdict = world.judge([stamped(facts, token)], received=received)
            signature = verdict.signatures[0]
            assert said(verdict) == (PASSED, "", "", True)
            assert (signature.level, signature.best_time_source) == (SignatureLevel.T, TimeSource.TIMESTAMP)
            assert signature.best_time is not None
            assert abs(signature.best_time - datetime.now(UTC)) < timedelta(minutes=5)
            assert signature.timestamps[0].reason == ""
            assert signature.timestamps[0].token_sha256 in signature.evidence

    def test_revoked_before_the_timestamp(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        world.register(pair)
        world.revoke(pair, NOW - DAY)
        assert said(world.judge([stamped(facts, token)], received=NOW + DAY))[1] == "REVOKED_NO_POE"

    def test_a_timestamp_older_than_the_certificate(self, world: TrustWorld, pki: Pki, token: bytes) -> None:
        young = pki.signer(FACILITY, label="young", algorithm="p256", starts=NOW + 2 * DAY, ends=NOW + 9 * DAY)
        world.register(young)
        verdict = world.judge([stamped(facts_of(young), token)], received=NOW + 3 * DAY)
        assert said(verdict) == (FAILED, "NOT_YET_VALID", "CERTIFICATE_NOT_YET_VALID", False)

    def test_its_accuracy_is_added(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        """The signature existed at the latest when the clock may have shown that time (RFC 3161 §2.4.2)."""
        world.register(pair)
        stated = cms.ContentInfo.load(token)["content"]["encap_content_info"]["content"].parsed["gen_time"].native
        assert world.judge([stamped(facts, token)], received=NOW + DAY).signatures[0].best_time == stated + timedelta(
            seconds=1
        )

    def test_a_signature_older_than_its_certificate_decides_whoever_made_it(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, pki: Pki, token: bytes
    ) -> None:
        world.register(pair)
        young = pki.signer(FACILITY, label="young-doctor", algorithm="p256", starts=NOW + 2 * DAY, ends=NOW + 9 * DAY)
        world.register(young, role=SignerRole.PRACTITIONER, licence="1")
        verdict = world.judge([facts, stamped(facts_of(young), token)], received=NOW + 3 * DAY)
        assert said(verdict)[:2] == (FAILED, "NOT_YET_VALID")

    @pytest.mark.parametrize(
        ("bend", "reason"),
        [
            (lambda w, t: [t[:-1] + bytes([t[-1] ^ 1])], "TIMESTAMP_IMPRINT_OR_SIGNATURE"),
            (lambda w, t: [t + b"\x00"], "TIMESTAMP_UNREADABLE"),
            (lambda w, t: [t[:40]], "TIMESTAMP_UNREADABLE"),
            (lambda w, t: [b""], "TIMESTAMP_UNREADABLE"),
            (lambda w, t: [t * 40], "TIMESTAMP_TOO_LARGE"),
            (lambda w, t: w.authorities.pop() and [t], "TIMESTAMP_CHAIN_NOT_FOUND"),
        ],
    )
    def test_one_that_does_not_hold_proves_nothing(
        self,
        world: TrustWorld,
        pair: SigningPair,
        facts: SignatureFacts,
        token: bytes,
        bend: Callable[[TrustWorld, bytes], list[bytes]],
        reason: str,
    ) -> None:
        world.register(pair)
        bad = bend(world, token)
        verdict = world.judge([stamped(facts, *bad)])
        signature = verdict.signatures[0]
        assert said(verdict) == (PASSED, "", "", True)
        assert (signature.level, signature.best_time_source) == (SignatureLevel.B, TimeSource.RECEIVED)
        assert signature.timestamps[0].reason == reason
        assert signature.checks[-1].state is CheckState.WARNING
        late = world.judge([stamped(facts, *bad)], received=NOW + 400 * DAY)
        assert said(late)[1] == "OUT_OF_BOUNDS_NO_POE"

    def test_one_over_other_bytes(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        world.register(pair)
        verdict = world.judge([stamped(facts, token, covered=b"another signature value")])
        assert verdict.signatures[0].timestamps[0].reason == "TIMESTAMP_IMPRINT_OR_SIGNATURE"

    def test_one_from_the_future(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        world.register(pair)
        verdict = world.judge([stamped(facts, token)], received=NOW - HOUR)
        assert verdict.signatures[0].timestamps[0].reason == "TIMESTAMP_IN_FUTURE"

    def test_revoked_and_compromised_time_authorities(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes, folder: Path
    ) -> None:
        world.register(pair)
        authority = x509.load_pem_x509_certificate((folder / "tsa.crt").read_bytes())
        issuer, serial = certificates.fingerprint(world.pki.time_root.certificate), certificates.serial(authority)
        world.fresh_list(NOW, issuer=issuer)
        for at, why, reason in (
            (NOW - DAY, "superseded", "TIMESTAMP_AUTHORITY_REVOKED"),
            (NOW + DAY, "superseded", ""),
            (NOW + DAY, "keyCompromise", "TIMESTAMP_AUTHORITY_COMPROMISED"),
        ):
            world.revoked[issuer, serial] = RevokedCertificate(serial, at, why, None)
            verdict = world.judge([stamped(facts, token)], received=NOW + 2 * DAY)
            assert verdict.signatures[0].timestamps[0].reason == reason

    def test_a_signing_authority_makes_no_time(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts, token: bytes
    ) -> None:
        """An authority that is trusted for signing only is none for time."""
        world.register(pair)
        world.authorities[2] = registered(world.pki.time_root, AuthorityKind.ROOT)
        verdict = world.judge([stamped(facts, token)])
        assert verdict.signatures[0].timestamps[0].reason == "TIMESTAMP_CHAIN_NOT_FOUND"


class TestGracePeriod:
    def test_the_countdown(self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts) -> None:
        world.register(pair)
        end = NOW + world.policy.grace_period
        world.fresh_list(NOW - HOUR)
        assert world.judge([facts]).grace_period_end == end
        # A list from after the signature, but still within the period, may miss a revocation that is under way.
        world.fresh_list(NOW + HOUR)
        assert world.judge([facts], now=NOW + 2 * HOUR).grace_period_end == end
        assert world.judge([facts], now=end).grace_period_end is None
        world.fresh_list(end)
        assert world.judge([facts], now=end + HOUR).grace_period_end is None

    def test_it_waits_for_a_list_from_after_the_signature(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts
    ) -> None:
        world.register(pair)
        world.fresh_list(NOW - HOUR, days=7)
        due = NOW - HOUR + 7 * DAY
        assert world.judge([facts], now=NOW + 2 * DAY).grace_period_end == due
        assert said(world.judge([facts], now=due + HOUR)) == (OPEN, LATER, "REVOCATION_STALE", True)

    def test_a_revocation_that_arrives_within_it_turns_the_verdict(
        self, world: TrustWorld, pair: SigningPair, facts: SignatureFacts
    ) -> None:
        world.register(pair)
        assert world.judge([facts]).acceptable
        world.fresh_list(NOW + 20 * HOUR)
        world.revoke(pair, NOW - HOUR)
        verdict = world.judge([facts], now=NOW + 25 * HOUR)
        assert (verdict.sub_indication, verdict.grace_period_end) == ("REVOKED_NO_POE", None)
