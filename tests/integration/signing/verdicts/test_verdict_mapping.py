"""The whole table of situations and verdicts, on real signatures, real chains and real time-stamps of OpenSSL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from deploy.local.pki import Pki, SigningPair
from services.signing import certificates
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.model import (
    AuthorityKind,
    BuildingBlock,
    CarriedSignature,
    CheckState,
    RevocationSource,
    RevocationStatus,
    RevokedCertificate,
    SignatureFormat,
    SignedDocument,
    SignerRole,
    SignerState,
)
from services.signing.policy import AlgorithmRule
from services.signing.service.verification.blocks import SignatureJudge
from services.signing.service.verification.trust import Trust
from tests.integration.signing.trust_world import (
    DAY,
    FACILITY,
    HOUR,
    NOW,
    TrustWorld,
    certificate_of,
    facts_of,
    registered,
    said,
)

PASSED, OPEN, FAILED = "TOTAL_PASSED", "INDETERMINATE", "TOTAL_FAILED"


@dataclass(frozen=True)
class Row:
    """One line of the table: how the world is bent, and what is said."""

    name: str
    bend: Callable[[TrustWorld, SigningPair], None]
    expected: tuple[str, str, str, bool]
    received: datetime = NOW
    existed: datetime | None = None


def nothing(world: TrustWorld, pair: SigningPair) -> None:
    """As it should be."""


def revoked(at: timedelta, invalid: timedelta | None = None, reason: str = "superseded") -> Callable[..., None]:
    def bend(world: TrustWorld, pair: SigningPair) -> None:
        world.revoke(pair, NOW + at, None if invalid is None else NOW + invalid, reason)

    return bend


def without_list(world: TrustWorld, pair: SigningPair) -> None:
    world.lists.clear()


def stale_list(world: TrustWorld, pair: SigningPair) -> None:
    world.fresh_list(NOW - 8 * DAY)


def later_list(world: TrustWorld, pair: SigningPair) -> None:
    world.fresh_list(NOW + 395 * DAY)


def unregistered_without_list(world: TrustWorld, pair: SigningPair) -> None:
    world.lists.clear()
    world.signers.clear()


def ocsp_good(world: TrustWorld, pair: SigningPair) -> None:
    world.lists.clear()
    key = (world.issuer, certificates.serial(certificate_of(pair)))
    world.answers[key] = RevocationStatus(NOW - HOUR, NOW + HOUR)


def ocsp_revoked_after_a_good_list(world: TrustWorld, pair: SigningPair) -> None:
    key = (world.issuer, certificates.serial(certificate_of(pair)))
    world.answers[key] = RevocationStatus(NOW - HOUR, NOW + HOUR, NOW - DAY, reason="keyCompromise")


def issuer_revoked(at: timedelta) -> Callable[..., None]:
    def bend(world: TrustWorld, pair: SigningPair) -> None:
        world.fresh_list(NOW - HOUR, issuer=world.root)
        serial = certificates.serial(world.pki.signing_authority.certificate)
        world.revoked[world.root, serial] = RevokedCertificate(serial, NOW + at, "cACompromise", None)

    return bend


def issuer_open_and_required(world: TrustWorld, pair: SigningPair) -> None:
    world.policy = replace(world.policy, authority_revocation_required=True)


def unregistered(world: TrustWorld, pair: SigningPair) -> None:
    world.signers.clear()


def of_other_facility(world: TrustWorld, pair: SigningPair) -> None:
    world.register(pair, facility="79001")


def suspended(at: timedelta) -> Callable[..., None]:
    return lambda world, pair: world.register(pair, state=SignerState.SUSPENDED, since=NOW + at)


def compromised(at: timedelta) -> Callable[..., None]:
    return lambda world, pair: world.register(pair, state=SignerState.COMPROMISED, since=NOW + at)


def of_a_practitioner(world: TrustWorld, pair: SigningPair) -> None:
    world.register(pair, role=SignerRole.PRACTITIONER, licence="000123/HNO-CCHN")


def unknown_authority(world: TrustWorld, pair: SigningPair) -> None:
    del world.authorities[:2]


def look_alike_authority(world: TrustWorld, pair: SigningPair) -> None:
    fake = world.pki.look_alike()
    world.authorities[1] = registered(fake, AuthorityKind.INTERMEDIATE)


def sunset(at: timedelta) -> Callable[..., None]:
    def bend(world: TrustWorld, pair: SigningPair) -> None:
        world.authorities[1] = replace(world.authorities[1], sunset_at=NOW + at)

    return bend


def algorithm_until(end: timedelta | None, start: timedelta = -3650 * DAY) -> Callable[..., None]:
    def bend(world: TrustWorld, pair: SigningPair) -> None:
        rules = [one for one in world.policy.algorithms if one.name != "ecdsa-p256-sha256"]
        if end is not None:
            rules.append(AlgorithmRule("ecdsa-p256-sha256", 0, NOW + start, NOW + end))
        world.policy = replace(world.policy, algorithms=rules)

    return bend


NO_CHAIN = (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND", False)
LATER = "TRY_LATER"
TABLE = [
    Row("all checks pass", nothing, (PASSED, "", "", True)),
    Row("OCSP instead of a list", ocsp_good, (PASSED, "", "", True)),
    Row("revocation unknown", without_list, (OPEN, LATER, "REVOCATION_UNKNOWN", True)),
    Row("revocation stale", stale_list, (OPEN, LATER, "REVOCATION_STALE", True)),
    Row("revoked before receipt", revoked(-DAY), (OPEN, "REVOKED_NO_POE", "CERTIFICATE_REVOKED", False)),
    Row("revoked at receipt", revoked(timedelta()), (OPEN, "REVOKED_NO_POE", "CERTIFICATE_REVOKED", False)),
    Row("on hold", revoked(-DAY, reason="certificateHold"), (OPEN, "REVOKED_NO_POE", "CERTIFICATE_ON_HOLD", False)),
    Row("revoked by OCSP", ocsp_revoked_after_a_good_list, (OPEN, "REVOKED_NO_POE", "CERTIFICATE_REVOKED", False)),
    Row("revoked after receipt", revoked(HOUR), (PASSED, "", "", True)),
    Row("revoked, our receipt is older", revoked(-DAY), (PASSED, "", "", True), existed=NOW - 2 * DAY),
    Row(
        "revoked later, invalid since before receipt",
        revoked(HOUR, -DAY),
        (OPEN, "REVOKED_NO_POE", "CERTIFICATE_INVALID_SINCE", False),
    ),
    Row("revoked later, invalid since after receipt", revoked(2 * HOUR, HOUR), (PASSED, "", "", True)),
    Row("issuer revoked", issuer_revoked(-DAY), (OPEN, "REVOKED_CA_NO_POE", "ISSUER_REVOKED", False)),
    Row("issuer revoked later", issuer_revoked(HOUR), (PASSED, "", "", True)),
    Row("issuer open, required", issuer_open_and_required, (OPEN, LATER, "ISSUER_REVOCATION_UNKNOWN", True)),
    Row(
        "expired at receipt",
        nothing,
        (OPEN, "OUT_OF_BOUNDS_NO_POE", "CERTIFICATE_EXPIRED", False),
        received=NOW + 400 * DAY,
    ),
    Row("expired at receipt, our first receipt is older", later_list, (PASSED, "", "", True), NOW + 400 * DAY, NOW),
    Row(
        "not yet valid at receipt",
        nothing,
        (OPEN, "OUT_OF_BOUNDS_NO_POE", "CERTIFICATE_NOT_YET_VALID", False),
        received=NOW - 6 * DAY,
    ),
    Row("unknown authority", unknown_authority, NO_CHAIN),
    Row("look-alike authority", look_alike_authority, NO_CHAIN),
    Row("trust ended", sunset(-DAY), (OPEN, "NO_CERTIFICATE_CHAIN_FOUND_NO_POE", "AUTHORITY_SUNSET", False)),
    Row("trust ends later", sunset(DAY), (PASSED, "", "", True)),
    Row("trust ended, our receipt is older", sunset(-DAY), (PASSED, "", "", True), existed=NOW - 2 * DAY),
    Row("not registered", unregistered, (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_NOT_REGISTERED", False)),
    Row(
        "not registered, and revocation unknown",
        unregistered_without_list,
        (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_NOT_REGISTERED", False),
    ),
    Row("other facility", of_other_facility, (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_OF_OTHER_FACILITY", False)),
    Row("suspended", suspended(-HOUR), (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_SUSPENDED", False)),
    Row("suspended after receipt", suspended(HOUR), (PASSED, "", "", True)),
    Row("key compromised", compromised(-HOUR), (OPEN, "REVOKED_NO_POE", "KEY_COMPROMISED", False)),
    Row("key compromised after receipt", compromised(HOUR), (PASSED, "", "", True)),
    Row("key compromised, our receipt is older", compromised(-HOUR), (PASSED, "", "", True), existed=NOW - 2 * HOUR),
    Row("role missing", of_a_practitioner, (OPEN, "SIG_CONSTRAINTS_FAILURE", "ROLE_MISSING", False)),
    Row("algorithm unknown", algorithm_until(None), (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_UNKNOWN", False)),
    Row(
        "algorithm ended before the certificate began",
        algorithm_until(-6 * DAY),
        (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_EXPIRED", False),
    ),
    Row(
        "algorithm ended, no proof that the signature is older",
        algorithm_until(HOUR),
        (OPEN, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "ALGORITHM_EXPIRED", False),
        received=NOW + 2 * HOUR,
    ),
    Row("algorithm ends later", algorithm_until(HOUR), (PASSED, "", "", True)),
    Row(
        "algorithm not yet accepted",
        algorithm_until(2 * DAY, DAY),
        (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_NOT_YET", False),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_table(world: TrustWorld, pair: SigningPair, facts: SignatureFacts, row: Row) -> None:
    world.register(pair)
    row.bend(world, pair)
    verdict = world.judge([facts], received=row.received, existed=row.existed)
    assert said(verdict) == row.expected
    blocks = [check.block for check in verdict.signatures[0].checks]
    assert blocks == list(BuildingBlock)


def test_no_signature_and_broken_ones(world: TrustWorld, facts: SignatureFacts) -> None:
    document = SignedDocument(b"x", None, FACILITY, NOW)
    expected = {
        SubIndication.NO_SIGNATURE_FOUND: ("NO_SIGNATURE_FOUND", "", BuildingBlock.FORMAT_CHECKING),
        SubIndication.FORMAT_FAILURE: (FAILED, "FORMAT_FAILURE", BuildingBlock.FORMAT_CHECKING),
        SubIndication.HASH_FAILURE: (FAILED, "HASH_FAILURE", BuildingBlock.CRYPTOGRAPHIC_VERIFICATION),
        SubIndication.SIG_CRYPTO_FAILURE: (FAILED, "SIG_CRYPTO_FAILURE", BuildingBlock.CRYPTOGRAPHIC_VERIFICATION),
        SubIndication.SIGNED_DATA_NOT_FOUND: (OPEN, "SIGNED_DATA_NOT_FOUND", BuildingBlock.CRYPTOGRAPHIC_VERIFICATION),
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE: (
            OPEN,
            "CRYPTO_CONSTRAINTS_FAILURE",
            BuildingBlock.ACCEPTANCE_VALIDATION,
        ),
        SubIndication.NO_SIGNING_CERTIFICATE_FOUND: (
            OPEN,
            "NO_SIGNING_CERTIFICATE_FOUND",
            BuildingBlock.SIGNER_IDENTIFICATION,
        ),
    }
    trust = Trust.of(world.snapshot, None)
    for sub, (indication, said_sub, block) in expected.items():
        judged = SignatureJudge(world.policy).judge(document, None, Finding(sub, "REASON", ""), trust, NOW).verdict
        assert (judged.indication.value, judged.sub_indication) == (indication, said_sub)
        states = [check.state for check in judged.checks]
        place = list(BuildingBlock).index(block)
        assert states[place] is CheckState.NOT_OK
        assert set(states[place + 1 :]) <= {CheckState.SKIPPED}
        assert set(states[:place]) <= {CheckState.OK}


class TestRequirements:
    @pytest.fixture
    def doctor(self, pki: Pki) -> SigningPair:
        return pki.signer(FACILITY, label="doctor", algorithm="p256")

    @pytest.fixture
    def both(self, world: TrustWorld, pair: SigningPair, doctor: SigningPair) -> TrustWorld:
        world.register(pair)
        world.register(doctor, role=SignerRole.PRACTITIONER, licence="000123/HNO-CCHN")
        return world

    def test_shipped_policy_warns_of_a_missing_doctor(self, both: TrustWorld, facts: SignatureFacts) -> None:
        for kinds, lines in (
            ((), [(CheckState.OK, "")]),
            (("ENCOUNTER_SUMMARY",), [(CheckState.OK, "")]),
            (("REFERRAL",), [(CheckState.OK, ""), (CheckState.WARNING, "ROLE_MISSING_PRACTITIONER")]),
            (("FOLLOW_UP",), [(CheckState.OK, ""), (CheckState.WARNING, "ROLE_MISSING_PRACTITIONER")]),
        ):
            verdict = both.judge([facts], kinds=kinds)
            assert [(one.state, one.reason) for one in verdict.requirements] == lines
            assert said(verdict) == (PASSED, "", "", True)

    def test_a_ministry_can_make_it_refuse(self, both: TrustWorld, facts: SignatureFacts, doctor: SigningPair) -> None:
        rules = [replace(one, refuses=True) for one in both.policy.requirements]
        both.policy = replace(both.policy, requirements=rules)
        verdict = both.judge([facts], kinds=("REFERRAL",))
        assert said(verdict) == (OPEN, "SIG_CONSTRAINTS_FAILURE", "ROLE_MISSING", False)
        assert verdict.requirements[1].state is CheckState.NOT_OK
        signed = both.judge([facts, facts_of(doctor)], kinds=("REFERRAL",))
        assert said(signed) == (PASSED, "", "", True)
        assert [one.licence for one in signed.signatures] == ["", "000123/HNO-CCHN"]
        before = both.judge([facts], kinds=("REFERRAL",), received=datetime(2026, 5, 31, tzinfo=UTC))
        assert len(before.requirements) == 1

    def test_the_part_that_a_doctor_signs(self, both: TrustWorld, facts: SignatureFacts, doctor: SigningPair) -> None:
        for part, state in (("", CheckState.OK), ("XML13", CheckState.OK), ("XML14", CheckState.WARNING)):
            carried = CarriedSignature(SignatureFormat.CMS_DETACHED, b"x", part)
            verdict = both.judge([facts_of(doctor)], kinds=("REFERRAL",), carried=carried)
            assert verdict.requirements[1].state is state

    def test_the_worst_of_the_roles_asked_for_decides(
        self, both: TrustWorld, facts: SignatureFacts, doctor: SigningPair
    ) -> None:
        both.revoke(doctor, NOW - DAY)
        signed = facts_of(doctor)
        verdict = both.judge([facts, signed], kinds=("REFERRAL",))
        assert said(verdict) == (PASSED, "", "", True)
        assert verdict.signatures[1].sub_indication == "REVOKED_NO_POE"
        assert verdict.requirements[1].state is CheckState.WARNING
        rules = [replace(one, refuses=True) for one in both.policy.requirements]
        both.policy = replace(both.policy, requirements=rules)
        assert said(both.judge([facts, signed], kinds=("REFERRAL",)))[1] == "REVOKED_NO_POE"

    def test_a_part_signed_by_the_facility_is_not_the_whole(self, both: TrustWorld, facts: SignatureFacts) -> None:
        carried = CarriedSignature(SignatureFormat.CMS_DETACHED, b"x", "XML13")
        assert said(both.judge([facts], carried=carried))[2] == "ROLE_MISSING"


def test_the_newest_evidence_counts(world: TrustWorld, pair: SigningPair, facts: SignatureFacts) -> None:
    world.register(pair)
    world.fresh_list(NOW - 8 * DAY)
    key = (world.issuer, certificates.serial(certificate_of(pair)))
    world.answers[key] = RevocationStatus(NOW - HOUR, NOW + HOUR, source=RevocationSource.OCSP)
    verdict = world.judge([facts])
    assert said(verdict) == (PASSED, "", "", True)
    assert verdict.signatures[0].revocation is world.answers[key]


def test_digest_and_chain_are_the_policys_business_too(world: TrustWorld, pki: Pki) -> None:
    rsa = pki.signer(FACILITY, label="rsa-policy")
    world.register(rsa)
    found, before = facts_of(rsa), world.policy
    for name in ("sha256", "ecdsa-p256-sha256", "rsa-pkcs1v15-sha256"):
        rules = [one for one in before.algorithms if one.name != name]
        world.policy = replace(before, algorithms=rules)
        assert said(world.judge([found])) == (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_UNKNOWN", False)


def test_only_registered_signers_are_asked_for(world: TrustWorld, pair: SigningPair, facts: SignatureFacts) -> None:
    world.lists.clear()
    document = SignedDocument(b"x", None, FACILITY, NOW)

    def questions() -> set[str]:
        trust = Trust.of(world.snapshot, None)
        judged = SignatureJudge(world.policy).judge(document, None, facts, trust, NOW)
        return {certificates.fingerprint(one.certificate) for one in judged.questions}

    signer = certificates.fingerprint(certificate_of(pair))
    assert signer not in questions()
    world.register(pair, facility="79001")
    assert signer not in questions()
    world.register(pair)
    assert questions() == {signer, world.issuer}


def test_a_signature_of_nobody_known_decides(
    world: TrustWorld, pair: SigningPair, facts: SignatureFacts, pki: Pki
) -> None:
    world.register(pair)
    stranger = facts_of(pki.signer(FACILITY, label="stranger", algorithm="p256"))
    assert said(world.judge([facts, stranger]))[2] == "SIGNER_NOT_REGISTERED"


def test_the_manifest_of_a_batch_names_the_submitter(
    world: TrustWorld, pair: SigningPair, facts: SignatureFacts
) -> None:
    world.register(pair)
    for facility, reason in ((FACILITY, ""), ("79001", "BATCH_OF_OTHER_FACILITY"), ("", "BATCH_OF_OTHER_FACILITY")):
        verdict = world.judge([replace(facts, format=SignatureFormat.BATCH, facility=facility)])
        assert verdict.reason == reason


def test_claimed_time_is_never_trusted(world: TrustWorld, pair: SigningPair, facts: SignatureFacts) -> None:
    world.register(pair)
    old = replace(facts, claimed_signing_time=NOW - 300 * DAY)
    assert world.judge([old]).signatures[0].best_time == NOW
    ahead = world.judge([replace(facts, claimed_signing_time=NOW + timedelta(minutes=6))])
    assert (ahead.acceptable, ahead.signatures[0].checks[-1].reason) == (True, "SIGNING_TIME_AHEAD")


def test_weak_keys_in_the_chain_are_the_policys_business(world: TrustWorld, pki: Pki) -> None:
    rsa = pki.signer(FACILITY, label="rsa-chain")
    world.register(rsa)
    found = facts_of(rsa)
    assert world.judge([found]).acceptable
    strict = [
        replace(one, least_key_bits=3072) if one.name == "rsa-pkcs1v15-sha256" else one
        for one in world.policy.algorithms
    ]
    world.policy = replace(world.policy, algorithms=strict)
    assert said(world.judge([found])) == (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "KEY_TOO_SMALL", False)


def test_a_renewed_authority_shares_its_lists(world: TrustWorld, pair: SigningPair, facts: SignatureFacts) -> None:
    """The list is kept under one certificate of the authority, and the path goes through the other."""
    other = reissue(world.pki)
    world.register(pair)
    world.revoke(pair, NOW - DAY)
    world.authorities[1] = replace(
        world.authorities[1], certificate=certificates.encoded(other), fingerprint=certificates.fingerprint(other)
    )
    world.authorities.append(registered(world.pki.signing_authority, AuthorityKind.INTERMEDIATE))
    verdict = world.judge([facts])
    assert verdict.signatures[0].chain[1] == certificates.fingerprint(other)
    assert verdict.sub_indication == "REVOKED_NO_POE"


def reissue(pki: Pki) -> x509.Certificate:
    old = pki.signing_authority.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 9 * DAY)
        .not_valid_after(NOW + 900 * DAY)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(pki.signing_root.key, hashes.SHA256())
