"""The JWS profile: what PyJWT signs verifies, and every mutation is refused by its own reason."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.api_jws import PyJWS

from services.signing.formats.facts import Finding, SignatureScope
from services.signing.formats.jws import LARGEST_SIGNATURE, verify_jws
from services.signing.model import SignatureFormat, SignatureLevel
from tests.unit.signing.formats.conftest import Identity

CONTENT = '{"resourceType":"Bundle","name":"Nguyễn.Thị"}'.encode() + b" " * 10_000
AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
F, S, C, N = "FORMAT_FAILURE", "SIG_CRYPTO_FAILURE", "CRYPTO_CONSTRAINTS_FAILURE", "NO_SIGNING_CERTIFICATE_FOUND"


def url64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def header(der: bytes, **members: Any) -> dict[str, Any]:
    base = {
        "b64": False,
        "crit": ["b64", "sigT"],
        "sigT": "2026-11-23T04:05:06Z",
        "x5c": [base64.b64encode(der).decode()],
        "x5t#S256": url64(hashlib.sha256(der).digest()),
    }
    return {name: value for name, value in (base | members).items() if value is not None}


def sign(identity: Identity, algorithm: str = "ES256", content: bytes = CONTENT, **members: Any) -> bytes:
    return (
        PyJWS()
        .encode(content, identity.key, algorithm, headers=header(identity.der, **members), is_payload_detached=True)
        .encode()
    )


def refused(signature: bytes, content: bytes = CONTENT) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verify_jws(content, signature)
    return str(caught.value.sub_indication), caught.value.reason


@pytest.mark.parametrize(
    ("key", "algorithm", "name", "digest"),
    [
        ("rsa", "RS256", "rsa-pkcs1v15-sha256", "sha256"),
        ("rsa", "RS384", "rsa-pkcs1v15-sha384", "sha384"),
        ("rsa", "RS512", "rsa-pkcs1v15-sha512", "sha512"),
        ("rsa", "PS256", "rsa-pss-sha256", "sha256"),
        ("rsa", "PS384", "rsa-pss-sha384", "sha384"),
        ("rsa", "PS512", "rsa-pss-sha512", "sha512"),
        ("p256", "ES256", "ecdsa-p256-sha256", "sha256"),
        ("p384", "ES384", "ecdsa-p384-sha384", "sha384"),
        ("p521", "ES512", "ecdsa-p521-sha512", "sha512"),
        ("ed25519", "EdDSA", "ed25519", "sha512"),
    ],
)
def test_what_pyjwt_signed(
    key: str, algorithm: str, name: str, digest: str, identities: Mapping[str, Identity]
) -> None:
    signature = sign(identities[key], algorithm)
    facts = verify_jws(CONTENT, signature)
    assert (facts.format, facts.level, facts.scope) == (
        SignatureFormat.JWS_DETACHED,
        SignatureLevel.B,
        SignatureScope.FULL,
    )
    assert (facts.algorithm, facts.digest_algorithm, facts.signer_certificate_der) == (
        name,
        digest,
        identities[key].der,
    )
    assert (facts.covered, facts.claimed_signing_time) == (CONTENT, AT)
    assert refused(signature, CONTENT + b" ") == (S, "SIGNATURE_VALUE_WRONG")


def test_times_and_chain(identities: Mapping[str, Identity]) -> None:
    identity, other = identities["p256"], identities["rsa"]
    issued = verify_jws(CONTENT, sign(identity, sigT=None, iat=int(AT.timestamp()), crit=["b64", "iat"]))
    assert (issued.level, issued.claimed_signing_time) == (SignatureLevel.B, AT)
    plain = verify_jws(CONTENT, sign(identity, sigT=None, crit=["b64"]))
    assert (plain.level, plain.claimed_signing_time) == (SignatureLevel.PLAIN, None)
    chain = [base64.b64encode(one.der).decode() for one in (identity, other)]
    assert verify_jws(CONTENT, sign(identity, x5c=chain)).embedded == (other.der,)


MEMBERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "encoded payload": ({"b64": True}, F, "PAYLOAD_ENCODED"),
    "b64 not critical": ({"crit": ["sigT"]}, F, "PAYLOAD_ENCODED"),
    "no crit": ({"crit": None}, F, "CRITICAL_WRONG"),
    "crit without member": ({"crit": ["b64", "iat"]}, F, "CRITICAL_WRONG"),
    "crit twice": ({"crit": ["b64", "b64"]}, F, "CRITICAL_WRONG"),
    "unknown crit": ({"crit": ["b64", "sigD"], "sigD": {}}, F, "HEADER_UNEXPECTED"),
    "crit of a standard member": ({"crit": ["b64", "alg"]}, F, "CRITICAL_WRONG"),
    "crit that is no list": ({"crit": "b64"}, F, "CRITICAL_WRONG"),
    "no x5c": ({"x5c": None}, N, "SIGNING_CERTIFICATE_MISSING"),
    "no x5t#S256": ({"x5t#S256": None}, N, "SIGNING_CERTIFICATE_MISSING"),
    "x5t#S256 of another": ({"x5t#S256": url64(bytes(32))}, N, "SIGNING_CERTIFICATE_MISMATCH"),
    "empty x5c": ({"x5c": []}, N, "SIGNING_CERTIFICATE_MISSING"),
    "nine certificates": ({"x5c": ["AAAA"] * 9}, F, "CERTIFICATES_TOO_MANY"),
    "x5c that is not base64": ({"x5c": ["AB=="]}, F, "BASE64_MALFORMED"),
    "x5c of numbers": ({"x5c": [7]}, F, "BASE64_MALFORMED"),
    "jku": ({"jku": "https://localhost/"}, F, "HEADER_UNEXPECTED"),
    "x5u": ({"x5u": "https://localhost/"}, F, "HEADER_UNEXPECTED"),
    "jwk": ({"jwk": {"kty": "oct", "k": "AA"}}, F, "HEADER_UNEXPECTED"),
    "sigD": ({"sigD": {"mId": "x"}}, F, "HEADER_UNEXPECTED"),
    "signature policy": ({"sigPId": {"id": "x"}}, "SIGNATURE_POLICY_NOT_AVAILABLE", "SIGNATURE_POLICY_UNKNOWN"),
    "kid of another type": ({"cty": 7}, F, "HEADER_UNEXPECTED"),
    "two times": ({"iat": 1}, F, "SIGNING_TIME_WRONG"),
    "time without zone": ({"sigT": "2026-11-23T04:05:06"}, F, "SIGNING_TIME_WRONG"),
    "time that is none": ({"sigT": "2026-13-23T04:05:06Z"}, F, "SIGNING_TIME_WRONG"),
    "time of another type": ({"sigT": 5}, F, "SIGNING_TIME_WRONG"),
    "far time": ({"sigT": None, "crit": ["b64"], "iat": 10**30}, F, "SIGNING_TIME_WRONG"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_every_header_has_its_reason(name: str, identities: Mapping[str, Identity]) -> None:
    members, sub_indication, reason = MEMBERS[name]
    identity = identities["p256"]
    text = json.dumps({"alg": "ES256"} | header(identity.der, **members)).encode()
    assert refused(raw(identity, text)) == (sub_indication, reason)


def raw(identity: Identity, text: bytes) -> bytes:
    """A signature under a header that no library would write; its value is wrong, which is looked at last."""
    value = sign(identity).split(b".")[2]
    return url64(text).encode() + b".." + value


def test_algorithms_and_keys(identities: Mapping[str, Identity]) -> None:
    identity = identities["p256"]
    for algorithm, expected in {
        "none": "SIGNATURE_ALGORITHM_WEAK",
        "HS256": "SIGNATURE_ALGORITHM_UNSUPPORTED",
        "RS1": "SIGNATURE_ALGORITHM_WEAK",
        "ES256K": "SIGNATURE_ALGORITHM_UNSUPPORTED",
    }.items():
        text = json.dumps({"alg": algorithm} | header(identity.der)).encode()
        assert refused(raw(identity, text)) == (C, expected)
    for algorithm in ("RS256", "ES384", "EdDSA"):
        text = json.dumps({"alg": algorithm} | header(identity.der)).encode()
        assert refused(raw(identity, text)) == (S, "KEY_TYPE_MISMATCH")


def test_the_certificate_of_another(identities: Mapping[str, Identity]) -> None:
    forger = Identity(ec.generate_private_key(ec.SECP256R1()), identities["p256"].certificate)
    assert refused(sign(forger)) == (S, "SIGNATURE_VALUE_WRONG")


Mutation = Callable[[bytes], bytes]
SPELLINGS: dict[str, tuple[Mutation, str]] = {
    "attached": (lambda one: one.replace(b"..", b"." + url64(CONTENT).encode() + b".")[:60_000], "CONTENT_NOT_DETACHED"),
    "two segments": (lambda one: one.replace(b"..", b"."), "JWS_MALFORMED"),
    "four segments": (lambda one: one + b".AA", "JWS_MALFORMED"),
    "white space": (lambda one: one + b"\n", "JWS_MALFORMED"),
    "padding": (lambda one: one + b"=", "JWS_MALFORMED"),
    "json form": (lambda _: b'{"protected":"e30","signature":"AA"}', "JWS_MALFORMED"),
    "second spelling": (lambda one: one[:-1] + (b"h" if one[-1:] != b"h" else b"i"), "BASE64_MALFORMED"),
    "cut off": (lambda one: one[:-1], "BASE64_MALFORMED"),
    "too large": (lambda one: one + b"A" * LARGEST_SIGNATURE, "SIGNATURE_TOO_LARGE"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_signature_has_one_spelling(name: str, identities: Mapping[str, Identity]) -> None:
    mutate, reason = SPELLINGS[name]
    # 64 octets end in a letter of which four bits do not count.
    assert refused(mutate(sign(identities["p256"]))) == (F, reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"alg":"none","alg":"ES256"}', "HEADER_NOT_UNIQUE"),
        (b'{"alg":"ES256","x":{"a":1,"a":2}}', "HEADER_NOT_UNIQUE"),
        (b'{"alg":"ES256","\\u0061lg":"none"}', "HEADER_NOT_UNIQUE"),
        (b"[]", "HEADER_MALFORMED"),
        (b"7", "HEADER_MALFORMED"),
        (b'{"alg":NaN}', "HEADER_MALFORMED"),
        (b'{"alg":"ES256"} x', "HEADER_MALFORMED"),
        (b"\xff", "HEADER_MALFORMED"),
        ('{"alg":"ES256"}'.encode("utf-16"), "HEADER_MALFORMED"),
        (b"[" * 40_000, "HEADER_MALFORMED"),
        (b'{"iat":' + b"9" * 5000 + b"}", "HEADER_MALFORMED"),
    ],
)
def test_a_header_is_one_json_object(text: bytes, reason: str, identities: Mapping[str, Identity]) -> None:
    assert refused(raw(identities["p256"], text)) == (F, reason)


def test_nothing_signed_or_nothing_there(identities: Mapping[str, Identity]) -> None:
    assert refused(b"") == ("NO_SIGNATURE_FOUND", "SIGNATURE_MISSING")
    assert refused(sign(identities["p256"]), b"") == ("SIGNED_DATA_NOT_FOUND", "CONTENT_EMPTY")


@settings(max_examples=200)
@given(st.data())
def test_no_mutation_changes_what_is_signed(identities: Mapping[str, Identity], data: st.DataObject) -> None:
    signature = bytearray(sign(identities["ed25519"], "EdDSA"))
    place = data.draw(st.integers(0, len(signature) - 1))
    old = bytes(signature)
    signature[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    if bytes(signature) != old:
        refused(bytes(signature))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_by_name(content: bytes) -> None:
    for signature in (
        content,
        url64(content).encode() + b"..AA",
        url64(b'{"alg":"ES256",' + content).encode() + b"..AA",
    ):
        with pytest.raises(Finding):
            verify_jws(CONTENT, signature)
