"""Signatures with keys in a PKCS#11 token (SoftHSM)."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pkcs11
import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main
from lienthong.agent.signing import (
    KeyAlgorithm,
    SigningError,
    TokenCertificateMissing,
    TokenKeyMissing,
    TokenPinWrong,
    TokenUnavailable,
)
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.token import TokenSigner
from lienthong.agent.signing.xmldsig import sign_envelope

from services.signing.formats.cms import verify_cms
from services.signing.formats.xmldsig import verify_xmldsig
from tests.integration.agent.conftest import LABEL, PIN, SoftToken

DOCUMENT = b"<GIAMDINHHS><A>1</A><CHUKYDONVI/></GIAMDINHHS>"


def opened(token: SoftToken, key: str, **more: object) -> TokenSigner:
    return TokenSigner(token.module, LABEL, PIN, key=key, **more)  # type: ignore[arg-type] # options of the test


@pytest.mark.parametrize(
    ("key", "pss", "algorithm", "name"),
    [
        ("rsa", False, KeyAlgorithm.RSA, "rsa-pkcs1v15-sha256"),
        ("rsa", True, KeyAlgorithm.RSA_PSS, "rsa-pss-sha256"),
        ("p256", False, KeyAlgorithm.P256, "ecdsa-p256-sha256"),
    ],
)
def test_a_token_signs(soft_token: SoftToken, key: str, pss: bool, algorithm: KeyAlgorithm, name: str) -> None:
    signer = opened(soft_token, key, pss=pss)
    assert (signer.algorithm, signer.certificate) == (algorithm, soft_token.pairs[key].certificate_der)
    found = verify_xmldsig(sign_envelope(DOCUMENT, signer))
    assert (found.algorithm, found.signer_certificate_der) == (name, signer.certificate)
    assert verify_cms(DOCUMENT, sign_detached(DOCUMENT, signer)).algorithm == name
    signer.close()


def test_the_key_stays_in_the_token(soft_token: SoftToken) -> None:
    with soft_token.open() as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="rsa")
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.PRIVATE_EXPONENT]


def test_found_by_id_with_a_certificate_from_a_file(soft_token: SoftToken, tmp_path: Path) -> None:
    by_id = TokenSigner(soft_token.module, LABEL, PIN, key_id=bytes([2]))
    assert by_id.certificate == soft_token.pairs["p256"].certificate_der
    pair = soft_token.pairs["bare"]
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pair.certificate.read_bytes() + soft_token.pairs["rsa"].certificate.read_bytes())
    signer = opened(soft_token, "bare", certificate=chain)
    assert signer.certificate == pair.certificate_der
    assert list(signer.chain) == [soft_token.pairs["rsa"].certificate_der]
    assert verify_cms(b"x", sign_detached(b"x", signer))


def test_errors_say_what_is_missing(soft_token: SoftToken, tmp_path: Path) -> None:
    module, pair = soft_token.module, soft_token.pairs["p256"]
    with pytest.raises(TokenUnavailable, match="cannot be loaded"):
        TokenSigner(tmp_path / "none.so", LABEL, PIN)
    with pytest.raises(TokenUnavailable, match="plugged in"):
        TokenSigner(module, "another", PIN)
    for key, key_id in (("another", b""), ("", b"\x09"), ("rsa", bytes([2]))):
        with pytest.raises(TokenKeyMissing, match="no such private key"):
            TokenSigner(module, LABEL, PIN, key=key, key_id=key_id)
    with pytest.raises(TokenKeyMissing, match="more than one"):
        TokenSigner(module, LABEL, PIN)
    with pytest.raises(TokenCertificateMissing, match="no certificate of the key"):
        opened(soft_token, "bare")
    with pytest.raises(TokenCertificateMissing, match="none.pem"):
        opened(soft_token, "bare", certificate=tmp_path / "none.pem")
    with pytest.raises(SigningError, match="2048"):
        opened(soft_token, "rsa1024")
    wrong = opened(soft_token, "bare", certificate=pair.certificate)
    with pytest.raises(TokenCertificateMissing, match="not of this key"):
        wrong.sign(b"x")


def test_a_wrong_pin_is_not_tried_twice(soft_token: SoftToken) -> None:
    pkcs11.lib(str(soft_token.module)).reinitialize()
    with pytest.raises(TokenPinWrong, match="PIN is wrong") as caught:
        TokenSigner(soft_token.module, LABEL, "314159", key="p256")
    assert "314159" not in str(caught.value)


def test_a_lost_session_is_opened_again(soft_token: SoftToken) -> None:
    signer = opened(soft_token, "p256")
    signer.sign(b"before")
    pkcs11.lib(str(soft_token.module)).reinitialize()
    assert len(signer.sign(b"after")) == 64


def test_threads_take_turns(soft_token: SoftToken) -> None:
    signer = opened(soft_token, "p256")
    values: list[bytes] = []

    def sign() -> None:
        values.extend(signer.sign(b"x") for _ in range(20))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*values}) == 80


def test_the_command_signs_with_the_token(
    soft_token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = dict.fromkeys(("authority", "client_certificate", "client_key", "policy"), "unused")
    entries |= {"facility": "01001", "gateway": "x:1", "token_endpoint": "https://x", "spool": "spool"}
    entries |= {"signing_module": str(soft_token.module), "signing_token": LABEL, "signing_key": "rsa"}
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(entries))
    (tmp_path / "a.xml").write_bytes(DOCUMENT)
    command = ["--profile", str(profile), "sign", str(tmp_path / "a.xml"), "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, command)
    assert (refused.exit_code, "LIENTHONG_SIGNING_PIN" in refused.output) == (1, True)
    monkeypatch.setenv("LIENTHONG_SIGNING_PIN", PIN)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert verify_xmldsig((tmp_path / "out" / "a.xml").read_bytes()).algorithm == "rsa-pkcs1v15-sha256"
