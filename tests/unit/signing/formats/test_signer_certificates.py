"""Certificates: what is trusted at which time, and the name of every refusal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.local.pki import DOCUMENT_SIGNING, Authority, Pki
from services.signing import certificates
from services.signing.certificates import PathCache, find_path, fingerprint, load
from services.signing.formats.facts import Finding

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)
Extensions = list[tuple[x509.ExtensionType, bool]]
CHAIN, TIME, PURPOSE, WEAK = (
    "NO_CERTIFICATE_CHAIN_FOUND",
    "OUT_OF_BOUNDS_NO_POE",
    "CHAIN_CONSTRAINTS_FAILURE",
    "CRYPTO_CONSTRAINTS_FAILURE",
)


def usage(**granted: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in names})


SIGNING: Extensions = [
    (usage(digital_signature=True, content_commitment=True), True),
    (x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False),
]


class World:
    """A root, an authority under it, and certificates of it."""

    def __init__(self, pki: Pki) -> None:
        self.root, self.authority = pki.signing_root, pki.signing_authority
        self.key = ec.generate_private_key(ec.SECP256R1())

    def leaf(
        self,
        extensions: Extensions | None = None,
        authority: Authority | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
    ) -> x509.Certificate:
        chosen = SIGNING if extensions is None else extensions
        return (authority or self.authority).issue("Facility 01001", self.key, chosen, starts=starts, ends=ends)

    def judge(self, leaf: x509.Certificate, at: datetime = NOW) -> tuple[str, str] | None:
        """The refusal of a signer, in the order of a verdict; None when it passes."""
        try:
            certificates.check_algorithms(leaf)
            certificates.check_purpose(leaf)
            find_path(leaf, [self.root.certificate], [self.authority.certificate], at)
        except Finding as finding:
            return str(finding.sub_indication), finding.reason
        return None


@pytest.fixture(scope="module")
def world(pki: Pki) -> World:
    return World(pki)


def refusal(leaf: x509.Certificate, roots: Sequence[Authority], others: Sequence[Authority], at: datetime = NOW) -> str:
    with pytest.raises(Finding) as caught:
        find_path(leaf, [one.certificate for one in roots], [one.certificate for one in others], at)
    return caught.value.reason


def test_a_registered_chain(world: World) -> None:
    leaf = world.leaf()
    path = find_path(leaf, [world.root.certificate], [world.authority.certificate], NOW)
    expected = (leaf, world.authority.certificate, world.root.certificate)
    assert path.fingerprints == tuple(map(fingerprint, expected))
    assert path.issuer == fingerprint(world.authority.certificate)
    assert path.starts_at <= NOW < path.ends_at == leaf.not_valid_after_utc


def test_a_signer_directly_under_a_root(world: World) -> None:
    leaf = world.leaf(authority=world.root)
    assert len(find_path(leaf, [world.root.certificate], [], NOW).fingerprints) == 2


def test_unregistered_and_look_alike_authorities(world: World, pki: Pki) -> None:
    assert world.judge(world.leaf(authority=Authority("Somebody"))) == (CHAIN, "CHAIN_NOT_FOUND")
    assert world.judge(world.leaf(authority=pki.look_alike())) == (CHAIN, "CHAIN_NOT_FOUND")
    assert refusal(world.leaf(), [world.root], []) == "CHAIN_NOT_FOUND"
    assert refusal(world.leaf(), [], [world.authority]) == "CHAIN_NOT_FOUND"


def test_a_look_alike_beside_the_real_one_does_not_hide_it(world: World, pki: Pki) -> None:
    fake = pki.look_alike()
    path = find_path(world.leaf(), [world.root.certificate], [fake.certificate, world.authority.certificate], NOW)
    assert path.issuer == fingerprint(world.authority.certificate)


@pytest.mark.parametrize(
    ("starts", "ends", "reason"),
    [
        (NOW - 2 * YEAR, NOW - YEAR, "CERTIFICATE_EXPIRED"),
        (NOW + timedelta(days=1), NOW + YEAR, "CERTIFICATE_NOT_YET_VALID"),
    ],
)
def test_validity_at_the_control_time(world: World, starts: datetime, ends: datetime, reason: str) -> None:
    assert world.judge(world.leaf(starts=starts, ends=ends)) == (TIME, reason)


def test_an_expired_certificate_of_an_unknown_authority_has_no_chain(world: World) -> None:
    leaf = world.leaf(authority=Authority("Somebody"), starts=NOW - 2 * YEAR, ends=NOW - YEAR)
    assert world.judge(leaf) == (CHAIN, "CHAIN_NOT_FOUND")


def test_an_expired_authority(world: World) -> None:
    late = NOW + 11 * YEAR
    leaf = world.leaf(ends=NOW + 12 * YEAR)
    assert refusal(leaf, [world.root], [world.authority], late) == "ISSUER_OUT_OF_BOUNDS"


def test_a_renewed_authority_is_found_behind_its_expired_namesake(world: World) -> None:
    """Same name and key, two certificates: the one that is valid counts, whatever the order."""
    expired = reissued(world, NOW - 2 * YEAR, NOW - YEAR)
    path = find_path(world.leaf(), [world.root.certificate], [expired, world.authority.certificate], NOW)
    assert path.issuer == fingerprint(world.authority.certificate)


def reissued(world: World, starts: datetime, ends: datetime) -> x509.Certificate:
    old = world.authority.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(world.root.key, hashes.SHA256())


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        ([], "KEY_USAGE_MISSING"),
        ([(usage(key_encipherment=True), True), SIGNING[1]], "KEY_USAGE_WRONG"),
        ([SIGNING[0], (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)], "PURPOSE_WRONG"),
        ([SIGNING[0], (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)], "PURPOSE_WRONG"),
        ([*SIGNING, (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)], "PATH_REFUSED"),
    ],
)
def test_purposes_that_are_refused(world: World, extensions: Extensions, reason: str) -> None:
    assert world.judge(world.leaf(extensions)) == (PURPOSE, reason)


@pytest.mark.parametrize(
    "extensions",
    [
        [(usage(digital_signature=True), True), SIGNING[1]],
        [(usage(content_commitment=True), False), SIGNING[1]],
        [SIGNING[0], (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)],
        [SIGNING[0], (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, DOCUMENT_SIGNING]), True)],
        [SIGNING[0]],
    ],
)
def test_purposes_that_pass(world: World, extensions: Extensions) -> None:
    assert world.judge(world.leaf(extensions)) is None


def test_an_authority_is_no_signer(world: World) -> None:
    assert world.judge(world.authority.certificate) == (PURPOSE, "AUTHORITY_AS_SIGNER")
    assert world.judge(world.root.certificate) == (PURPOSE, "AUTHORITY_AS_SIGNER")


def test_a_signer_is_no_authority(world: World, pki: Pki) -> None:
    """A registered signer's certificate among the intermediates still cannot issue."""
    middle = Authority("Facility 79001")
    middle.certificate = world.authority.issue("Facility 79001", middle.key, SIGNING)
    assert refusal(world.leaf(authority=middle), [world.root], [world.authority, middle]) == "ISSUER_NOT_AUTHORITY"


