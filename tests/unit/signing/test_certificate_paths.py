"""Paths: constraints of RFC 5280 §6, algorithms by name, the end of trust, and certificates of time-stamping authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.pki import DOCUMENT_SIGNING
from services.signing import certificates
from services.signing.certificates import PathCache, find_path, fingerprint
from services.signing.formats.facts import Finding

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extensions = list[tuple[x509.ExtensionType, bool]]


def usage(*names: str) -> x509.KeyUsage:
    known = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in names for name in known})


def name(common: str, organization: str = "Hospital") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


class Node:
    """A certificate with its key, made as a test wants it."""

    def __init__(
        self,
        subject: x509.Name,
        parent: Node | None = None,
        extensions: Extensions | None = None,
        key: Key | None = None,
        *,
        authority: bool = True,
        pss: bool = False,
        digest: hashes.HashAlgorithm | None = None,
    ) -> None:
        self.subject, self.key = subject, key or ec.generate_private_key(ec.SECP256R1())
        issuer = parent or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 9 * DAY)
            .not_valid_after(NOW + 99 * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        )
        own: Extensions = [(usage("key_cert_sign", "crl_sign") if authority else usage("digital_signature"), True)]
        if not authority:
            own.append((x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False))
        for extension, critical in own if extensions is None else [*own, *extensions]:
            builder = builder.add_extension(extension, critical=critical)
        hashed = None if isinstance(issuer.key, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
        padded = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH) if pss else None
        self.certificate = builder.sign(issuer.key, hashed, rsa_padding=padded)  # type: ignore[arg-type] # SHA-1 among them


ROOT = Node(name("Root"))


def reason(leaf: Node, *between: Node) -> str:
    try:
        find_path(leaf.certificate, [ROOT.certificate], [one.certificate for one in between], NOW)
    except Finding as finding:
        return finding.reason
    return ""


def leaf(parent: Node, extensions: Extensions | None = None, subject: x509.Name | None = None) -> Node:
    return Node(subject or name("Signer"), parent, extensions, authority=False)


def test_a_plain_path() -> None:
    middle = Node(name("Issuer"), ROOT)
    assert reason(leaf(middle), middle) == ""


@pytest.mark.parametrize(
    "constraints",
    [
        x509.NameConstraints([x509.DNSName("bv.vn")], None),
        x509.NameConstraints(None, [x509.DNSName("bv.vn")]),
    ],
)
def test_name_constraints_hold_for_what_they_name(constraints: x509.NameConstraints) -> None:
    middle = Node(name("Issuer"), ROOT, [(constraints, True)])
    inside, outside = (
        leaf(middle, [(x509.SubjectAlternativeName([x509.DNSName(host)]), False)])
        for host in ("a.bv.vn", "a.elsewhere.vn")
    )
    refused, passed = (inside, outside) if constraints.excluded_subtrees else (outside, inside)
    assert reason(passed, middle) == ""
    assert reason(refused, middle) == "PATH_REFUSED"


def test_constraints_that_cannot_be_checked_refuse() -> None:
    """Directory names and policies are not understood below, so an authority that restricts them critically is not followed."""
    directory = x509.NameConstraints([x509.DirectoryName(name("x"))], None)
    policies = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
    for extension in (directory, policies):
        middle = Node(name("Issuer"), ROOT, [(extension, True)])
        assert reason(leaf(middle), middle) == "PATH_REFUSED"


def test_an_authority_without_the_right_to_issue() -> None:
    middle = Node(name("Issuer"), ROOT)
    bare = Node(name("Bare"), middle, authority=False)
    assert reason(leaf(bare), middle, bare) == "ISSUER_NOT_AUTHORITY"


def test_weak_digests_in_the_path() -> None:
    """SHA-1 cannot be made with this library any more; SHA-224 is as unlisted."""
    parent = Node(name("Rsa"), ROOT, key=rsa.generate_private_key(65537, 2048))
    middle = Node(name("Weak"), parent, digest=hashes.SHA224())
    assert reason(leaf(middle), parent, middle) == "CERTIFICATE_DIGEST_WEAK"


def test_algorithms_by_name() -> None:
    keys: dict[str, Key] = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    for key, pss, expected, bits in (
        ("rsa", False, "rsa-pkcs1v15-sha256", 2048),
        ("rsa", True, "rsa-pss-sha256", 2048),
        ("p384", False, "ecdsa-p384-sha256", 0),
        ("ed", False, "ed25519", 0),
    ):
        middle = Node(name(key), ROOT, key=keys[key])
        signer = Node(name("Signer"), middle, authority=False, pss=pss)
        first, second = certificates.used_algorithms([signer.certificate, middle.certificate, ROOT.certificate])
        assert (first.name, first.key_bits, second.name) == (expected, bits, "ecdsa-p256-sha256")
        assert first.produced_after == signer.certificate.not_valid_before_utc


def test_the_end_of_trust() -> None:
    middle, other = Node(name("Issuer"), ROOT), Node(name("Other"), ROOT)
    signer, cache = leaf(middle), PathCache()
    roots, between = [ROOT.certificate], [middle.certificate, other.certificate]
    sunset = {fingerprint(middle.certificate): NOW + timedelta(seconds=5)}
    path = cache.find(signer.certificate, roots, between, NOW, 1, sunset)
    assert path.ends_at < NOW + timedelta(seconds=5)
    # Within the same hour, and from the same cache.
    with pytest.raises(Finding, match="NO_CERTIFICATE_CHAIN_FOUND_NO_POE/AUTHORITY_SUNSET"):
        cache.find(signer.certificate, roots, between, NOW + timedelta(seconds=5), 1, sunset)
    unaffected = {fingerprint(other.certificate): NOW - DAY}
    assert find_path(signer.certificate, roots, between, NOW, unaffected).ends_at > NOW + DAY


def test_a_path_around_an_authority_whose_trust_ended() -> None:
    """A cross-signed authority: the way over the root that is still trusted counts."""
    old, key = Node(name("Old root")), ec.generate_private_key(ec.SECP256R1())
    by_old, by_new = Node(name("Issuer"), old, key=key), Node(name("Issuer"), ROOT, key=key)
    signer = leaf(by_new)
    path = find_path(
        signer.certificate,
        [old.certificate, ROOT.certificate],
        [by_old.certificate, by_new.certificate],
        NOW,
        {fingerprint(old.certificate): NOW - DAY},
    )
    assert path.fingerprints[-1] == fingerprint(ROOT.certificate)


@pytest.mark.parametrize(
    ("extensions", "refused"),
    [
        ([(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)], ""),
        ([(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False)], "PURPOSE_WRONG"),
        ([(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, DOCUMENT_SIGNING]), True)], "PURPOSE_WRONG"),
        ([(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), True)], "PURPOSE_WRONG"),
        ([], "PURPOSE_WRONG"),
    ],
)
def test_time_stamping_is_critical_and_alone(extensions: Extensions, refused: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Time"))
        .issuer_name(ROOT.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(ROOT.key, hashes.SHA256())
    try:
        certificates.check_timestamping(made)
    except Finding as finding:
        assert finding.reason == refused
    else:
        assert not refused


def test_a_cached_signer_raises_a_finding_of_its_own_each_time() -> None:
    bad = Node(name("No purpose"), ROOT)
    der = certificates.encoded(bad.certificate)
    first, second = certificates.signer(der), certificates.signer(der)
    assert first is second
    assert first.finding is not None
    assert first.finding.again() is not first.finding
    assert (first.finding.again().reason, first.finding.__traceback__) == ("AUTHORITY_AS_SIGNER", None)


def test_a_certificate_of_version_2_is_none() -> None:
    """`cryptography` raises an exception of its own for it, which is no ValueError."""
    der = certificates.encoded(ROOT.certificate)
    version = bytes.fromhex("a003020102")
    assert der.count(version) == 1
    with pytest.raises(Finding, match="CERTIFICATE_UNREADABLE"):
        certificates.load(der.replace(version, bytes.fromhex("a003020101")))
