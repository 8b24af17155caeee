"""Signed notes and checkpoints: the sample of Go's sumdb/note, strict parsing, no mutation survives."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lienthong.client.tlog.checkpoint import (
    Checkpoint,
    CheckpointMalformed,
    Cosigner,
    cosignatures,
    open_checkpoint,
    sign_checkpoint,
)
from lienthong.client.tlog.note import (
    NoteError,
    NoteKeyUnknown,
    NoteMalformed,
    NoteSignatureInvalid,
    NoteSigner,
    SignedNote,
    VerifierKey,
    open_note,
    sign_note,
)

VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NOTE = TEXT + "\n" + SIGNATURE
KEY = VerifierKey.parse(VERIFIER)
OTHER = NoteSigner.generate("someone.example")
HEAD = Checkpoint("log.lienthong.vn/2026", 17, bytes(range(32)))
LOG = NoteSigner.generate(HEAD.origin)
AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)


def test_the_sample_of_go_verifies_and_is_reproduced() -> None:
    assert open_note(NOTE, [KEY]).text == TEXT
    signer = NoteSigner.parse(SIGNER)
    assert sign_note(TEXT, [signer]) == NOTE
    assert (signer.encode_private(), signer.verifier_key.encode()) == (SIGNER, VERIFIER)


@pytest.mark.parametrize("cut", range(1, len(VERIFIER)))
def test_a_part_of_a_verifier_key_is_refused(cut: int) -> None:
    for part in (VERIFIER[:cut], VERIFIER[cut:]):
        with pytest.raises(NoteMalformed):
            VerifierKey.parse(part)


@given(st.integers(0, len(VERIFIER) - 1))
def test_an_altered_verifier_key_is_refused(place: int) -> None:
    altered = VERIFIER[:place] + chr(ord(VERIFIER[place]) + 1) + VERIFIER[place + 1 :]
    with pytest.raises(NoteMalformed):
        VerifierKey.parse(altered)


@pytest.mark.parametrize(
    "key",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\ud800+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_wrong_verifier_keys(key: str) -> None:
    with pytest.raises(NoteMalformed):
        VerifierKey.parse(key)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        TEXT + SIGNATURE,
        TEXT + "\n" + SIGNATURE[:-1],
        TEXT + "\n" + SIGNATURE[:-2] + "\n",
        TEXT + "\n" + SIGNATURE.replace("— ", "- "),
        TEXT + "\n" + SIGNATURE.replace(" x08", "  x08"),
        TEXT + "\n" + SIGNATURE.replace("PeterNeumann", "Peter+Neumann"),
        TEXT + "\n" + SIGNATURE.replace("nAM=", "nAN="),
        TEXT + "\n" + SIGNATURE.replace("nAM=\n", "nAM=\r\n"),
        TEXT + "\n" + "— PeterNeumann x08goA\n",
        TEXT + "\n" + "— PeterNeumann x08goA==\n",
        TEXT.replace(",\n", ",\x01\n") + "\n" + SIGNATURE,
        TEXT.replace("you", "\ud800") + "\n" + SIGNATURE,
        TEXT + "\n" + SIGNATURE + SIGNATURE,
        TEXT + "\n" + SIGNATURE * 65,
        "x" * 300_000 + NOTE,
    ],
)
def test_malformed_notes(note: str) -> None:
    with pytest.raises(NoteMalformed):
        open_note(note, [KEY])


def test_unknown_keys_are_ignored_but_not_enough() -> None:
    assert open_note(sign_note(TEXT, [OTHER]) + SIGNATURE, [KEY]).keys == (KEY,)
    with pytest.raises(NoteKeyUnknown):
        open_note(sign_note(TEXT, [OTHER]), [KEY])
    same_name = NoteSigner.generate(KEY.name)
    with pytest.raises(NoteKeyUnknown):
        open_note(sign_note(TEXT, [same_name]), [KEY])


def test_one_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = sign_note("another text\n", [OTHER]).split("\n\n")[1]
    with pytest.raises(NoteSignatureInvalid):
        open_note(NOTE + wrong, [KEY, OTHER.verifier_key])


@pytest.mark.parametrize("text", ["no newline", "", "tab\t\n", "\ud800\n"])
def test_texts_that_no_note_can_have(text: str) -> None:
    with pytest.raises(NoteMalformed):
        sign_note(text, [OTHER])


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_no_mutation_of_a_note_survives(place: int, flip: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[place] ^= flip
    with pytest.raises(NoteError):
        open_note(raw.decode(errors="replace"), [KEY])


@given(st.text())
def test_any_text_is_refused_by_name(text: str) -> None:
    for note in (text, TEXT + "\n" + text, text + "\n\n" + SIGNATURE):
        with pytest.raises(NoteError):
            open_note(note, [KEY])


def test_a_note_with_empty_lines_splits_at_the_last() -> None:
    text = "a\n\nb\n\n"
    assert open_note(sign_note(text, [OTHER]), [OTHER.verifier_key]).text == text
    assert SignedNote.parse(NOTE).encode() == NOTE


def test_a_checkpoint_opens() -> None:
    head, _ = open_checkpoint(sign_checkpoint(HEAD, LOG), [LOG.verifier_key])
    assert head == HEAD


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n\u0661\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n9223372036854775808\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
        "o\n1\nAAAA\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nextension\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ],
)
def test_malformed_checkpoints(text: str) -> None:
    with pytest.raises(CheckpointMalformed):
        Checkpoint.parse(text)


def test_a_log_signs_under_its_own_origin_only() -> None:
    with pytest.raises(CheckpointMalformed):
        sign_checkpoint(HEAD, OTHER)
    with pytest.raises(NoteKeyUnknown):
        open_checkpoint(sign_note(HEAD.encode(), [OTHER]), [OTHER.verifier_key])


def test_an_origin_cannot_smuggle_lines() -> None:
    with pytest.raises(CheckpointMalformed):
        Checkpoint("log\n1", 2, HEAD.root).encode()


def test_cosignatures() -> None:
    witness = Cosigner("witness.example/w1", Ed25519PrivateKey.generate())
    note = witness.cosign(sign_checkpoint(HEAD, LOG), AT)
    _, opened = open_checkpoint(note, [LOG.verifier_key])
    (seen,) = cosignatures(opened, [witness.verifier_key])
    assert (seen.key, seen.seen_at) == (witness.verifier_key, AT)
    assert cosignatures(opened, [LOG.verifier_key]) == []
    assert VerifierKey.parse(witness.verifier_key.encode()) == witness.verifier_key
    line = note.splitlines()[-1]
    for altered in (line[:-8] + ("A" if line[-8] != "A" else "B") + line[-7:], line.replace("=", "")[:-40]):
        changed = note.replace(line, altered)
        with pytest.raises(NoteError):
            cosignatures(open_checkpoint(changed, [LOG.verifier_key])[1], [witness.verifier_key])


def test_a_note_signature_is_no_cosignature() -> None:
    key = Ed25519PrivateKey.generate()
    witness, signer = Cosigner("w", key), NoteSigner("w", key)
    note = witness.cosign(sign_checkpoint(HEAD, LOG), AT)
    with pytest.raises(NoteKeyUnknown):
        open_note(note, [signer.verifier_key])