def test_path_length(world: World) -> None:
    below = Authority("Below", world.authority)
    assert refusal(world.leaf(authority=below), [world.root], [world.authority, below]) == "PATH_REFUSED"


def test_paths_end_even_in_circles(world: World) -> None:
    chain = [world.root]
    for number in range(8):
        chain.append(Authority(f"Level {number}", chain[-1]))
    assert refusal(world.leaf(authority=chain[-1]), [world.root], chain[1:]) == "CHAIN_NOT_FOUND"
    alone = Authority("Alone")
    assert refusal(world.leaf(authority=alone), [world.root], [alone]) == "CHAIN_NOT_FOUND"


@pytest.mark.parametrize(
    ("algorithm", "reason"), [("rsa1024", "KEY_TOO_SMALL"), ("rsa2048", None), ("p256", None), ("p384", None)]
)
def test_keys(world: World, pki: Pki, algorithm: str, reason: str | None) -> None:
    leaf = load(pki.signer("01001", algorithm=algorithm).certificate_der)
    assert world.judge(leaf) == ((WEAK, reason) if reason else None)


def test_other_curves_are_refused(world: World) -> None:
    for curve in (ec.SECP224R1(), ec.SECP256K1(), ec.BrainpoolP256R1()):
        leaf = world.authority.issue("x", ec.generate_private_key(curve), SIGNING)
        assert world.judge(leaf) == (WEAK, "KEY_UNSUPPORTED")


def test_facts(world: World) -> None:
    leaf = world.leaf()
    key_id = world.authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert certificates.issuer_key_id(leaf) == key_id.hex()
    assert int(certificates.serial(leaf), 16) == leaf.serial_number
    assert len(fingerprint(leaf)) == 64
    assert certificates.is_authority(world.root.certificate)
    assert not certificates.is_authority(leaf)


def test_no_name_is_in_a_refusal(world: World, pki: Pki) -> None:
    secret = "CMND 001099012345"
    for authority in (world.authority, pki.look_alike()):
        critical: Extensions = [
            *SIGNING,
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True),
        ]
        leaf = authority.issue(secret, world.key, critical)
        with pytest.raises(Finding) as caught:
            find_path(leaf, [world.root.certificate], [world.authority.certificate], NOW)
        assert "001099012345" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_cache_is_bounded_and_moves_with_version_and_validity(world: World) -> None:
    cache = PathCache(capacity=2)
    roots, others = [world.root.certificate], [world.authority.certificate]
    leaf = world.leaf(ends=NOW + timedelta(seconds=1))
    assert cache.find(leaf, roots, others, NOW, 1) is cache.find(leaf, roots, others, NOW, 1)
    # A path that was found is not used past the end of its certificates, though the hour is the same.
    with pytest.raises(Finding, match="CERTIFICATE_EXPIRED"):
        cache.find(leaf, roots, others, NOW + timedelta(seconds=2), 1)
    # A new version of the trust list forgets what the old one said.
    with pytest.raises(Finding, match="CHAIN_NOT_FOUND"):
        cache.find(leaf, [], others, NOW, 2)
    for number in range(4):
        cache.find(world.leaf(), roots, others, NOW, number)
    assert len(cache) == 2


@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
@given(st.binary(max_size=200), st.integers(0, 400))
@example(b"\x80", 15)
def test_any_bytes_are_no_certificate_or_one(content: bytes, cut: int) -> None:
    base = LEAF_DER
    for der in (content, base[:cut] + content + base[cut + len(content) :], base + content[:1] + b"\x00"):
        try:
            certificate = load(der)
            certificates.check_algorithms(certificate)
            certificates.check_purpose(certificate)
        except Finding:
            continue
        assert certificate.public_bytes(Encoding.DER) == der


LEAF_DER = Authority("x").issue("x", rsa.generate_private_key(65537, 2048), SIGNING).public_bytes(Encoding.DER)
