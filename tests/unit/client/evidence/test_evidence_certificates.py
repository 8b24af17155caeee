"""Chains, revocation evidence and time-stamps: each in the hands of somebody who may not make it."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from lienthong.client.evidence import EvidenceError, signed_data, verify_package
from lienthong.client.evidence.certificates import (
    CertificateRefused,
    check_chain,
    find_chain,
    load,
    revoked_by_answer,
    revoked_by_list,
)
from lienthong.client.evidence.container import unpack
from lienthong.client.evidence.signed_data import SignedDataInvalid
from lienthong.client.evidence.timestamps import TokenRefused, open_token
from lienthong.signing.v1 import verdict_pb2

from deploy.local.pki import Authority, Pki
from services.records.proof import EvidenceKind, EvidencePiece
from services.records.sealing import PemSigner
from services.records.signatures import SignatureForm
from tests.fakes.evidence_packages import MINUTE, World, sha256
from tests.fixtures.debian import openssl

DATA, SIGNED_DATA = bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010702")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(Pki(tmp_path_factory.mktemp("pki")))


def chain(world: World) -> list[x509.Certificate]:
    pki = world.pki
    return [load(world.signer.certificate), pki.signing_authority.certificate, pki.signing_root.certificate]


def refused(chain: list[x509.Certificate], anchors: list[x509.Certificate], world: World) -> str:
    with pytest.raises(CertificateRefused) as error:
        check_chain(chain, anchors, world.now)
    return str(error.value)


def test_a_chain_is_what_its_signatures_say(world: World) -> None:
    leaf, issuer, root = chain(world)
    check_chain([leaf, issuer, root], [root], world.now)
    check_chain([leaf, issuer], [root], world.now)
    alike = world.pki.look_alike()
    assert "not issued by the next" in refused([leaf, alike.certificate, root], [root], world)
    assert "not issued by the next" in refused([leaf, root], [root], world)
    assert "no trusted authority" in refused([leaf, issuer, root], [alike.certificate], world)
    assert "no chain" in refused([], [root], world)
    assert find_chain(leaf, [alike.certificate, issuer], [root]) == [leaf, issuer, root]
    assert find_chain(leaf, [], [root]) == [leaf]


def test_a_signer_is_no_authority(world: World) -> None:
    leaf, issuer, root = chain(world)
    rogue = Authority.__new__(Authority)
    rogue.key = world.signer._key  # type: ignore[assignment] # a P-256 key
    rogue.name, rogue.certificate, rogue.issued = leaf.subject, leaf, []
    forged = rogue.issue("anybody", ec.generate_private_key(ec.SECP256R1()), [])
    assert "is no authority" in refused([forged, leaf, issuer, root], [root], world)


def test_a_list_is_its_issuers_own(world: World) -> None:
    leaf, issuer, root = chain(world)
    good = world.pki.signing_authority.revocation_list(3, [])
    assert revoked_by_list(good, leaf, issuer).revoked_at is None
    forged = world.pki.look_alike().revocation_list(3, [])
    for encoded, by in ((forged, issuer), (good, root), (good[:-1] + b"\x00", issuer), (b"x", issuer)):
        with pytest.raises(CertificateRefused):
            revoked_by_list(encoded, leaf, by)
    listed = world.pki.signing_authority.revocation_list(4, [leaf])
    assert revoked_by_list(listed, leaf, issuer).revoked_at is not None


def test_an_answer_is_about_its_certificate_and_by_its_responder(world: World, tmp_path: Path) -> None:
    leaf, issuer, root = chain(world)
    good = world.ocsp_answer(world.signer.certificate, world.pki.signing_authority.der)
    assert revoked_by_answer(good, leaf, issuer).revoked_at is None
    other = load(world.pki.signer("79001", algorithm="p256").certificate_der)
    for certificate, by in ((other, issuer), (leaf, root), (leaf, world.pki.look_alike().certificate)):
        with pytest.raises(CertificateRefused):
            revoked_by_answer(good, certificate, by)
    with pytest.raises(CertificateRefused):
        revoked_by_answer(b"\x30\x03\x0a\x01\x06", leaf, issuer)
    # Somebody with a certificate of the same authority, but not one for answering.
    world.pki.publish(1, {})
    for name, path in (("ocsp.crt", world.facility.certificate), ("ocsp.key", world.facility.private_key)):
        (world.folder / f"{name}.kept").write_bytes((world.folder / name).read_bytes())
        (world.folder / name).write_bytes(path.read_bytes())
    try:
        forged = world.ocsp_answer(world.signer.certificate, world.pki.signing_authority.der)
    finally:
        for name in ("ocsp.crt", "ocsp.key"):
            (world.folder / name).write_bytes((world.folder / f"{name}.kept").read_bytes())
    with pytest.raises(CertificateRefused, match="neither by the issuer nor"):
        revoked_by_answer(forged, leaf, issuer)


def test_a_signer_cannot_make_time_stamps(world: World, tmp_path: Path) -> None:
    leaf, issuer, root = chain(world)
    token = world.timestamp(b"data")
    tsa = open_token(token, world.trust.timestamp_authorities)
    assert tsa.covers(b"data")
    info = signed_data.parse(token).content
    assert info is not None
    (tmp_path / "info").write_bytes(info)
    command = [openssl(), "cms", "-sign", "-binary", "-nodetach", "-cades", "-outform", "DER", "-in", "info"]
    command += ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", str(world.facility.certificate)]
    command += ["-inkey", str(world.facility.private_key), "-out", "forged"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    forged = (tmp_path / "forged").read_bytes()
    assert signed_data.verify(signed_data.parse(forged), info) == leaf
    with pytest.raises(TokenRefused, match="time-stamping authority"):
        open_token(forged, [root], [issuer])


def test_the_content_type_that_is_signed_is_the_one_that_is_shown(world: World) -> None:
    document = world.signed((SignatureForm.CMS_DETACHED,))
    signature, content = document.incoming.signatures[0].content, document.incoming.content
    signed_data.verify(signed_data.parse(signature), content)
    # The first one stands in the structure, the second among what is signed.
    start = signature.index(DATA)
    altered = signature[:start] + SIGNED_DATA + signature[start + len(DATA) :]
    with pytest.raises(SignedDataInvalid, match="content type"):
        signed_data.verify(signed_data.parse(altered), content)


def test_a_signature_by_somebody_else_than_the_verdict_says(world: World) -> None:
    members = unpack(world.package())
    other = world.pki.signer("79001", algorithm="p256")
    theirs = PemSigner(other.private_key, other.certificate)
    mine, world.signer = world.signer, theirs
    try:
        signature = world.signed((SignatureForm.CMS_DETACHED,)).incoming.signatures[0].content
    finally:
        world.signer = mine
    changed = world.sealed({**members, "signatures/1.p7s": signature})
    with pytest.raises(EvidenceError) as refused:
        verify_package(changed, world.trust, now=world.now + MINUTE)
    assert refused.value.reason == "SIGNATURE_INVALID"


def test_the_time_stamp_of_a_signature_is_over_that_signature(world: World) -> None:
    document = world.signed((SignatureForm.CMS_DETACHED,))
    value = signed_data.parse(document.incoming.signatures[0].content).signature

    def package(over: bytes, shift: timedelta = timedelta(0)) -> bytes:
        pieces = world.pieces()
        token = world.timestamp(over)
        opened = open_token(token, world.trust.timestamp_authorities)
        pieces["token"] = EvidencePiece(sha256(token), EvidenceKind.TIMESTAMP_TOKEN, token)
        tsa = opened.authority.public_bytes(Encoding.DER)
        pieces["tsa"] = EvidencePiece(sha256(tsa), EvidenceKind.CERTIFICATE, tsa)
        verdict = world.verdict(document, pieces)
        stamp = verdict_pb2.TimestampVerdict(
            valid=True, token_sha256=sha256(token), authority_certificate_sha256=sha256(tsa)
        )
        stamp.time.FromDatetime(opened.time + shift)
        verdict.signatures[0].timestamps.append(stamp)
        return world.build(world.contents(document, verdict, tuple(pieces.values())))

    verify_package(package(value), world.trust, now=world.now + MINUTE)
    for wrong in (package(b"another signature"), package(value, timedelta(seconds=1))):
        with pytest.raises(EvidenceError) as refused:
            verify_package(wrong, world.trust, now=world.now + MINUTE)
        assert refused.value.reason == "TIMESTAMP_INVALID"
