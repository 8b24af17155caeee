"""Receipts: what holds is reported, and every corruption fails by its own name."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, inclusion_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner, sign_note
from lienthong.client.tlog.policy import TrustPolicy, WitnessGroup
from lienthong.client.tlog.promise import KEY_NAME, Promise, parse_time, promise_entry
from lienthong.client.tlog.proof import ProofMalformed, TlogProof
from lienthong.client.tlog.receipt import (
    Receipt,
    ReceiptCheckpointInvalid,
    ReceiptCosignatureInvalid,
    ReceiptDocumentMismatch,
    ReceiptError,
    ReceiptKeyUnknown,
    ReceiptLeafMismatch,
    ReceiptMalformed,
    ReceiptPathInvalid,
    ReceiptPromiseInvalid,
    ReceiptState,
    ReceiptTimeInvalid,
    ReceiptWitnessMissing,
    commitment,
    verify_receipt,
)

ORIGIN = "log.lienthong.vn/2026"
LOG, PROMISER = NoteSigner.generate(ORIGIN), NoteSigner.generate(KEY_NAME)
WITNESS = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())
TRUST = TrustPolicy(logs=(LOG.verifier_key,), promise_keys=(PROMISER.verifier_key,))
WITNESSED = replace(TRUST, witnesses={"w1": WITNESS.verifier_key}, quorum="w1")
DOCUMENT, SALT = b"<GIAMDINHHS/>", bytes(range(32))
RECEIVED = datetime(2026, 11, 23, 4, 5, 6, 789000, tzinfo=UTC)
NOW = RECEIVED + timedelta(hours=1)
INDEX, SIZE = 11, 21


def entry_bytes(**changes: Any) -> bytes:
    value = {
        "v": 1,
        "kind": "XML130_ENVELOPE",
        "facility": "01001",
        "sequence": 17,
        "submission": "01990000-0000-7000-8000-000000000001",
        "commitment": commitment(SALT, DOCUMENT).hex(),
        "signer_certificate_sha256": "ab" * 32,
        "indication": "TOTAL_PASSED",
        "received_at": "2026-11-23T04:05:06.789Z",
    }
    return json.dumps({**value, **changes}).encode()


def proof_of(entry: bytes) -> TlogProof:
    edge = CompactRange()
    nodes: dict[Node, bytes] = {}
    for number in range(SIZE):
        nodes.update(edge.append(leaf_hash(entry if number == INDEX else b"entry %d" % number)))
    note = sign_checkpoint(Checkpoint(ORIGIN, SIZE, edge.root()), LOG)
    return TlogProof(INDEX, tuple(inclusion_path(INDEX, SIZE, nodes)), note, entry)


def receipt_of(entry: bytes, received_at: datetime = RECEIVED, delay: timedelta = timedelta(seconds=60)) -> Receipt:
    promise = promise_entry(entry, received_at, PROMISER, delay)
    return Receipt(entry, SALT, promise, proof_of(entry).encode(), "0123456789abcdef" * 2)


ENTRY = entry_bytes()
PROOF = proof_of(ENTRY)
RECEIPT = receipt_of(ENTRY)
PROMISE_TEXT = RECEIPT.promise.split("\n\n")[0] + "\n"


def fails_with(expected: type[ReceiptError], receipt: Receipt, trust: TrustPolicy = TRUST, **keywords: Any) -> None:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt, trust, **{"document": DOCUMENT, "now": NOW, **keywords})
    assert caught.type is expected, caught.value


def flipped(digest: bytes) -> bytes:
    return bytes([digest[0] ^ 1]) + digest[1:]


def with_proof(change: Callable[[TlogProof], TlogProof]) -> Receipt:
    return replace(RECEIPT, tlog_proof=change(PROOF).encode())


def test_a_complete_receipt() -> None:
    report = verify_receipt(RECEIPT, TRUST, document=DOCUMENT, now=NOW)
    assert (report.state, report.leaf_index, report.tree_size, report.origin) == (
        ReceiptState.LOGGED,
        INDEX,
        SIZE,
        ORIGIN,
    )
    assert (report.entry.facility, report.entry.sequence, report.entry.received_at) == ("01001", 17, RECEIVED)
    assert report.document_checked
    assert not report.overdue
    assert "LOGGED" in str(report)
    assert not verify_receipt(RECEIPT, TRUST, document=None, now=NOW).document_checked


def test_a_promise_only_receipt() -> None:
    bare = replace(RECEIPT, tlog_proof=None)
    soon = verify_receipt(bare, TRUST, document=DOCUMENT, now=RECEIVED + timedelta(seconds=1))
    assert (soon.state, soon.deadline, soon.overdue) == (ReceiptState.PROMISED, RECEIVED + timedelta(seconds=60), False)
    late = verify_receipt(bare, TRUST, document=DOCUMENT, now=NOW)
    assert late.overdue
    assert "OVERDUE" in str(late)


def test_the_portable_file_round_trips() -> None:
    for receipt in (RECEIPT, replace(RECEIPT, tlog_proof=None, trace_id="")):
        assert Receipt.from_json(receipt.to_json()) == receipt


def test_a_changed_leaf() -> None:
    fails_with(ReceiptLeafMismatch, replace(RECEIPT, entry=entry_bytes(sequence=18)))
    fails_with(ReceiptLeafMismatch, replace(RECEIPT, entry=ENTRY + b" "))
    fails_with(ReceiptLeafMismatch, with_proof(lambda proof: replace(proof, extra=entry_bytes(sequence=18))))
    fails_with(ReceiptLeafMismatch, with_proof(lambda proof: replace(proof, extra=None)))
    fails_with(ReceiptLeafMismatch, replace(RECEIPT, tlog_proof=PROOF.encode().replace("extra ", "extra !")))
    other = entry_bytes(sequence=18)
    fails_with(ReceiptLeafMismatch, replace(RECEIPT, entry=other, tlog_proof=proof_of(other).encode()))


@pytest.mark.parametrize("place", range(len(PROOF.path)))
def test_a_changed_path(place: int) -> None:
    path = list(PROOF.path)
    path[place] = flipped(path[place])
    fails_with(ReceiptPathInvalid, with_proof(lambda proof: replace(proof, path=tuple(path))))


@pytest.mark.parametrize(
    "change",
    [
        lambda proof: replace(proof, path=proof.path[:-1]),
        lambda proof: replace(proof, path=(*proof.path, proof.path[0])),
        lambda proof: replace(proof, path=()),
        lambda proof: replace(proof, index=INDEX + 1),
        lambda proof: replace(proof, index=SIZE),
    ],
)
def test_a_path_of_another_shape(change: Callable[[TlogProof], TlogProof]) -> None:
    fails_with(ReceiptPathInvalid, with_proof(change))


def test_a_path_line_that_is_not_base64() -> None:
    line = base64.b64encode(PROOF.path[0]).decode()
    fails_with(ReceiptPathInvalid, replace(RECEIPT, tlog_proof=PROOF.encode().replace(line, line[:-1])))
    fails_with(ReceiptPathInvalid, replace(RECEIPT, tlog_proof=PROOF.encode().replace("index 11", "index 011")))


def test_a_changed_checkpoint() -> None:
    note = PROOF.checkpoint
    root = note.split("\n")[2]
    for altered in (
        note.replace(root, base64.b64encode(flipped(base64.b64decode(root))).decode()),
        note.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n"),
        note.replace(ORIGIN + "\n", ORIGIN + "x\n"),
        note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:],
        note[:-1],
        note.replace("\n\n", "\n"),
    ):
        fails_with(ReceiptCheckpointInvalid, replace(RECEIPT, tlog_proof=replace(PROOF, checkpoint=altered).encode()))
    fails_with(ReceiptCheckpointInvalid, replace(RECEIPT, tlog_proof=PROOF.encode().split("\n\n")[0]))


def test_an_unknown_key() -> None:
    stranger = NoteSigner.generate(ORIGIN)
    forged = sign_checkpoint(Checkpoint(ORIGIN, SIZE, bytes(32)), stranger)
    fails_with(ReceiptKeyUnknown, with_proof(lambda proof: replace(proof, checkpoint=forged)))
    fails_with(ReceiptKeyUnknown, RECEIPT, replace(TRUST, logs=(stranger.verifier_key,)))
    fails_with(ReceiptKeyUnknown, RECEIPT, replace(TRUST, promise_keys=(stranger.verifier_key,)))
    fails_with(ReceiptKeyUnknown, RECEIPT, replace(TRUST, logs=()))
    # The log's key does not vouch for promises, nor the promise key for checkpoints.
    fails_with(ReceiptKeyUnknown, RECEIPT, TrustPolicy(logs=TRUST.promise_keys, promise_keys=TRUST.logs))


def test_a_changed_promise() -> None:
    other_hash = Promise(bytes(32), RECEIVED, RECEIVED + timedelta(seconds=60)).encode()
    wrong = RECEIPT.promise.replace(PROMISE_TEXT, other_hash)
    fails_with(ReceiptPromiseInvalid, replace(RECEIPT, promise=wrong))
    fails_with(ReceiptPromiseInvalid, replace(RECEIPT, promise=""))
    fails_with(ReceiptPromiseInvalid, replace(RECEIPT, promise=RECEIPT.promise[:-1]))
    fails_with(ReceiptPromiseInvalid, replace(RECEIPT, promise=RECEIPT.promise.replace("promise/v1", "promise/v2")))
    # A checkpoint signed with the promise key is no promise.
    fails_with(
        ReceiptPromiseInvalid, replace(RECEIPT, promise=sign_note(Checkpoint("x", 1, bytes(32)).encode(), [PROMISER]))
    )


def test_a_changed_time() -> None:
    lines = PROMISE_TEXT.split("\n")
    for line, altered in ((lines[2], lines[2].replace("06.", "07.")), (lines[3], lines[3].replace("2026", "2027"))):
        fails_with(ReceiptTimeInvalid, replace(RECEIPT, promise=RECEIPT.promise.replace(line, altered, 1)))
    fails_with(ReceiptTimeInvalid, receipt_of(ENTRY, received_at=RECEIVED + timedelta(seconds=1)))
    fails_with(ReceiptTimeInvalid, receipt_of(ENTRY, delay=timedelta(seconds=61)))
    fails_with(ReceiptTimeInvalid, receipt_of(ENTRY, delay=timedelta(seconds=-1)))
    fails_with(ReceiptTimeInvalid, receipt_of(ENTRY, delay=timedelta(0)))
    fails_with(ReceiptTimeInvalid, RECEIPT, now=RECEIVED - timedelta(minutes=6))


def test_another_document() -> None:
    fails_with(ReceiptDocumentMismatch, RECEIPT, document=DOCUMENT + b" ")
    fails_with(ReceiptDocumentMismatch, replace(RECEIPT, salt=flipped(SALT)))


@pytest.mark.parametrize(
    "entry",
    [
        b"[]",
        b"{}",
        b"\xff",
        b"not json",
        ENTRY.replace(b'"v": 1', b'"v": 1, "v": 1'),
        ENTRY.replace(b'"v": 1', b'"v": true'),
        ENTRY.replace(b'"v": 1', b'"v": 2'),
        ENTRY.replace(b'"sequence": 17', b'"sequence": NaN'),
        ENTRY.replace(b'"sequence": 17', b'"sequence": 17.0'),
        ENTRY.replace(b'"facility": "01001"', b'"facility": 1'),
        entry_bytes(commitment="AB" * 32),
        entry_bytes(received_at="2026-11-23 04:05:06"),
        entry_bytes(received_at="2026-13-23T04:05:06Z"),
        b"[" * 100_000,
    ],
)
def test_an_entry_that_is_not_ours_though_signed(entry: bytes) -> None:
    fails_with(ReceiptMalformed, receipt_of(entry))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        RECEIPT.to_json().replace('"lienthong_receipt": 1', '"lienthong_receipt": 2'),
        RECEIPT.to_json().replace('"lienthong_receipt": 1', '"lienthong_receipt": true'),
        RECEIPT.to_json().replace('"trace_id"', '"more": 1, "trace_id"'),
        RECEIPT.to_json().replace('"salt": "AA', '"salt": "!A'),
        RECEIPT.to_json().replace('"entry": "', '"entry": "", "entry": "'),
        json.dumps({**json.loads(RECEIPT.to_json()), "tlog_proof": 1}),
        json.dumps({**json.loads(RECEIPT.to_json()), "promise": None}),
        "{" * 100_000,
    ],
)
def test_a_file_that_is_no_receipt(text: str) -> None:
    with pytest.raises(ReceiptMalformed):
        Receipt.from_json(text)


@pytest.mark.parametrize("change", [{"salt": b"short"}, {"entry": b""}, {"trace_id": "x"}])
def test_a_receipt_with_a_field_of_the_wrong_length(change: dict[str, Any]) -> None:
    fails_with(ReceiptMalformed, replace(RECEIPT, **change))


def test_witnesses() -> None:
    cosigned = with_proof(lambda proof: replace(proof, checkpoint=WITNESS.cosign(proof.checkpoint, RECEIVED)))
    report = verify_receipt(cosigned, WITNESSED, document=DOCUMENT, now=NOW)
    assert (report.witnesses, report.witnessed_at) == (("witness.example/w1",), RECEIVED.replace(microsecond=0))
    assert "seen by 2026-" in str(report)
    fails_with(ReceiptWitnessMissing, RECEIPT, WITNESSED)
    other = WITNESS.cosign(sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(32)), LOG), RECEIVED).splitlines()[-1] + "\n"
    forged = with_proof(lambda proof: replace(proof, checkpoint=proof.checkpoint + other))
    fails_with(ReceiptCosignatureInvalid, forged, WITNESSED)
    good = WITNESS.cosign(PROOF.checkpoint, RECEIVED)
    for wrong in (corrupted(good), good + good.splitlines()[-1] + "\n"):
        fails_with(ReceiptCosignatureInvalid, with_proof(lambda proof: replace(proof, checkpoint=wrong)), WITNESSED)  # noqa: B023


@pytest.mark.parametrize("seen", [NOW + timedelta(minutes=6), RECEIVED - timedelta(minutes=6)])
def test_a_witness_whose_time_cannot_be(seen: datetime) -> None:
    fails_with(
        ReceiptTimeInvalid,
        with_proof(lambda proof: replace(proof, checkpoint=WITNESS.cosign(proof.checkpoint, seen))),
        WITNESSED,
    )


def test_by_when_the_quorum_had_seen_it() -> None:
    others = [Cosigner(f"witness.example/o{number}", Ed25519PrivateKey.generate()) for number in range(2)]
    keys = {"w": WITNESS.verifier_key, **{one.verifier_key.name: one.verifier_key for one in others}}
    policy = replace(WITNESSED, witnesses=keys, groups={"two": WitnessGroup(2, tuple(keys))}, quorum="two")
    note = WITNESS.cosign(PROOF.checkpoint, RECEIVED + timedelta(seconds=9))
    note = others[0].cosign(note, RECEIVED + timedelta(seconds=30))
    note = others[1].cosign(note, RECEIVED + timedelta(seconds=2))
    report = verify_receipt(with_proof(lambda proof: replace(proof, checkpoint=note)), policy, document=None, now=NOW)
    assert report.witnessed_at == (RECEIVED + timedelta(seconds=9)).replace(microsecond=0)


def corrupted(note: str) -> str:
    """The note with one bit of its last signature changed."""
    head, _, last = note.rstrip("\n").rpartition(" ")
    value = base64.b64decode(last)
    return f"{head} {base64.b64encode(value[:20] + bytes([value[20] ^ 1]) + value[21:]).decode()}\n"


def test_every_failure_has_a_name_of_its_own() -> None:
    errors: list[type[ReceiptError]] = [*ReceiptError.__subclasses__(), ReceiptCosignatureInvalid]
    names = [error.reason for error in errors]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Z_]+", name) for name in names)
    assert ReceiptWitnessMissing.reason == "WITNESS_QUORUM_MISSING"


@settings(max_examples=300)
@given(st.sampled_from(["entry", "salt", "promise", "tlog_proof"]), st.integers(0, 10_000), st.integers(1, 255))
def test_no_mutation_survives(field: str, place: int, flip: int) -> None:
    value = getattr(RECEIPT, field)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[place % len(raw)] ^= flip
    mutated: Any = bytes(raw) if isinstance(value, bytes) else raw.decode(errors="replace")
    with pytest.raises(ReceiptError):
        verify_receipt(replace(RECEIPT, **{field: mutated}), TRUST, document=DOCUMENT, now=NOW)


COSIGNED = replace(RECEIPT, tlog_proof=replace(PROOF, checkpoint=WITNESS.cosign(PROOF.checkpoint, RECEIVED)).encode())


@settings(max_examples=300)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_mutation_of_a_witnessed_proof_survives(place: int, flip: int) -> None:
    """Where the quorum needs every cosignature there is, not one byte of the proof is free."""
    raw = bytearray((COSIGNED.tlog_proof or "").encode())
    raw[place % len(raw)] ^= flip
    with pytest.raises(ReceiptError):
        verify_receipt(
            replace(COSIGNED, tlog_proof=raw.decode(errors="replace")), WITNESSED, document=DOCUMENT, now=NOW
        )


@given(st.text(), st.text())
def test_any_text_is_refused_by_name(promise: str, proof: str) -> None:
    with pytest.raises(ReceiptError):
        Receipt.from_json(promise)
    for receipt in (replace(RECEIPT, promise=promise), replace(RECEIPT, tlog_proof=proof)):
        with pytest.raises(ReceiptError):
            verify_receipt(receipt, TRUST, document=DOCUMENT, now=NOW)


def test_proof_text_is_that_of_the_specification() -> None:
    lines = PROOF.encode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(ENTRY).decode()}", "index 11"]
    assert lines[3 + len(PROOF.path)] == ""
    assert PROOF.encode().endswith("\n\n" + PROOF.checkpoint)
    assert TlogProof.parse(PROOF.encode()) == PROOF
    bare = replace(PROOF, extra=None, path=(), index=0)
    assert TlogProof.parse(bare.encode()) == bare
    with pytest.raises(ProofMalformed):
        replace(PROOF, path=(b"short",)).encode()


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "", "x"])
def test_times_have_one_form(text: str) -> None:
    assert parse_time(text) is None
