"""OCSP answers of OpenSSL, and every way in which one proves nothing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.authorities import openssl
from deploy.local.pki import Authority, Pki
from services.signing.ocsp import LARGEST_ANSWER, OcspRefused, Question, read_answer

FACILITY = "01001"
DAY = timedelta(days=1)


class Responder:
    """A certificate, its issuer, and answers of `openssl ocsp`."""

    def __init__(self, pki: Pki) -> None:
        self.pki = pki
        self.folder = pki.public_authorities()
        pair = pki.signer(FACILITY, label="asked", algorithm="p256")
        self.certificate = x509.load_der_x509_certificate(pair.certificate_der)
        self.question = Question(self.certificate, pki.signing_authority.certificate, os.urandom(16))
        pki.publish(1, {})

    def ask(self, question: Question, *options: str, signer: str = "ocsp") -> bytes:
        (self.folder / "q").write_bytes(question.encode())
        (self.folder / "a").unlink(missing_ok=True)
        command = [openssl(), "ocsp", "-index", "index.txt", "-CA", "issuer.crt", "-rsigner", f"{signer}.crt"]
        command += ["-rkey", f"{signer}.key", "-reqin", "q", "-respout", "a", *(options or ("-nmin", "60"))]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=30)
        return (self.folder / "a").read_bytes()

    def signer(self, stem: str, authority: Authority, extensions: list[tuple[x509.ExtensionType, bool]]) -> str:
        """Another responder's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = authority.issue(stem, key, extensions)
        (self.folder / f"{stem}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{stem}.key").write_bytes(pem)
        return stem


@pytest.fixture(scope="module")
def responder(pki: Pki) -> Responder:
    return Responder(pki)


@pytest.fixture(scope="module")
def answer(responder: Responder) -> bytes:
    return responder.ask(responder.question)


def read(answer: bytes, question: Question, at: datetime | None = None) -> str:
    """The reason of a refusal, or what is said."""
    try:
        status = read_answer(answer, question, at or datetime.now(UTC), DAY)
    except OcspRefused as refused:
        return refused.reason
    return status.reason or "good"


def test_a_good_one(responder: Responder, answer: bytes) -> None:
    status = read_answer(answer, responder.question, datetime.now(UTC), DAY)
    assert (status.revoked_at, status.reason) == (None, "")
    assert status.next_update - status.this_update == timedelta(minutes=60)


def test_a_revoked_one(responder: Responder) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - DAY
    responder.pki.publish(1, {responder.certificate.serial_number: (at, "keyCompromise")})
    try:
        found = responder.ask(responder.question)
    finally:
        responder.pki.publish(1, {})
    status = read_answer(found, responder.question, datetime.now(UTC), DAY)
    assert (status.revoked_at, status.reason) == (at, "keyCompromise")


def test_without_next_update_the_policys_validity_counts(responder: Responder) -> None:
    found = responder.ask(responder.question, "-text")
    status = read_answer(found, responder.question, datetime.now(UTC), timedelta(hours=3))
    assert status.next_update - status.this_update == timedelta(hours=3)


def test_the_issuer_may_answer_itself(responder: Responder) -> None:
    assert read(by_issuer(responder), responder.question) == "good"


def by_issuer(responder: Responder) -> bytes:
    pem = responder.pki.signing_authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (responder.folder / "issuer.key").write_bytes(pem)
    return responder.ask(responder.question, signer="issuer")


def test_responders_that_may_not_answer(responder: Responder) -> None:
    pki = responder.pki
    purpose: tuple[x509.ExtensionType, bool] = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    others: dict[str, tuple[Authority, list[tuple[x509.ExtensionType, bool]]]] = {
        "no-purpose": (pki.signing_authority, []),
        "wrong-purpose": (
            pki.signing_authority,
            [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)],
        ),
        "of-another": (Authority("Somebody"), [purpose]),
        "of-a-look-alike": (pki.look_alike(), [purpose]),
        "of-the-root": (pki.signing_root, [purpose]),
    }
    for stem, (authority, extensions) in others.items():
        found = responder.ask(responder.question, signer=responder.signer(stem, authority, extensions))
        assert read(found, responder.question) == "SIGNER_WRONG"


