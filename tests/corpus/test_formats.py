"""Every mutation of every format, through the role's own operation: the right indication, sub-indication and reason, and never acceptable.

The mutations stand beside the verifiers' own tests; here they are judged whole, with trust that would let them pass if they held.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sized
from dataclasses import replace

import pytest
from lienthong.client.batch import make_batch

from services.signing.model import CarriedSignature, SignatureFormat, SignedDocument
from tests.corpus.conftest import BATCH, Corpus
from tests.unit.signing.formats import (
    test_format_cms as cms,
)
from tests.unit.signing.formats import (
    test_format_jws as jws,
)
from tests.unit.signing.formats import (
    test_format_pades as pades,
)
from tests.unit.signing.formats import (
    test_format_xades as xades,
)
from tests.unit.signing.formats import (
    test_format_xmldsig as xmldsig,
)

Triple = tuple[str, str, str]
Mutation = Callable[[bytes], bytes]
F, H, S = "FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE"
INDICATIONS = {
    F: "TOTAL_FAILED",
    H: "TOTAL_FAILED",
    S: "TOTAL_FAILED",
    "CRYPTO_CONSTRAINTS_FAILURE": "INDETERMINATE",
    "NO_SIGNING_CERTIFICATE_FOUND": "INDETERMINATE",
    "SIGNED_DATA_NOT_FOUND": "INDETERMINATE",
    "SIGNATURE_POLICY_NOT_AVAILABLE": "INDETERMINATE",
}


def expected(sub_indication: str, reason: str) -> Triple:
    if sub_indication == "NO_SIGNATURE_FOUND":
        return "NO_SIGNATURE_FOUND", "", reason
    return INDICATIONS[sub_indication], sub_indication, reason


async def said(corpus: Corpus, document: SignedDocument) -> Triple:
    verdict = await corpus.judge(document)
    assert not verdict.acceptable
    return verdict.indication.value, verdict.sub_indication, verdict.reason


def with_signature(document: SignedDocument, change: Mutation) -> SignedDocument:
    (one,) = document.signatures
    changed = change(one.content)
    assert changed != one.content
    return replace(document, signatures=(replace(one, content=changed),))


@pytest.mark.parametrize("format", SignatureFormat)
async def test_a_good_document_passes(corpus: Corpus, format: SignatureFormat) -> None:
    verdict = await corpus.judge(await asyncio.to_thread(corpus.good, format))
    assert (verdict.indication.value, verdict.sub_indication, verdict.reason) == ("TOTAL_PASSED", "", "")
    assert verdict.acceptable
    assert corpus.kept


# The tables of XMLDSig were written for an RSA key; these speak of its algorithm.
_RSA_ONLY = {
    "ECDSA over an RSA key",
    "other digest of the same key",
    "PSS for PKCS#1 v1.5",
    "SHA-1 signature",
    "HMAC",
    "HMAC-SHA256",
    "output length",
    "signature value without padding",
}


@pytest.mark.parametrize("name", sorted(set(xmldsig.MUTATIONS) - _RSA_ONLY))
async def test_xmldsig(corpus: Corpus, name: str) -> None:
    mutate, sub_indication, reason = xmldsig.MUTATIONS[name]
    good = corpus.good(SignatureFormat.XMLDSIG_ENVELOPED)
    document = replace(good, content=mutate(good.content))
    assert document.content != good.content
    assert await said(corpus, document) == expected(sub_indication, reason)


@pytest.mark.parametrize("name", sorted(xades.MUTATIONS))
async def test_xades(corpus: Corpus, name: str) -> None:
    mutate, sub_indication, reason = xades.MUTATIONS[name]
    good = corpus.good(SignatureFormat.XADES_ENVELOPED)
    document = replace(good, content=mutate(good.content))
    assert document.content != good.content
    assert await said(corpus, document) == expected(sub_indication, reason)


@pytest.mark.parametrize("name", sorted(xades.DETACHED))
async def test_xades_detached(corpus: Corpus, name: str) -> None:
    mutate, sub_indication, reason = xades.DETACHED[name]
    document = with_signature(corpus.good(SignatureFormat.XADES_DETACHED), mutate)
    assert await said(corpus, document) == expected(sub_indication, reason)


@pytest.mark.parametrize("name", sorted(cms.MUTATIONS))
async def test_cms(corpus: Corpus, name: str) -> None:
    change, sub_indication, reason = cms.MUTATIONS[name]
    good = corpus.good(SignatureFormat.CMS_DETACHED)
    (one,) = good.signatures
    document = replace(good, signatures=(replace(one, content=cms.altered(change)),))
    assert await said(corpus, document) == expected(sub_indication, reason)


OPENSSL = {
    "without-ess": (F, "SIGNING_CERTIFICATE_ATTRIBUTE_MISSING"),
    "without-attributes": (F, "SIGNED_ATTRIBUTES_MISSING"),
    "attached": (F, "CONTENT_NOT_DETACHED"),
    "sha1": ("CRYPTO_CONSTRAINTS_FAILURE", "DIGEST_ALGORITHM_WEAK"),
    "two-signers": (F, "SIGNATURE_NOT_UNIQUE"),
    "pem": (F, "CMS_MALFORMED"),
    "ecdsa-nocerts": ("NO_SIGNING_CERTIFICATE_FOUND", "SIGNING_CERTIFICATE_MISMATCH"),
}


@pytest.mark.parametrize("name", OPENSSL)
async def test_cms_as_openssl_can_make_it(corpus: Corpus, name: str) -> None:
    content = (cms.DATA / f"openssl-{name}.p7s").read_bytes()
    document = with_signature(corpus.good(SignatureFormat.CMS_DETACHED), lambda _: content)
    assert await said(corpus, document) == expected(*OPENSSL[name])


@pytest.mark.parametrize("name", sorted(jws.MEMBERS))
async def test_jws_headers(corpus: Corpus, name: str) -> None:
    members, sub_indication, reason = jws.MEMBERS[name]
    text = json.dumps({"alg": "ES256"} | jws.header(corpus.identity.der, **members)).encode()
    document = with_signature(corpus.good(SignatureFormat.JWS_DETACHED), lambda _: jws.raw(corpus.identity, text))
    assert await said(corpus, document) == expected(sub_indication, reason)


@pytest.mark.parametrize("name", sorted(jws.SPELLINGS))
async def test_jws_spellings(corpus: Corpus, name: str) -> None:
    mutate, reason = jws.SPELLINGS[name]
    document = with_signature(corpus.good(SignatureFormat.JWS_DETACHED), mutate)
    assert await said(corpus, document) == expected(F, reason)


@pytest.mark.parametrize(
    ("algorithm", "sub_indication", "reason"),
    [
        ("none", "CRYPTO_CONSTRAINTS_FAILURE", "SIGNATURE_ALGORITHM_WEAK"),
        ("HS256", "CRYPTO_CONSTRAINTS_FAILURE", "SIGNATURE_ALGORITHM_UNSUPPORTED"),
        ("RS1", "CRYPTO_CONSTRAINTS_FAILURE", "SIGNATURE_ALGORITHM_WEAK"),
        ("RS256", S, "KEY_TYPE_MISMATCH"),
    ],
)
async def test_jws_algorithms(corpus: Corpus, algorithm: str, sub_indication: str, reason: str) -> None:
    text = json.dumps({"alg": algorithm} | jws.header(corpus.identity.der)).encode()
    document = with_signature(corpus.good(SignatureFormat.JWS_DETACHED), lambda _: jws.raw(corpus.identity, text))
    assert await said(corpus, document) == expected(sub_indication, reason)


@pytest.mark.parametrize("name", sorted(pades.MUTATIONS))
async def test_pades(corpus: Corpus, name: str) -> None:
    mutate, sub_indication, reason = pades.MUTATIONS[name]
    # pyHanko signs in an event loop of its own.
    good = await asyncio.to_thread(corpus.good, SignatureFormat.PADES)
    document = replace(good, content=await asyncio.to_thread(mutate, good.content))
    assert document.content != good.content
    assert await said(corpus, document) == expected(sub_indication, reason)


def _batch(change: Callable[[CarriedSignature], CarriedSignature]) -> Callable[[SignedDocument], SignedDocument]:
    return lambda document: replace(document, signatures=(change(document.signatures[0]),))


def _forged(document: SignedDocument) -> SignedDocument:
    """Another manifest under the genuine signature."""
    manifest, paths = make_batch("01001", [b"forged", *BATCH[1:]])
    (one,) = document.signatures
    assert one.batch is not None
    place = replace(one.batch, manifest=manifest.encode(), index=0, path=tuple(paths[0]))
    return replace(document, content=b"forged", signatures=(replace(one, batch=place),))


def _place(**changes: object) -> Callable[[SignedDocument], SignedDocument]:
    def change(one: CarriedSignature) -> CarriedSignature:
        assert one.batch is not None
        return replace(one, batch=replace(one.batch, **changes))  # type: ignore[arg-type] # each is of its field's type

    return _batch(change)


def _manifest(change: Callable[[str], str]) -> Callable[[SignedDocument], SignedDocument]:
    def changed(one: CarriedSignature) -> CarriedSignature:
        assert one.batch is not None
        return replace(one, batch=replace(one.batch, manifest=change(one.batch.manifest)))

    return _batch(changed)


BATCHES: dict[str, tuple[Callable[[SignedDocument], SignedDocument], str, str]] = {
    "other document": (lambda one: replace(one, content=one.content + b"x"), H, "BATCH_MEMBERSHIP_WRONG"),
    "other index": (_place(index=1), H, "BATCH_MEMBERSHIP_WRONG"),
    "index beyond the end": (_place(index=5), H, "BATCH_MEMBERSHIP_WRONG"),
    "negative index": (_place(index=-1), H, "BATCH_MEMBERSHIP_WRONG"),
    "no path": (_place(path=()), H, "BATCH_MEMBERSHIP_WRONG"),
    "path too long": (_place(path=(bytes(32),) * 15), H, "BATCH_MEMBERSHIP_WRONG"),
    "hashes of another length": (_place(path=(bytes(31),) * 3), H, "BATCH_MEMBERSHIP_WRONG"),
    "forged manifest": (_forged, H, "DIGEST_MISMATCH"),
    "manifest of another facility": (_manifest(lambda text: text.replace("01001", "79001")), H, "DIGEST_MISMATCH"),
    "one document more": (_manifest(lambda text: text.replace("\n5\n", "\n6\n")), H, "DIGEST_MISMATCH"),
    "trailing space": (_manifest(lambda text: text + " "), F, "BATCH_MANIFEST_MALFORMED"),
    "no manifest": (_manifest(lambda _: ""), F, "BATCH_MANIFEST_MALFORMED"),
    "no membership": (_batch(lambda one: replace(one, batch=None)), F, "BATCH_MEMBERSHIP_MISSING"),
    "changed value": (
        _batch(lambda one: replace(one, content=one.content[:-1] + bytes([one.content[-1] ^ 1]))),
        S,
        "SIGNATURE_VALUE_WRONG",
    ),
    "signature over the document alone": (
        lambda one: replace(one, signatures=(replace(one.signatures[0], format=SignatureFormat.CMS_DETACHED),)),
        H,
        "DIGEST_MISMATCH",
    ),
}


@pytest.mark.parametrize("name", BATCHES)
async def test_batch(corpus: Corpus, name: str) -> None:
    change, sub_indication, reason = BATCHES[name]
    good = corpus.good(SignatureFormat.BATCH)
    document = change(good)
    assert document != good
    assert await said(corpus, document) == expected(sub_indication, reason)


def test_the_corpus_is_large() -> None:
    """Its acceptance: at least sixty documents, each refused by its own reason; `test_trust.py` adds those whose signature is right."""
    tables: list[Sized] = [xmldsig.MUTATIONS, xades.MUTATIONS, xades.DETACHED, cms.MUTATIONS, pades.MUTATIONS]
    tables += [jws.MEMBERS, jws.SPELLINGS, BATCHES]
    assert sum(len(table) for table in tables) >= 200
