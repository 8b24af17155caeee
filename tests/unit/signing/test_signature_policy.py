"""The policy file: what it says of algorithms at a time, and every fault of a wrong one named at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.signing import convert
from services.signing.formats.facts import Finding
from services.signing.model import SignerRole
from services.signing.policy import SHIPPED, PolicyError, SignaturePolicy, load_policy

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LATE = datetime(2031, 1, 1, tzinfo=UTC)
GOOD = """
version = "x"
grace_period_hours = 24
ocsp_validity_hours = 24
claimed_ahead_minutes = 5
authority_revocation = "REQUIRED"
[[algorithms]]
names = ["ecdsa-p256-sha256"]
start = 2020-01-01T00:00:00Z
[[requirements]]
kinds = ["REFERRAL"]
role = "PRACTITIONER"
refuses = true
start = 2026-01-01T00:00:00+07:00
"""


@pytest.fixture(scope="module")
def shipped() -> SignaturePolicy:
    return load_policy(SHIPPED, convert.DOCUMENT_KINDS)


def refusal(policy: SignaturePolicy, name: str, bits: int, at: datetime, produced: datetime) -> tuple[str, str] | None:
    try:
        policy.check_algorithm(name, bits, at, produced)
    except Finding as finding:
        return str(finding.sub_indication), finding.reason
    return None


def test_shipped_names_itself_with_its_hash(shipped: SignaturePolicy) -> None:
    name, _, digest = shipped.version.partition("+")
    assert (name, len(digest)) == ("2026-11", 8)


@pytest.mark.parametrize("family", ["rsa-pkcs1v15", "rsa-pss"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"])
def test_rsa(shipped: SignaturePolicy, family: str, digest: str) -> None:
    name = f"{family}-{digest}"
    weak, gone = ("CRYPTO_CONSTRAINTS_FAILURE", "KEY_TOO_SMALL"), "ALGORITHM_EXPIRED"
    assert refusal(shipped, name, 2048, NOW, NOW) is None
    assert refusal(shipped, name, 2047, NOW, NOW) == weak
    # 2048 bits end with 2030; a signature that may be older than that lacks a proof, a certificate of 2031 proves the contrary.
    assert refusal(shipped, name, 2048, LATE - timedelta(microseconds=1), NOW) is None
    assert refusal(shipped, name, 2048, LATE, NOW) == ("CRYPTO_CONSTRAINTS_FAILURE_NO_POE", gone)
    assert refusal(shipped, name, 2048, LATE, LATE) == ("CRYPTO_CONSTRAINTS_FAILURE", gone)
    assert refusal(shipped, name, 3072, LATE, LATE) is None


def test_others(shipped: SignaturePolicy) -> None:
    for curve in ("p256", "p384", "p521"):
        assert refusal(shipped, f"ecdsa-{curve}-sha256", 0, NOW, NOW) is None
    assert refusal(shipped, "ed25519", 0, NOW, NOW) is None
    for name in ("rsa-pkcs1v15-sha1", "rsa-pkcs1v15-md5", "ecdsa-p256-sha1", "sha1", "md5", "dsa-sha256", ""):
        assert refusal(shipped, name, 4096, NOW, NOW) == ("CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_UNKNOWN")


def test_requirements_in_force(shipped: SignaturePolicy) -> None:
    def roles(kind: str, at: datetime) -> list[tuple[SignerRole, bool]]:
        return [(one.role, one.refuses) for one in shipped.required([kind], at)]

    facility, doctor = (SignerRole.FACILITY, True), (SignerRole.PRACTITIONER, False)
    assert roles("ENCOUNTER_SUMMARY", NOW) == [facility]
    assert roles("REFERRAL", NOW) == roles("FOLLOW_UP", NOW) == [facility, doctor]
    assert roles("REFERRAL", datetime(2026, 5, 31, 23, 59, tzinfo=UTC)) == [facility]


def faults(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "policy.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        load_policy(path, convert.DOCUMENT_KINDS)
    except PolicyError as error:
        return list(error.faults)
    return []


def test_a_good_file(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD) == []
    policy = load_policy(tmp_path / "policy.toml", convert.DOCUMENT_KINDS)
    assert policy.authority_revocation_required
    assert policy.requirements[0].start == datetime(2025, 12, 31, 17, tzinfo=UTC)


def test_the_hash_is_part_of_the_version(tmp_path: Path) -> None:
    versions = set()
    for text in (GOOD, GOOD + "\n"):
        assert faults(tmp_path, text) == []
        versions.add(load_policy(tmp_path / "policy.toml", convert.DOCUMENT_KINDS).version)
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('version = "x"', 'version = ""', "version: a text of 1 to 40 characters"),
        ('version = "x"', "", "version: a text of 1 to 40 characters"),
        ("grace_period_hours = 24", "grace_period_hours = -1", "grace_period_hours: a whole number, 0 to 8760"),
        ("grace_period_hours = 24", "grace_period_hours = true", "grace_period_hours: a whole number, 0 to 8760"),
        ('"REQUIRED"', '"MAYBE"', "authority_revocation: WARNING or REQUIRED"),
        ("claimed_ahead_minutes = 5", "claimed_ahead_minutes = 5\nmore = 1", "more: unknown"),
        ('["ecdsa-p256-sha256"]', "[]", "algorithms[0].names: at least one text"),
        ('["ecdsa-p256-sha256"]', '["a"]\nbits = 1', "algorithms[0].bits: unknown"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "algorithms[0].start: a time with zone, such as"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z\nend = 2019-01-01T00:00:00Z", "algorithms[0].end: not after"),
        ('["REFERRAL"]', '["REFERAL"]', "requirements[0].kinds: REFERAL is no document kind"),
        ('"PRACTITIONER"', '"DOCTOR"', "requirements[0].role: FACILITY or PRACTITIONER"),
        ("refuses = true", 'refuses = "yes"', "requirements[0].refuses: true or false"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    (named,) = faults(tmp_path, GOOD.replace(old, new))
    assert named.startswith(fault)


def test_all_faults_at_once(tmp_path: Path) -> None:
    assert len(faults(tmp_path, "")) == 7
    assert faults(tmp_path, "not = toml = at all") == ["not a readable TOML file (TOMLDecodeError)"]
    assert faults(tmp_path, b"\xff\xfe") == ["not a readable TOML file (UnicodeDecodeError)"]
    with pytest.raises(PolicyError, match="FileNotFoundError"):
        load_policy(tmp_path / "absent.toml", convert.DOCUMENT_KINDS)
