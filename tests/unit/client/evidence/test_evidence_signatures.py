"""Signatures beside a document, checked again: what PyJWT and OpenSSL signed holds, and no mutation of it does."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.api_jws import PyJWS
from lienthong.client.evidence.errors import SignatureInvalid
from lienthong.client.evidence.signatures import Listed, inner_table, recheck

from deploy.local.pki import Pki
from services.records.formats.xml130 import Xml130Format
from tests.fakes.records_samples import episode
from tests.fixtures.debian import openssl

DOCUMENT = episode(5, referral_to="79001").content
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
MAKERS: dict[str, Callable[[], Key]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Key, x509.Certificate]]:
    authority = Pki(tmp_path_factory.mktemp("pki")).signing_authority
    keys = {name: make() for name, make in MAKERS.items()}
    return {name: (key, authority.issue(name, key, [])) for name, key in keys.items()}


def jws(identity: tuple[Key, x509.Certificate], algorithm: str, content: bytes = DOCUMENT, **members: Any) -> bytes:
    key, certificate = identity
    der = certificate.public_bytes(Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    header = {
        "b64": False,
        "crit": ["b64"],
        "x5c": [base64.b64encode(der).decode()],
        "x5t#S256": thumbprint,
        **members,
    }
    return PyJWS().encode(content, key, algorithm, headers=header, is_payload_detached=True).encode()


def listed(content: bytes, form: str = "JWS_DETACHED", part: str = "") -> Listed:
    return Listed("signatures/1", form, part, content, None)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        *(("rsa", f"{family}{bits}") for family in ("RS", "PS") for bits in (256, 384, 512)),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed25519", "EdDSA"),
    ],
)
def test_a_jws_of_pyjwt(name: str, algorithm: str, identities: dict[str, tuple[Key, x509.Certificate]]) -> None:
    signature = jws(identities[name], algorithm)
    found = recheck(listed(signature), DOCUMENT)
    assert found is not None
    der = identities[name][1].public_bytes(Encoding.DER)
    assert found.certificate == hashlib.sha256(der).hexdigest()
    with pytest.raises(SignatureInvalid):
        recheck(listed(signature), DOCUMENT + b" ")
    chance = random.Random(algorithm)
    for _ in range(60):
        place = chance.randrange(len(signature))
        changed = signature[:place] + bytes([signature[place] ^ (1 << chance.randrange(7))]) + signature[place + 1 :]
        with pytest.raises(SignatureInvalid):
            recheck(listed(changed), DOCUMENT)


def test_a_jws_over_a_part_of_the_document(identities: dict[str, tuple[Key, x509.Certificate]]) -> None:
    part = next(one for one in Xml130Format().parse(DOCUMENT).parts if one.name == "XML13")
    assert inner_table(DOCUMENT, "XML13") == part.content
    signature = jws(identities["p256"], "ES256", part.content)
    assert recheck(listed(signature, part="XML13"), DOCUMENT) is not None
    for wrong in ("", "XML1", "XML15"):
        with pytest.raises(SignatureInvalid):
            recheck(listed(signature, part=wrong), DOCUMENT)
    with pytest.raises(SignatureInvalid):
        recheck(listed(signature, part="XML13"), b"<!DOCTYPE x>" + DOCUMENT)


def test_headers_that_are_not_of_the_profile(identities: dict[str, tuple[Key, x509.Certificate]]) -> None:
    other = identities["p384"][1].public_bytes(Encoding.DER)
    swapped = {"x5c": [base64.b64encode(other).decode()]}
    cases: list[dict[str, Any]] = [swapped, {"x5t#S256": "A" * 43}, {"x5c": []}, {"x5c": "no list"}, {"crit": ["exp"]}]
    for members in cases:
        with pytest.raises(SignatureInvalid):
            recheck(listed(jws(identities["p256"], "ES256", **members)), DOCUMENT)
    good = jws(identities["p256"], "ES256")
    head, _, value = good.split(b".")
    header = json.loads(base64.urlsafe_b64decode(head + b"=="))
    for change in ({"alg": "none"}, {"alg": "HS256"}, {"alg": "ES384"}, {"b64": True}):
        altered = base64.urlsafe_b64encode(json.dumps(header | change).encode()).rstrip(b"=")
        with pytest.raises(SignatureInvalid):
            recheck(listed(altered + b".." + value), DOCUMENT)
    for bad in (b"", b"..", b"a.b.c", good + b".", head + b".x." + value, good + b"="):
        with pytest.raises(SignatureInvalid):
            recheck(listed(bad), DOCUMENT)


@pytest.mark.parametrize("name", ["rsa", "pss", "p256", "p384"])
def test_a_cms_of_openssl(name: str, identities: dict[str, tuple[Key, x509.Certificate]], tmp_path: Path) -> None:
    key, certificate = identities["rsa" if name == "pss" else name]
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "crt.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "document").write_bytes(DOCUMENT)
    command = [openssl(), "cms", "-sign", "-binary", "-cades", "-md", "sha256", "-outform", "DER", "-in", "document"]
    command += ["-signer", "crt.pem", "-inkey", "key.pem", "-out", "signature"]
    command += ["-keyopt", "rsa_padding_mode:pss"] if name == "pss" else []
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    signature = (tmp_path / "signature").read_bytes()
    found = recheck(listed(signature, "CMS_DETACHED"), DOCUMENT)
    assert found is not None
    with pytest.raises(SignatureInvalid):
        recheck(listed(signature, "CMS_DETACHED"), DOCUMENT + b" ")
    # Attributes are required: without them a signature could be replayed on other content.
    bare = [*command, "-noattr"]
    bare.remove("-cades")
    subprocess.run(bare, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    with pytest.raises(SignatureInvalid):
        recheck(listed((tmp_path / "signature").read_bytes(), "CMS_DETACHED"), DOCUMENT)
    chance, held = random.Random(name), 0
    for _ in range(200):
        place = chance.randrange(len(signature))
        changed = signature[:place] + bytes([signature[place] ^ (1 << chance.randrange(8))]) + signature[place + 1 :]
        try:
            again = recheck(listed(changed, "CMS_DETACHED"), DOCUMENT)
        except SignatureInvalid:
            continue
        # Some fields are not signed (versions, the list of digests); what counts is whose signature it is.
        assert again == found
        held += 1
    assert held < 20


def test_an_xml_signature_is_left_to_the_agent() -> None:
    assert recheck(listed(b"<Signature/>", "XADES_DETACHED"), DOCUMENT) is None
