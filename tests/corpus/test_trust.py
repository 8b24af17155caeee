"""Signatures that are right and must not pass: who signed, under which chain, when, in which role, and over which part.

Each case bends one thing of a world in which the same document passes (`test_formats.test_a_good_document_passes`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.client.batch import make_batch

from deploy.local.pki import Authority, SigningPair
from services.signing.model import (
    AuthorityKind,
    AuthorityPurpose,
    BatchMembership,
    CarriedSignature,
    DocumentPart,
    SignatureFormat,
    SignedDocument,
    SignerRole,
    SignerState,
)
from services.signing.policy import AlgorithmRule
from tests.corpus.conftest import AT, BATCH, Corpus, carried, enveloped
from tests.integration.signing.trust_world import DAY, FACILITY, HOUR, NOW, registered, signer
from tests.unit.signing.formats import test_format_jws as jws
from tests.unit.signing.formats.conftest import Identity
from tests.unit.signing.formats.test_format_cms import CONTENT
from tests.unit.signing.formats.test_format_xades import TABLE
from tests.unit.signing.formats.test_format_xmldsig import DOCUMENT
from tests.unit.signing.formats.xades_writer import sign_xades

Case = Callable[[Corpus], SignedDocument]
MINUTE = timedelta(minutes=1)
OPEN, FAILED = "INDETERMINATE", "TOTAL_FAILED"


def by(pair: SigningPair) -> SignedDocument:
    """A document signed by another key."""
    return carried(CONTENT, CarriedSignature(SignatureFormat.CMS_DETACHED, sign_detached(CONTENT, _signer(pair))))


def _signer(pair: SigningPair) -> Pkcs12Signer:
    return signer(pair)


def own(corpus: Corpus) -> SignedDocument:
    """A document signed by the registered key."""
    return corpus.good(SignatureFormat.CMS_DETACHED)


def unregistered(corpus: Corpus) -> SignedDocument:
    return by(corpus.world.pki.signer(FACILITY, algorithm="p256"))


def of_another_facility(corpus: Corpus) -> SignedDocument:
    corpus.world.register(corpus.pair, facility="79001")
    return own(corpus)


def submitted_by_another_facility(corpus: Corpus) -> SignedDocument:
    return replace(own(corpus), facility="79001")


def suspended(corpus: Corpus) -> SignedDocument:
    corpus.world.register(corpus.pair, state=SignerState.SUSPENDED, since=NOW - DAY)
    return own(corpus)


def compromised(corpus: Corpus) -> SignedDocument:
    corpus.world.register(corpus.pair, state=SignerState.COMPROMISED, since=NOW - DAY)
    return own(corpus)


def revoked(corpus: Corpus) -> SignedDocument:
    corpus.world.revoke(corpus.pair, NOW - DAY)
    return own(corpus)


def revoked_for_a_stolen_key(corpus: Corpus) -> SignedDocument:
    corpus.world.revoke(corpus.pair, NOW - HOUR, invalid_since=NOW - DAY, reason="keyCompromise")
    return own(corpus)


def expired(corpus: Corpus) -> SignedDocument:
    return known(corpus, starts=NOW - 30 * DAY, ends=NOW - DAY)


def not_yet_valid(corpus: Corpus) -> SignedDocument:
    return known(corpus, starts=NOW + DAY, ends=NOW + 30 * DAY)


def known(corpus: Corpus, **options: object) -> SignedDocument:
    """Signed by a key that is registered, and whose certificate is made as wanted."""
    pair = corpus.world.pki.signer(FACILITY, **{"algorithm": "p256", **options})  # type: ignore[arg-type] # by name
    corpus.world.register(pair)
    return by(pair)


def for_servers(corpus: Corpus) -> SignedDocument:
    return known(corpus, usage=ExtendedKeyUsageOID.SERVER_AUTH)


def for_clients(corpus: Corpus) -> SignedDocument:
    return known(corpus, usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def look_alike(corpus: Corpus) -> SignedDocument:
    return known(corpus, authority=corpus.world.pki.look_alike())


def unknown_authority(corpus: Corpus) -> SignedDocument:
    return known(corpus, authority=Authority("Somebody else's CA"))


def no_root(corpus: Corpus) -> SignedDocument:
    corpus.world.authorities = corpus.world.authorities[1:]
    return own(corpus)


def no_intermediate(corpus: Corpus) -> SignedDocument:
    corpus.world.authorities = corpus.world.authorities[:1]
    return own(corpus)


def authority_for_time_only(corpus: Corpus) -> SignedDocument:
    pki = corpus.world.pki
    corpus.world.authorities = [
        registered(pki.signing_root, AuthorityKind.ROOT, AuthorityPurpose.TIMESTAMPING),
        registered(pki.signing_authority, AuthorityKind.INTERMEDIATE, AuthorityPurpose.TIMESTAMPING),
    ]
    return own(corpus)


def sunset(corpus: Corpus) -> SignedDocument:
    root, *others = corpus.world.authorities
    corpus.world.authorities = [replace(root, sunset_at=NOW - DAY), *others]
    return own(corpus)


def below_a_path_limit(corpus: Corpus) -> SignedDocument:
    """The issuing authority may have no authority below it (path length 0)."""
    below = Authority("Authority below its limit", corpus.world.pki.signing_authority)
    corpus.world.authorities.append(registered(below, AuthorityKind.INTERMEDIATE))
    return known(corpus, authority=below)


def weak_key(corpus: Corpus) -> SignedDocument:
    pair = corpus.world.pki.signer(FACILITY, algorithm="rsa1024")
    corpus.world.register(pair)
    key = load_pem_private_key(pair.private_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    identity = Identity(key, x509.load_der_x509_certificate(pair.certificate_der))
    text = json.dumps({"alg": "RS256"} | jws.header(identity.der)).encode()
    signed = jws.url64(text).encode() + b"." + CONTENT
    value = jws.url64(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).encode()
    return carried(CONTENT, CarriedSignature(SignatureFormat.JWS_DETACHED, jws.url64(text).encode() + b".." + value))


def algorithm_that_ended(corpus: Corpus) -> SignedDocument:
    ended = tuple(
        replace(rule, end=NOW - MINUTE) if rule.name.startswith("ecdsa-p256") else rule
        for rule in corpus.world.policy.algorithms
    )
    corpus.world.policy = replace(corpus.world.policy, algorithms=ended)
    return own(corpus)


def algorithm_that_is_not_listed(corpus: Corpus) -> SignedDocument:
    kept: tuple[AlgorithmRule, ...] = tuple(
        rule for rule in corpus.world.policy.algorithms if not rule.name.startswith("ecdsa-p256")
    )
    corpus.world.policy = replace(corpus.world.policy, algorithms=kept)
    return own(corpus)


def practitioner_for_the_facility(corpus: Corpus) -> SignedDocument:
    corpus.world.register(corpus.pair, role=SignerRole.PRACTITIONER, licence="000001/BYT-CCHN")
    return own(corpus)


def part_that_is_not_there(corpus: Corpus) -> SignedDocument:
    file = sign_xades(None, "", corpus.identity, AT, content=TABLE)
    signed = enveloped(sign_envelope(DOCUMENT, corpus.signer))
    beside = CarriedSignature(SignatureFormat.XADES_DETACHED, file, part="XML13")
    return replace(signed, signatures=(beside,))


def part_that_differs(corpus: Corpus) -> SignedDocument:
    document = part_that_is_not_there(corpus)
    return replace(document, parts=(DocumentPart("XML13", TABLE + b" "),))


def two_parts_of_one_name(corpus: Corpus) -> SignedDocument:
    document = part_that_is_not_there(corpus)
    return replace(document, parts=(DocumentPart("XML13", TABLE), DocumentPart("XML13", TABLE)))


def one_good_and_one_bad(corpus: Corpus) -> SignedDocument:
    signed = enveloped(sign_envelope(DOCUMENT, corpus.signer))
    bad = CarriedSignature(SignatureFormat.CMS_DETACHED, sign_detached(b"something else", corpus.signer))
    return replace(signed, signatures=(bad,))


def nine_signatures(corpus: Corpus) -> SignedDocument:
    (one,) = own(corpus).signatures
    return carried(CONTENT, *[one] * 9)


def seventeen_parts(corpus: Corpus) -> SignedDocument:
    return replace(own(corpus), parts=tuple(DocumentPart(f"XML{number}", b"x") for number in range(17)))


def no_signature_at_all(corpus: Corpus) -> SignedDocument:
    return carried(CONTENT)


def enveloped_form_beside(corpus: Corpus) -> SignedDocument:
    (one,) = own(corpus).signatures
    return carried(CONTENT, replace(one, format=SignatureFormat.XMLDSIG_ENVELOPED))


def detached_form_inside(corpus: Corpus) -> SignedDocument:
    return SignedDocument(CONTENT, SignatureFormat.CMS_DETACHED, FACILITY, NOW)


def batch_of_another_facility(corpus: Corpus) -> SignedDocument:
    manifest, paths = make_batch("79001", BATCH)
    place = BatchMembership(manifest.encode(), 0, tuple(paths[0]))
    signature = sign_detached(manifest.encode().encode(), corpus.signer)
    return carried(BATCH[0], CarriedSignature(SignatureFormat.BATCH, signature, batch=place))


CASES: dict[Case, tuple[str, str, str]] = {
    unregistered: (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_NOT_REGISTERED"),
    of_another_facility: (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_OF_OTHER_FACILITY"),
    submitted_by_another_facility: (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_OF_OTHER_FACILITY"),
    suspended: (OPEN, "SIG_CONSTRAINTS_FAILURE", "SIGNER_SUSPENDED"),
    compromised: (OPEN, "REVOKED_NO_POE", "KEY_COMPROMISED"),
    revoked: (OPEN, "REVOKED_NO_POE", "CERTIFICATE_REVOKED"),
    revoked_for_a_stolen_key: (OPEN, "REVOKED_NO_POE", "CERTIFICATE_REVOKED"),
    expired: (OPEN, "OUT_OF_BOUNDS_NO_POE", "CERTIFICATE_EXPIRED"),
    not_yet_valid: (OPEN, "OUT_OF_BOUNDS_NO_POE", "CERTIFICATE_NOT_YET_VALID"),
    for_servers: (OPEN, "CHAIN_CONSTRAINTS_FAILURE", "PURPOSE_WRONG"),
    for_clients: (OPEN, "CHAIN_CONSTRAINTS_FAILURE", "PURPOSE_WRONG"),
    look_alike: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND"),
    unknown_authority: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND"),
    no_root: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND"),
    no_intermediate: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND"),
    authority_for_time_only: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND", "CHAIN_NOT_FOUND"),
    sunset: (OPEN, "NO_CERTIFICATE_CHAIN_FOUND_NO_POE", "AUTHORITY_SUNSET"),
    below_a_path_limit: (OPEN, "CHAIN_CONSTRAINTS_FAILURE", "PATH_REFUSED"),
    weak_key: (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "KEY_TOO_SMALL"),
    algorithm_that_ended: (OPEN, "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "ALGORITHM_EXPIRED"),
    algorithm_that_is_not_listed: (OPEN, "CRYPTO_CONSTRAINTS_FAILURE", "ALGORITHM_UNKNOWN"),
    practitioner_for_the_facility: (OPEN, "SIG_CONSTRAINTS_FAILURE", "ROLE_MISSING"),
    part_that_is_not_there: (OPEN, "SIGNED_DATA_NOT_FOUND", "PART_MISSING"),
    part_that_differs: (FAILED, "HASH_FAILURE", "DIGEST_MISMATCH"),
    two_parts_of_one_name: (FAILED, "FORMAT_FAILURE", "PART_NOT_UNIQUE"),
    one_good_and_one_bad: (FAILED, "HASH_FAILURE", "DIGEST_MISMATCH"),
    nine_signatures: (FAILED, "FORMAT_FAILURE", "SIGNATURES_TOO_MANY"),
    seventeen_parts: (FAILED, "FORMAT_FAILURE", "SIGNATURES_TOO_MANY"),
    no_signature_at_all: ("NO_SIGNATURE_FOUND", "", "SIGNATURE_MISSING"),
    enveloped_form_beside: (FAILED, "FORMAT_FAILURE", "FORMAT_NOT_DETACHED"),
    detached_form_inside: (FAILED, "FORMAT_FAILURE", "FORMAT_NOT_ENVELOPED"),
    batch_of_another_facility: (OPEN, "SIG_CONSTRAINTS_FAILURE", "BATCH_OF_OTHER_FACILITY"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_what_must_not_pass(corpus: Corpus, case: Case) -> None:
    verdict = await corpus.judge(case(corpus))
    assert (verdict.indication.value, verdict.sub_indication, verdict.reason) == CASES[case]
    assert not verdict.acceptable


async def test_a_signature_older_than_the_revocation_stays_good(corpus: Corpus) -> None:
    corpus.world.revoke(corpus.pair, NOW + DAY)
    assert (await corpus.judge(own(corpus))).indication.value == "TOTAL_PASSED"
    corpus.now = NOW + 2 * DAY
    existed = replace(own(corpus), received_at=corpus.now, existed_at=NOW)
    corpus.world.fresh_list(corpus.now)
    verdict = await corpus.judge(existed)
    assert (verdict.indication.value, verdict.sub_indication, verdict.reason) == ("TOTAL_PASSED", "", "")


async def test_an_unknown_revocation_state_is_open_and_acceptable(corpus: Corpus) -> None:
    corpus.world.lists.clear()
    verdict = await corpus.judge(own(corpus))
    assert (verdict.indication.value, verdict.sub_indication) == ("INDETERMINATE", "TRY_LATER")
    assert verdict.acceptable
