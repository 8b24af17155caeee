"""Batch signatures: one signature for many documents, each verified with its own place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.client.batch import make_batch

from services.signing.formats.batch import BatchVerifier
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import Finding
from services.signing.model import BatchMembership, SignatureFormat, SignatureLevel

DOCUMENTS = [f"document {number}".encode() for number in range(5)]
F, H, S = "FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE"


@pytest.fixture(scope="module")
def batch(signers: Mapping[str, Pkcs12Signer]) -> tuple[bytes, list[BatchMembership]]:
    manifest, paths = make_batch("01001", DOCUMENTS)
    text = manifest.encode()
    signature = sign_detached(text.encode(), signers["p256"])
    return signature, [BatchMembership(text, index, path) for index, path in enumerate(paths)]


def test_one_signature_for_all(
    batch: tuple[bytes, list[BatchMembership]], signers: Mapping[str, Pkcs12Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    signature, places = batch
    calls: list[bytes] = []

    def counted(content: bytes, value: bytes, registered: Mapping[str, bytes] | None = None) -> object:
        calls.append(content)
        return verify_cms(content, value, registered)

    monkeypatch.setattr("services.signing.formats.batch.verify_cms", counted)
    verifier = BatchVerifier()
    for place, document in zip(places, DOCUMENTS, strict=True):
        facts = verifier.verify(document, signature, place)
        assert (facts.format, facts.level, facts.facility) == (SignatureFormat.BATCH, SignatureLevel.B, "01001")
        assert (facts.covered, facts.signer_certificate_der) == (document, signers["p256"].certificate)
    assert calls == [places[0].manifest.encode()]


def refused(
    verifier: BatchVerifier, document: bytes, signature: bytes, place: BatchMembership | None
) -> tuple[str, str]:
    with pytest.raises(Finding) as caught:
        verifier.verify(document, signature, place)
    return str(caught.value.sub_indication), caught.value.reason


def test_every_mutation_has_its_reason(batch: tuple[bytes, list[BatchMembership]]) -> None:
    signature, places = batch
    verifier, place, document = BatchVerifier(), places[2], DOCUMENTS[2]
    # The cache is warm: what is refused is refused in spite of it.
    verifier.verify(document, signature, place)
    other, paths = make_batch("01001", [b"forged", *DOCUMENTS[1:]])
    forged = BatchMembership(other.encode(), 0, paths[0])
    assert refused(verifier, document + b"x", signature, place) == (H, "BATCH_MEMBERSHIP_WRONG")
    assert refused(verifier, document, signature, replace(place, index=1)) == (H, "BATCH_MEMBERSHIP_WRONG")
    assert refused(verifier, document, signature, replace(place, index=-1)) == (H, "BATCH_MEMBERSHIP_WRONG")
    assert refused(verifier, document, signature, replace(place, path=place.path[:-1])) == (H, "BATCH_MEMBERSHIP_WRONG")
    assert refused(verifier, document, signature, replace(place, path=(bytes(32),) * 15)) == (
        H,
        "BATCH_MEMBERSHIP_WRONG",
    )
    assert refused(verifier, b"forged", signature, forged) == (H, "DIGEST_MISMATCH")
    claimed = replace(place, manifest=place.manifest.replace("01001", "79001"))
    assert refused(verifier, document, signature, claimed) == (H, "DIGEST_MISMATCH")
    assert refused(verifier, document, signature, None) == (F, "BATCH_MEMBERSHIP_MISSING")
    assert refused(verifier, document, signature, replace(place, manifest=place.manifest + " ")) == (
        F,
        "BATCH_MANIFEST_MALFORMED",
    )
    assert refused(verifier, document, signature, replace(place, manifest="é" * 100)) == (F, "BATCH_MANIFEST_MALFORMED")
    assert refused(verifier, document, signature[:-1] + bytes([signature[-1] ^ 1]), place) == (
        S,
        "SIGNATURE_VALUE_WRONG",
    )
    assert refused(verifier, document, b"x" * 70_000, place) == (F, "SIGNATURE_TOO_LARGE")


def test_the_memory_is_bounded(batch: tuple[bytes, list[BatchMembership]], signers: Mapping[str, Pkcs12Signer]) -> None:
    verifier = BatchVerifier(capacity=2)
    for number in range(4):
        manifest, paths = make_batch("01001", [str(number).encode()])
        text = manifest.encode()
        place = BatchMembership(text, 0, paths[0])
        signature = sign_detached(text.encode(), signers["p256"])
        verifier.verify(str(number).encode(), signature, place)
        refused(verifier, str(number).encode(), signature + b"\x00", place)
    assert len(verifier) == 2


@given(st.text(max_size=150), st.integers(), st.lists(st.binary(max_size=40), max_size=20), st.binary(max_size=100))
def test_anything_is_refused_by_name(manifest: str, index: int, path: list[bytes], signature: bytes) -> None:
    with pytest.raises(Finding):
        BatchVerifier().verify(b"document", signature, BatchMembership(manifest, index, tuple(path)))
    place = BatchMembership(make_batch("01001", DOCUMENTS)[0].encode(), index, tuple(path))
    with pytest.raises(Finding):
        BatchVerifier().verify(b"document", signature, place)