def test_answers_that_prove_nothing(responder: Responder, answer: bytes, pki: Pki) -> None:
    other = pki.signer(FACILITY, label="not-asked", algorithm="p256")
    not_asked = replace(responder.question, certificate=x509.load_der_x509_certificate(other.certificate_der))
    twin = replace(responder.question, issuer=pki.look_alike().certificate)
    renonced = replace(responder.question, nonce=os.urandom(16))
    now = datetime.now(UTC)
    cases: list[tuple[bytes, Question, datetime, str]] = [
        (answer, not_asked, now, "ANSWER_FOR_ANOTHER"),
        (answer, twin, now, "ANSWER_FOR_ANOTHER"),
        (answer, renonced, now, "NONCE_WRONG"),
        (answer, responder.question, now + timedelta(hours=2), "ANSWER_STALE"),
        (answer, responder.question, now - timedelta(hours=2), "SIGNER_WRONG"),  # not valid yet
        (by_issuer(responder), responder.question, now - timedelta(minutes=10), "ANSWER_FROM_FUTURE"),
        (b"", responder.question, now, "ANSWER_UNREADABLE"),
        (answer + b"\x00", responder.question, now, "ANSWER_UNREADABLE"),
        (answer[:-1], responder.question, now, "ANSWER_UNREADABLE"),
        (bytes(LARGEST_ANSWER + 1), responder.question, now, "ANSWER_TOO_LARGE"),
        (b"\x30\x03\x0a\x01\x06", responder.question, now, "RESPONDER_REFUSES"),
        (responder.ask(not_asked), not_asked, now, "CERTIFICATE_UNKNOWN"),
    ]
    for found, question, at, expected in cases:
        assert read(found, question, at) == expected


def test_an_answer_without_our_nonce_is_taken(responder: Responder) -> None:
    """Responders that answer from a store send none (RFC 8954 §2.1)."""
    stored = responder.ask(replace(responder.question, nonce=None))
    assert read(stored, responder.question) == "good"


def test_weak_digests_are_refused(responder: Responder) -> None:
    sha1 = responder.ask(responder.question, "-nmin", "60", "-rmd", "sha1")
    assert read(sha1, responder.question) in ("SIGNER_WRONG", "ANSWER_UNREADABLE")


def test_a_signature_over_other_data(responder: Responder, answer: bytes) -> None:
    place = answer.index(ocsp.load_der_ocsp_response(answer).signature)
    for offset in (place + 8, place - 40):
        bad = bytearray(answer)
        bad[offset] ^= 1
        assert read(bytes(bad), responder.question) != "good"


_ANSWERS: dict[str, tuple[bytes, Question]] = {}


@pytest.fixture(autouse=True)
def _keep(responder: Responder, answer: bytes) -> None:
    _ANSWERS["good"] = (answer, responder.question)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_changed_answer_says_good_or_fails_otherwise(data: st.DataObject) -> None:
    answer, question = _ANSWERS["good"]
    place = data.draw(st.integers(0, len(answer) - 1))
    cut = data.draw(st.integers(0, 3))
    bad = answer[:place] + data.draw(st.binary(max_size=4)) + answer[place + cut :]
    said = read(bad, question)
    assert said.isupper() or bad == answer or _same_tbs(bad, answer)


def _same_tbs(bad: bytes, answer: bytes) -> bool:
    """Certificates that travel along are not signed with the answer: a change there may leave it whole."""
    try:
        return ocsp.load_der_ocsp_response(bad).tbs_response_bytes == (
            ocsp.load_der_ocsp_response(answer).tbs_response_bytes
        )
    except ValueError:
        return False
