"""The CMS profile: what OpenSSL signs at level CAdES-B verifies, and every mutation is refused by its own reason."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import algos, cms, core, tsp  # type: ignore[import-untyped] # the oracle ships no types
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from deploy.local.pki import Pki
from services.signing.formats.cms import LARGEST_SIGNATURE, verify_cms
from services.signing.formats.facts import Finding, SignatureScope
from services.signing.model import SignatureLevel
from tests.fixtures.debian import openssl
from tests.unit.signing.formats.conftest import Identity

DATA = Path(__file__).parent / "data"
CONTENT = (DATA / "content.bin").read_bytes()
SIGNATURE = (DATA / "openssl-rsa.p7s").read_bytes()
F, H, S, C, N = (
    "FORMAT_FAILURE",
    "HASH_FAILURE",
    "SIG_CRYPTO_FAILURE",
    "CRYPTO_CONSTRAINTS_FAILURE",
    "NO_SIGNING_CERTIFICATE_FOUND",
)
Mutation = Callable[[cms.SignedData], None]
assert tsp.SigningCertificateV2  # importing asn1crypto.tsp teaches asn1crypto.cms the ESS attributes


def refused(signature: bytes, content: bytes = CONTENT) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_cms(content, signature)
    return str(caught.value.sub_indication), caught.value.reason


@pytest.mark.parametrize(
    ("name", "algorithm", "digest"),
    [
        ("rsa", "rsa-pkcs1v15-sha256", "sha256"),
        ("rsa-chain", "rsa-pkcs1v15-sha256", "sha256"),
        ("pss", "rsa-pss-sha256", "sha256"),
        ("pss-sha512", "rsa-pss-sha512", "sha512"),
        ("ecdsa", "ecdsa-p256-sha256", "sha256"),
        ("ecdsa-keyid-sha384", "ecdsa-p256-sha384", "sha384"),
    ],
)
def test_what_openssl_signed(name: str, algorithm: str, digest: str) -> None:
    signature = (DATA / f"openssl-{name}.p7s").read_bytes()
    facts = verify_cms(CONTENT, signature)
    assert (facts.algorithm, facts.digest_algorithm, facts.scope) == (algorithm, digest, SignatureScope.FULL)
    assert facts.covered == CONTENT
    assert facts.claimed_signing_time is not None
    assert facts.claimed_signing_time.year == 2026
    assert refused(signature, CONTENT + b" ") == (H, "DIGEST_MISMATCH")


@pytest.mark.parametrize(
    ("name", "sub_indication", "reason"),
    [
        ("without-ess", F, "SIGNING_CERTIFICATE_ATTRIBUTE_MISSING"),
        ("without-attributes", F, "SIGNED_ATTRIBUTES_MISSING"),
        ("attached", F, "CONTENT_NOT_DETACHED"),
        ("sha1", C, "DIGEST_ALGORITHM_WEAK"),
        ("two-signers", F, "SIGNATURE_NOT_UNIQUE"),
        ("pem", F, "CMS_MALFORMED"),
        ("ecdsa-nocerts", N, "SIGNING_CERTIFICATE_MISMATCH"),
    ],
)
def test_what_openssl_signed_otherwise(name: str, sub_indication: str, reason: str) -> None:
    assert refused((DATA / f"openssl-{name}.p7s").read_bytes()) == (sub_indication, reason)


def test_a_registered_certificate_need_not_travel() -> None:
    certificate = (DATA / "ecdsa-signer.der").read_bytes()
    signature = (DATA / "openssl-ecdsa-nocerts.p7s").read_bytes()
    facts = verify_cms(CONTENT, signature, {hashlib.sha256(certificate).hexdigest(): certificate})
    assert facts.signer_certificate_der == certificate


def test_what_the_builder_of_cryptography_signs_is_refused(pki: Pki) -> None:
    """It cannot add signing-certificate-v2."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = pki.signing_authority.issue("x", key, [])
    builder = pkcs7.PKCS7SignatureBuilder().set_data(CONTENT).add_signer(certificate, key, hashes.SHA256())
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    signature = builder.sign(serialization.Encoding.DER, options)
    assert refused(signature) == (F, "SIGNING_CERTIFICATE_ATTRIBUTE_MISSING")


