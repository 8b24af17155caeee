"""Cosignatures and add-checkpoint requests against known answers, and any bytes against the parser."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.checkpoint import Cosigner, cosignatures, open_checkpoint
from lienthong.client.tlog.note import NoteSignatureInvalid, VerifierKey
from lienthong.client.tlog.witness import AddCheckpoint, RequestMalformed

# Made by github.com/transparency-dev/formats v0.1.1 (NewSignerForCosignatureV1) and golang.org/x/mod/sumdb/note.
LOG = VerifierKey.parse("example.com/vector-log+4516a1da+ARGkVJ4QEa2MOOLGBO6i7NVSJ1FQ97tIX+w+Ku0RZ6Em")
WITNESS = VerifierKey.parse("witness.example.com/vector+416f103d+BK/QmJFVP3SKJOqAMhFxBQPtylo3sjwWibyFDAlZKK8B")
SEED = base64.b64decode("BJEX3xv88eoQIKT4E+GkxZcXaJCYlQfi/GJ3NDFmZIW8")[1:]
TEXT = "example.com/vector-log\n1234\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n"
LOG_LINE = (
    "— example.com/vector-log "
    "RRah2qlLrSlk6J8DA1HmNewppUM15Quhs5cAIb1KjBsV3otVirJTW8AFVsQtJkTW1Zny7GuoAxZpI6bUPcpM68QOIgE=\n"
)
WITNESS_LINE = (
    "— witness.example.com/vector QW8QPQAAAABqwLUbDdj7sDNRIVjmjYgqFI6y4UJhPg/UAA8J8wAdqSd3q4PedRhkgXA4xFN/"
    "Jg5uWn7ZkBA+H/UHQs5d9hITdXmQAA==\n"
)
SEEN = datetime.fromtimestamp(1791014171, UTC)
# The example of the specification (C2SP tlog-witness).
EXAMPLE = (
    b"old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\n"
    b"example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    b"\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGz"
    b"Gku9nTo+zyWE+xeMcTOAYQ8=\n"
)


def test_a_foreign_cosignature_verifies() -> None:
    checkpoint, opened = open_checkpoint(TEXT + "\n" + LOG_LINE + WITNESS_LINE, [LOG])
    (seen,) = cosignatures(opened, [WITNESS])
    assert (checkpoint.size, seen.key, seen.seen_at) == (1234, WITNESS, SEEN)


def test_ours_is_the_same_byte_for_byte() -> None:
    ours = Cosigner(WITNESS.name, Ed25519PrivateKey.from_private_bytes(SEED))
    assert ours.verifier_key == WITNESS
    assert ours.cosign(TEXT + "\n" + LOG_LINE, SEEN) == TEXT + "\n" + LOG_LINE + WITNESS_LINE


def test_time_and_text_are_covered() -> None:
    name, value = WITNESS_LINE[2:].split()
    raw = base64.b64decode(value)
    for place in (4, 11, 12, 75):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        line = f"— {name} {base64.b64encode(changed).decode()}\n"
        _, opened = open_checkpoint(TEXT + "\n" + LOG_LINE + line, [LOG])
        with pytest.raises(NoteSignatureInvalid):
            cosignatures(opened, [WITNESS])


def test_requests_round_trip() -> None:
    request = AddCheckpoint.parse(EXAMPLE)
    assert (request.old_size, len(request.path)) == (20852014, 2)
    assert request.checkpoint.startswith("example.com/behind-the-sofa\n20852163\n")
    assert request.encode() == EXAMPLE
    assert AddCheckpoint.parse(AddCheckpoint(0, (), "x\n").encode()) == AddCheckpoint(0, (), "x\n")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"old 01\n\nx",
        b"old -1\n\nx",
        b"old \xff\n\nx",
        b"new 1\n\nx",
        b"old 1\nAAAA\n\nx",
        b"old 1\n!!!!\n\nx",
        b"old 9999999999999999999\n\nx",
        b"old 1\n" + 64 * (base64.b64encode(bytes(32)) + b"\n") + b"\nx",
    ],
)
def test_a_malformed_request(body: bytes) -> None:
    with pytest.raises(RequestMalformed):
        AddCheckpoint.parse(body)


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    with suppress(RequestMalformed):
        assert AddCheckpoint.parse(body).encode() == body
