"""A ledger verifies offline, and nobody can leave out, edit, swap or make up a line that is anchored."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.ledger import (
    Anchor,
    AnchorEntry,
    AnchorMalformed,
    LedgerError,
    LedgerFault,
    LedgerProof,
    LedgerProofMalformed,
    Line,
    verify_ledger,
)
from lienthong.client.tlog.checkpoint import Checkpoint, Cosigner, sign_checkpoint
from lienthong.client.tlog.merkle import CompactRange, Node, inclusion_path, leaf_hash
from lienthong.client.tlog.note import NoteSigner
from lienthong.client.tlog.policy import TrustPolicy
from lienthong.client.tlog.proof import TlogProof

from services.consent.anchors import Head, anchoring
from services.consent.model import NO_HASH, Access, Basis, Effect, Kind, Purpose, SensitivityClass

ORIGIN = "log.example/2026"
LOG = NoteSigner.generate(ORIGIN)
WITNESS = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())
TRUST = TrustPolicy((LOG.verifier_key,), (), {"w1": WITNESS.verifier_key}, {}, "w1")
THEN = datetime(2026, 11, 1, 8, tzinfo=UTC)
SEEN = THEN + timedelta(hours=1)


def chain(entry: UUID, count: int, *, old: int = 0) -> list[Access]:
    """Lines of a ledger; the first `old` of them in the form of before."""
    lines: list[Access] = []
    for number in range(1, count + 1):
        lines.append(
            Access(
                id=uuid4(),
                person=entry,
                sequence=number,
                at=THEN + timedelta(seconds=number),
                organization="01001",
                licence="",
                principal_kind="FACILITY",
                purpose=Purpose.TREATMENT,
                basis=Basis.CONSENT,
                kinds=(Kind.PRESCRIPTION,),
                method="lienthong.records.v1.DocumentService/GetDocument",
                decision=uuid4(),
                effect=Effect.PERMIT,
                trace_id="0" * 32,
                previous_hash=lines[-1].hash if lines else NO_HASH,
                resources=(f"documents/{uuid4()}",),
                classes=(SensitivityClass.HIV,),
                form=1 if number <= old else 2,
            )
        )
    return lines


def logged(entry: bytes, *, others: int = 3, cosign: bool = True) -> str:
    """A proof of an entry in a log of several."""
    tree = CompactRange()
    nodes: dict[Node, bytes] = {}
    for other in range(others):
        nodes.update(tree.append(leaf_hash(b"%d" % other)))
    index = tree.size
    nodes.update(tree.append(leaf_hash(entry)))
    note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), LOG)
    note = WITNESS.cosign(note, SEEN) if cosign else note
    return TlogProof(index, tuple(inclusion_path(index, tree.size, nodes)), note, entry).encode()


def proven(chains: Sequence[Sequence[Access]], *, after: int = 0, strangers: int = 2) -> LedgerProof:
    """The proof of a person with these ledgers, made when each had all but `after` lines."""
    heads = [Head(lines[-1 - after].person, len(lines) - after, lines[-1 - after].hash) for lines in chains]
    heads += [Head(uuid4(), 7, bytes(32)) for _ in range(strangers)]
    made = anchoring(heads, uuid4(), THEN, lambda: secrets.token_bytes(32))
    proof = logged(made.entry)
    anchors = [
        Anchor(
            one.head.person,
            one.head.sequence,
            one.head.hash,
            one.salt,
            one.leaf_index,
            len(heads),
            one.path,
            made.entry,
            proof,
        )
        for one in made.heads[: len(chains)]
    ]
    lines = [Line(line.person, line.sequence, line.canonical()) for lines in chains for line in lines]
    return LedgerProof(chains[0][0].person, tuple(lines), tuple(anchors))


def fault(proof: LedgerProof, trust: TrustPolicy = TRUST, earlier: LedgerProof | None = None) -> LedgerFault:
    with pytest.raises(LedgerError) as caught:
        verify_ledger(proof, trust, earlier=earlier)
    assert caught.value.reason == caught.value.fault.value
    return caught.value.fault


def test_a_whole_ledger_of_several_entries_is_complete_and_witnessed() -> None:
    proof = proven([chain(uuid4(), 5, old=2), chain(uuid4(), 1)])
    again = LedgerProof.from_json(proof.to_json())
    assert again == proof
    report = verify_ledger(again, TRUST)
    assert (report.lines, report.anchored, report.complete, report.witnessed_at) == (6, 6, True, SEEN)


def test_lines_after_the_anchor_are_told_apart() -> None:
    report = verify_ledger(proven([chain(uuid4(), 5)], after=2), TRUST)
    assert (report.lines, report.anchored, report.complete) == (5, 3, False)
    assert "2 newest not anchored yet" in str(report)


@given(st.integers(1, 12), st.data())
def test_removing_any_anchored_line_is_detected(count: int, data: st.DataObject) -> None:
    proof = proven([chain(uuid4(), count)])
    gone = data.draw(st.integers(0, count - 1))
    lines = (*proof.lines[:gone], *proof.lines[gone + 1 :])
    assert fault(replace(proof, lines=lines)) is LedgerFault.LINE_MISSING
    renumbered = [*lines[:gone], *(replace(line, sequence=line.sequence - 1) for line in lines[gone:])]
    assert fault(replace(proof, lines=tuple(renumbered))) in {LedgerFault.LINE_FOREIGN, LedgerFault.LINE_MISSING}


@given(st.integers(1, 8), st.data())
def test_editing_any_member_of_any_anchored_line_is_detected(count: int, data: st.DataObject) -> None:
    proof = proven([chain(uuid4(), count)])
    place = data.draw(st.integers(0, count - 1))
    said = json.loads(proof.lines[place].canonical)
    member = data.draw(st.sampled_from(sorted(said)))
    said[member] = {"sequence": 99}.get(member, f"{said[member]}0")
    edited = replace(proof.lines[place], canonical=json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
    lines = (*proof.lines[:place], edited, *proof.lines[place + 1 :])
    assert fault(replace(proof, lines=lines)) in {LedgerFault.LINE_ALTERED, LedgerFault.LINE_FOREIGN}


def test_a_whole_chain_made_anew_does_not_match_its_anchor() -> None:
    entry = uuid4()
    proof, other = proven([chain(entry, 4)]), proven([chain(entry, 4)])
    assert fault(replace(other, anchors=proof.anchors)) is LedgerFault.LINE_ALTERED
    assert fault(replace(proof, lines=())) is LedgerFault.LINE_MISSING


def test_an_anchor_proves_its_own_head_only() -> None:
    proof = proven([chain(uuid4(), 2), chain(uuid4(), 2)])
    first, second = proof.anchors
    for wrong in (
        replace(first, salt=bytes(32)),
        replace(first, leaf_index=second.leaf_index),
        replace(first, path=second.path),
        replace(first, tree_size=5),
        replace(first, log_entry=first.log_entry + b" "),
        replace(first, log_entry=AnchorEntry(bytes(32), first.tree_size, THEN).encode()),
    ):
        assert fault(replace(proof, anchors=(wrong, second))) is LedgerFault.ANCHOR_INVALID


def test_the_entry_must_stand_in_a_log_that_is_trusted_and_witnessed() -> None:
    proof = proven([chain(uuid4(), 2)])
    (anchor,) = proof.anchors

    def with_proof(text: str) -> LedgerProof:
        return replace(proof, anchors=(replace(anchor, tlog_proof=text),))

    assert fault(with_proof("no proof")) is LedgerFault.LOG_PROOF_INVALID
    assert fault(with_proof(logged(b"another entry"))) is LedgerFault.LOG_PROOF_INVALID
    assert fault(with_proof(logged(anchor.log_entry, cosign=False))) is LedgerFault.WITNESS_MISSING
    stranger = replace(TRUST, logs=(NoteSigner.generate(ORIGIN).verifier_key,))
    assert fault(proof, stranger) is LedgerFault.LOG_PROOF_INVALID
    # Not witnessed yet: the lines are whole, and none is said to be anchored.
    assert verify_ledger(with_proof(""), TRUST).anchored == 0
    assert verify_ledger(proof, replace(TRUST, witnesses={}, quorum="none")).witnessed_at is None


def test_an_older_ledger_shown_again_is_detected_by_who_kept_a_later_one() -> None:
    lines = chain(uuid4(), 5)
    before, after = proven([lines[:3]]), proven([lines])
    assert verify_ledger(after, TRUST, earlier=before).complete
    assert verify_ledger(before, TRUST).complete
    assert fault(before, earlier=after) is LedgerFault.SHORTENED


def test_a_member_that_occurs_twice_is_not_taken() -> None:
    proof = proven([chain(uuid4(), 1)])
    twice = proof.lines[0].canonical[:-1] + b',"organization":"99999"}'
    assert fault(replace(proof, lines=(replace(proof.lines[0], canonical=twice),))) is LedgerFault.LINE_ALTERED


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"lienthong_ledger": 2}', '{"lienthong_ledger": 1, "lines": [[1]], "anchors": []}']
)
def test_a_file_that_is_no_ledger_is_refused(text: str) -> None:
    with pytest.raises(LedgerProofMalformed):
        LedgerProof.from_json(text)


@pytest.mark.parametrize(
    "entry",
    [b"", b"{}", b"[]", b'{"v":1}', AnchorEntry(bytes(31), 1, THEN).encode(), AnchorEntry(bytes(32), 0, THEN).encode()],
)
def test_an_entry_that_is_no_anchor_is_refused(entry: bytes) -> None:
    with pytest.raises(AnchorMalformed):
        AnchorEntry.parse(entry)