def test_attributes_are_no_content() -> None:
    """A genuine signature is not replayed over the DER of its own attributes (trust page, trap 4)."""
    info = cms.ContentInfo.load(SIGNATURE, strict=True)
    attributes = info["content"]["signer_infos"][0]["signed_attrs"].untag().dump()
    info["content"]["signer_infos"][0]["signed_attrs"] = None
    assert refused(info.dump(force=True), attributes) == (F, "SIGNED_ATTRIBUTES_MISSING")


def altered(change: Mutation) -> bytes:
    info = cms.ContentInfo.load(SIGNATURE, strict=True)
    change(info["content"])
    return bytes(info.dump(force=True))


def attributes_without(name: str) -> Mutation:
    def change(signed: cms.SignedData) -> None:
        signer = signed["signer_infos"][0]
        kept = [attribute for attribute in signer["signed_attrs"] if attribute["type"].native != name]
        signer["signed_attrs"] = cms.CMSAttributes(kept)

    return change


def attribute_twice(signed: cms.SignedData) -> None:
    signer = signed["signer_infos"][0]
    found = list(signer["signed_attrs"])
    signer["signed_attrs"] = cms.CMSAttributes([*found, found[0]])


def attribute_of(name: str, *values: core.Asn1Value) -> Mutation:
    def change(signed: cms.SignedData) -> None:
        signer = signed["signer_infos"][0]
        kept = [attribute for attribute in signer["signed_attrs"] if attribute["type"].native != name]
        added = cms.CMSAttribute({"type": name, "values": list(values)})
        signer["signed_attrs"] = cms.CMSAttributes([*kept, added])

    return change


def ess(digest: bytes, algorithm: str = "sha256") -> tsp.SigningCertificateV2:
    identifier = {"hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}), "cert_hash": digest}
    return tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2(identifier)]})


def other_certificate(signed: cms.SignedData) -> None:
    other = cms.ContentInfo.load((DATA / "openssl-ecdsa.p7s").read_bytes())["content"]["certificates"]
    signed["certificates"] = other


def many_certificates(signed: cms.SignedData) -> None:
    signed["certificates"] = cms.CertificateSet([signed["certificates"][0]] * 9)


def other_serial(signed: cms.SignedData) -> None:
    signed["signer_infos"][0]["sid"].chosen["serial_number"] = 7


def flipped_signature(signed: cms.SignedData) -> None:
    value = bytearray(signed["signer_infos"][0]["signature"].native)
    value[5] ^= 1
    signed["signer_infos"][0]["signature"] = bytes(value)


def no_signers(signed: cms.SignedData) -> None:
    signed["signer_infos"] = cms.SignerInfos([])


def signature_algorithm(name: str) -> Mutation:
    def change(signed: cms.SignedData) -> None:
        signed["signer_infos"][0]["signature_algorithm"] = algos.SignedDigestAlgorithm({"algorithm": name})

    return change


def digest_algorithm(name: str) -> Mutation:
    def change(signed: cms.SignedData) -> None:
        signed["signer_infos"][0]["digest_algorithm"] = algos.DigestAlgorithm({"algorithm": name})

    return change


def version(signed: cms.SignedData) -> None:
    signed["signer_infos"][0]["version"] = 3


def content_type(signed: cms.SignedData) -> None:
    signed["encap_content_info"]["content_type"] = "signed_data"


MUTATIONS: dict[str, tuple[Mutation, str, str]] = {
    "changed signature value": (flipped_signature, S, "SIGNATURE_VALUE_WRONG"),
    "changed attributes": (
        attribute_of("signing_time", cms.Time({"utc_time": core.UTCTime(datetime(2020, 1, 1, tzinfo=UTC))})),
        S,
        "SIGNATURE_VALUE_WRONG",
    ),
    "changed message digest": (attribute_of("message_digest", core.OctetString(bytes(32))), H, "DIGEST_MISMATCH"),
    "digest of a forger": (
        attribute_of("message_digest", core.OctetString(hashlib.sha256(CONTENT + b"x").digest())),
        H,
        "DIGEST_MISMATCH",
    ),
    "without content-type": (attributes_without("content_type"), F, "CONTENT_TYPE_ATTRIBUTE_MISSING"),
    "without message-digest": (attributes_without("message_digest"), F, "MESSAGE_DIGEST_ATTRIBUTE_MISSING"),
    "without signing-certificate-v2": (
        attributes_without("signing_certificate_v2"),
        F,
        "SIGNING_CERTIFICATE_ATTRIBUTE_MISSING",
    ),
    "attribute twice": (attribute_twice, F, "SIGNED_ATTRIBUTE_NOT_UNIQUE"),
    "two values": (
        attribute_of("message_digest", core.OctetString(bytes(32)), core.OctetString(bytes(31))),
        F,
        "MESSAGE_DIGEST_ATTRIBUTE_WRONG",
    ),
    "other content type": (
        attribute_of("content_type", cms.ContentType("signed_data")),
        F,
        "CONTENT_TYPE_ATTRIBUTE_WRONG",
    ),
    "signing-certificate-v2 of nobody": (
        attribute_of("signing_certificate_v2", ess(bytes(32))),
        N,
        "SIGNING_CERTIFICATE_MISMATCH",
    ),
    "signing-certificate-v2 with SHA-1": (
        attribute_of("signing_certificate_v2", ess(bytes(20), "sha1")),
        C,
        "SIGNING_CERTIFICATE_DIGEST_WEAK",
    ),
    "empty signing-certificate-v2": (
        attribute_of("signing_certificate_v2", tsp.SigningCertificateV2({"certs": []})),
        F,
        "SIGNING_CERTIFICATE_ATTRIBUTE_WRONG",
    ),
    "other certificate": (other_certificate, N, "SIGNING_CERTIFICATE_MISMATCH"),
    "nine certificates": (many_certificates, F, "CERTIFICATES_TOO_MANY"),
    "other serial number": (other_serial, N, "IDENTIFIER_MISMATCH"),
    "no signers": (no_signers, "NO_SIGNATURE_FOUND", "SIGNATURE_MISSING"),
    "SHA-1 signature": (signature_algorithm("sha1_rsa"), C, "SIGNATURE_ALGORITHM_WEAK"),
    "MD5 signature": (signature_algorithm("md5_rsa"), C, "SIGNATURE_ALGORITHM_WEAK"),
    "Ed25519 with SHA-256": (signature_algorithm("ed25519"), F, "DIGEST_ALGORITHM_MISMATCH"),
    "DSA": (signature_algorithm("sha256_dsa"), C, "SIGNATURE_ALGORITHM_UNSUPPORTED"),
    "signature policy": (
        attribute_of("1.2.840.113549.1.9.16.2.15", core.Null()),
        "SIGNATURE_POLICY_NOT_AVAILABLE",
        "SIGNATURE_POLICY_UNKNOWN",
    ),
    "signature of another digest": (signature_algorithm("sha512_rsa"), F, "DIGEST_ALGORITHM_MISMATCH"),
    "ECDSA over an RSA key": (signature_algorithm("sha256_ecdsa"), S, "KEY_TYPE_MISMATCH"),
    "SHA-1 digest": (digest_algorithm("sha1"), F, "DIGEST_ALGORITHM_UNLISTED"),
    "version of the signer": (version, F, "CMS_VERSION"),
    "content type of the message": (content_type, F, "CONTENT_TYPE_UNSUPPORTED"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_has_its_reason(name: str) -> None:
    change, sub_indication, reason = MUTATIONS[name]
    assert refused(altered(change)) == (sub_indication, reason)


@pytest.mark.parametrize(
    ("signature", "sub_indication", "reason"),
    [
        (b"", "NO_SIGNATURE_FOUND", "SIGNATURE_MISSING"),
        (SIGNATURE + b"\x00", F, "CMS_MALFORMED"),
        (SIGNATURE[:-1], F, "CMS_MALFORMED"),
        (b"\x30\x80" + SIGNATURE[4:] + b"\x00\x00", F, "CMS_MALFORMED"),
        (
            SIGNATURE.replace(bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("06092a864886f70d010703")),
            F,
            "CMS_MALFORMED",
        ),
        (b"x" * (LARGEST_SIGNATURE + 1), F, "SIGNATURE_TOO_LARGE"),
        (b"<xml/>", F, "CMS_MALFORMED"),
    ],
)
def test_what_is_no_signature(signature: bytes, sub_indication: str, reason: str) -> None:
    assert refused(signature) == (sub_indication, reason)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_what_the_agent_signs(kind: str, signers: Mapping[str, Pkcs12Signer]) -> None:
    at = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
    facts = verify_cms(CONTENT, sign_detached(CONTENT, signers[kind], signing_time=at))
    assert (facts.signer_certificate_der, facts.claimed_signing_time) == (signers[kind].certificate, at)


def test_short_keys_are_refused(pki: Pki) -> None:
    pair = pki.signer("01001", algorithm="rsa1024")
    certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())

    def change(signed: cms.SignedData) -> None:
        der = certificate.public_bytes(serialization.Encoding.DER)
        signed["certificates"] = cms.CertificateSet([cms.CertificateChoices.load(der)])
        attribute_of("signing_certificate_v2", ess(hashlib.sha256(der).digest()))(signed)

    assert refused(altered(change)) == (C, "KEY_TOO_SMALL")


@settings(max_examples=300)
@given(st.integers(0, len(SIGNATURE) - 1), st.integers(1, 255), st.integers(0, len(CONTENT) - 1))
def test_no_mutation_changes_what_is_signed(place: int, flip: int, other: int) -> None:
    """A changed signature is refused or still of the same signer over the same content; changed content is always
    refused."""
    raw = bytearray(SIGNATURE)
    raw[place] ^= flip
    good = verify_cms(CONTENT, SIGNATURE)
    try:
        facts = verify_cms(CONTENT, bytes(raw))
    except Finding:
        return
    assert (facts.signer_certificate_der, facts.covered) == (good.signer_certificate_der, good.covered)
    content = bytearray(CONTENT)
    content[other] ^= flip
    assert refused(bytes(raw), bytes(content)) == (H, "DIGEST_MISMATCH")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    for signature in (content, b"\x30\x82" + len(content).to_bytes(2, "big") + content, SIGNATURE[:40] + content):
        with pytest.raises(Finding):
            verify_cms(CONTENT, signature)


@pytest.mark.parametrize(
    ("key", "options", "algorithm", "digest"),
    [
        ("rsa", ["-md", "sha3-256"], "rsa-pkcs1v15-sha3-256", "sha3-256"),
        ("p384", ["-md", "sha384"], "ecdsa-p384-sha384", "sha384"),
        ("p521", ["-md", "sha512"], "ecdsa-p521-sha512", "sha512"),
        (
            "rsa",
            ["-md", "sha512", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"],
            "rsa-pss-sha512",
            "sha512",
        ),
    ],
)
def test_what_openssl_signs_today(
    key: str, options: list[str], algorithm: str, digest: str, identities: Mapping[str, Identity], tmp_path: Path
) -> None:
    identity = identities[key]
    (tmp_path / "key.pem").write_bytes(identity.key_pem)
    (tmp_path / "cert.pem").write_text(identity.pem)
    (tmp_path / "content").write_bytes(CONTENT)
    command: list[str | Path] = [
        openssl(),
        "cms",
        "-sign",
        "-binary",
        "-cades",
        "-outform",
        "DER",
        "-in",
        tmp_path / "content",
    ]
    command += ["-signer", tmp_path / "cert.pem", "-inkey", tmp_path / "key.pem", *options]
    signature = subprocess.run(command, check=True, capture_output=True).stdout
    facts = verify_cms(CONTENT, signature)
    assert (facts.algorithm, facts.digest_algorithm) == (algorithm, digest)
    assert facts.key_bits == {"rsa": 2048, "p256": 256, "p384": 384, "p521": 521}[key]
    assert (facts.level, facts.timestamps, facts.timestamped) == (SignatureLevel.B, (), b"")
    assert refused(signature, CONTENT + b" ") == (H, "DIGEST_MISMATCH")


def by_pyhanko(identity: Identity, digest: str = "sha512", stamped: bool = False) -> bytes:
    """A CAdES signature of pyHanko, with a time-stamp of a throw-away authority."""
    certificate = asn1_x509.Certificate.load(identity.der)
    key = asn1_keys.PrivateKeyInfo.load(
        identity.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    signer = SimpleSigner(signing_cert=certificate, signing_key=key, cert_registry=SimpleCertificateStore())
    stamper = DummyTimeStamper(tsa_cert=certificate, tsa_key=key) if stamped else None
    return bytes(
        asyncio.run(
            signer.async_sign_general_data(
                CONTENT, digest_algorithm=digest, detached=True, use_cades=True, timestamper=stamper
            )
        ).dump()
    )


@pytest.mark.parametrize("digest", ["sha3-256", "sha3-384", "sha3-512"])
def test_ecdsa_with_sha3(digest: str, identities: Mapping[str, Identity]) -> None:
    """OpenSSL 3.0 does not make these; pyHanko does."""
    facts = verify_cms(CONTENT, by_pyhanko(identities["p256"], digest.replace("-", "_")))
    assert (facts.algorithm, facts.digest_algorithm) == (f"ecdsa-p256-{digest}", digest)


def test_ed25519_of_pyhanko(identities: Mapping[str, Identity]) -> None:
    signature = by_pyhanko(identities["ed25519"])
    facts = verify_cms(CONTENT, signature)
    assert (facts.algorithm, facts.digest_algorithm, facts.key_bits) == ("ed25519", "sha512", 256)
    assert refused(signature, CONTENT + b" ") == (H, "DIGEST_MISMATCH")


def test_a_timestamp_is_handed_on_with_what_it_stamps(identities: Mapping[str, Identity]) -> None:
    signature = by_pyhanko(identities["rsa"], "sha256", stamped=True)
    facts = verify_cms(CONTENT, signature)
    (token,) = facts.timestamps
    stamped = cms.ContentInfo.load(token, strict=True)["content"]["encap_content_info"]["content"].parsed
    imprint = stamped["message_imprint"]
    expected = hashlib.new(imprint["hash_algorithm"]["algorithm"].native, facts.timestamped).digest()
    assert imprint["hashed_message"].native == expected
    # What is added to the unsigned attributes later changes neither signer nor content.
    assert (facts.level, facts.covered) == (SignatureLevel.B, CONTENT)


def unsigned(*tokens: bytes) -> Mutation:
    def change(signed: cms.SignedData) -> None:
        values = [cms.ContentInfo.load(token) for token in tokens]
        stamp = cms.CMSAttribute({"type": "signature_time_stamp_token", "values": values})
        signed["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([stamp])

    return change


def test_unsigned_attributes_are_bounded() -> None:
    tokens = [cms.ContentInfo({"content_type": "data", "content": bytes([n])}).dump() for n in range(5)]
    assert verify_cms(CONTENT, altered(unsigned(*tokens[:4]))).timestamps == tuple(tokens[:4])
    assert refused(altered(unsigned(*tokens))) == (F, "TIMESTAMPS_TOO_MANY")

    def other(signed: cms.SignedData) -> None:
        attribute = cms.CMSAttribute({"type": "1.2.3", "values": [core.Null()]})
        signed["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([attribute])

    assert verify_cms(CONTENT, altered(other)).timestamps == ()

    def many(signed: cms.SignedData) -> None:
        attributes = [cms.CMSAttribute({"type": f"1.2.3.{n}", "values": [core.Null()]}) for n in range(33)]
        signed["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes(attributes)

    assert refused(altered(many)) == (F, "UNSIGNED_ATTRIBUTES_TOO_MANY")


def test_without_signing_time_it_is_plain(identities: Mapping[str, Identity]) -> None:
    """EN 319 122-1 §6.3 asks for the signing-time attribute at level B."""
    info = cms.ContentInfo.load(SIGNATURE, strict=True)
    signer = info["content"]["signer_infos"][0]
    attributes_without("signing_time")(info["content"])
    attribute_of("signing_certificate_v2", ess(hashlib.sha256(identities["p256"].der).digest()))(info["content"])
    certificate = asn1_x509.Certificate.load(identities["p256"].der)
    signer["sid"] = cms.SignerIdentifier(
        "issuer_and_serial_number",
        cms.IssuerAndSerialNumber({"issuer": certificate.issuer, "serial_number": certificate.serial_number}),
    )
    info["content"]["certificates"] = cms.CertificateSet([cms.CertificateChoices("certificate", certificate)])
    signer["signature_algorithm"] = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
    key = identities["p256"].key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signer["signature"] = key.sign(signer["signed_attrs"].untag().dump(force=True), ec.ECDSA(hashes.SHA256()))
    facts = verify_cms(CONTENT, info.dump(force=True))
    assert (facts.level, facts.claimed_signing_time) == (SignatureLevel.PLAIN, None)
