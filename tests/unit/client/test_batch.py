"""Batches: what is made verifies for every document, and nothing else does."""

from __future__ import annotations

import hashlib
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lienthong.client.batch import (
    LARGEST_MANIFEST,
    MOST_DOCUMENTS,
    BatchManifest,
    BatchManifestInvalid,
    BatchMembershipInvalid,
    make_batch,
    verify_membership,
)

BATCH = uuid.UUID("018f2d3c-7a4b-7c3d-9e2f-0123456789ab")
TEXT = f"facility/01001/batch/{BATCH}\n3\n" + "yTkQMgGiyKwXzXDLO5U0A+hTQNXy0EtnU4Ok1Xd3qVo=" + "\n"


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_every_document_is_shown_and_no_other(count: int, data: st.DataObject) -> None:
    documents = [f"document {number}".encode() for number in range(count)]
    manifest, paths = make_batch("01001", documents, BATCH)
    assert (manifest.facility, manifest.count, len(paths)) == ("01001", count, count)
    assert BatchManifest.parse(manifest.encode()) == manifest
    for index, document in enumerate(documents):
        verify_membership(manifest, index, paths[index], document)
    index = data.draw(st.integers(0, count - 1))
    other = data.draw(st.integers(-1, count).filter(lambda number: number != index))
    wrong = [
        (index, paths[index], documents[index] + b"x"),
        (other, paths[index], documents[index]),
        (index, (*paths[index], bytes(32)), documents[index]),
        (index, (*paths[index], bytes(31)), documents[index]),
        (index, tuple(bytes(32) for _ in range(15)), documents[index]),
    ]
    if paths[index]:
        wrong.append((index, paths[index][:-1], documents[index]))
    for arguments in wrong:
        with pytest.raises(BatchMembershipInvalid):
            verify_membership(manifest, *arguments)


def test_a_long_path_is_not_looked_at() -> None:
    manifest, paths = make_batch("01001", [b"a", b"b"])
    with pytest.raises(BatchMembershipInvalid, match="at most 14"):
        verify_membership(manifest, 0, [paths[0][0]] * 15, b"a")


def test_the_root_is_that_of_rfc_6962() -> None:
    """Two leaves by hand."""
    manifest, paths = make_batch("79001", [b"a", b"b"])
    leaves = [hashlib.sha256(b"\x00" + one).digest() for one in (b"a", b"b")]
    assert manifest.root == hashlib.sha256(b"\x01" + leaves[0] + leaves[1]).digest()
    assert paths == [(leaves[1],), (leaves[0],)]


def test_an_inner_node_is_no_document() -> None:
    """Leaves and nodes are hashed with different prefixes."""
    manifest, paths = make_batch("01001", [b"a", b"b", b"c", b"d"])
    leaves = [hashlib.sha256(b"\x00" + one).digest() for one in (b"a", b"b")]
    with pytest.raises(BatchMembershipInvalid):
        verify_membership(manifest, 0, paths[0][1:], b"\x01" + leaves[0] + leaves[1])


def test_the_text_of_a_manifest() -> None:
    manifest = BatchManifest.parse(TEXT)
    assert (manifest.facility, manifest.batch_id, manifest.count) == ("01001", BATCH, 3)
    assert manifest.encode() == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "extension\n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("facility/01001", "facility/0100"),
        TEXT.replace("facility/01001", "facility/0100a"),
        TEXT.replace("facility/01001", "facility/01001/x"),
        TEXT.replace("facility/", " facility/"),
        TEXT.replace(str(BATCH), str(BATCH).upper()),
        TEXT.replace(str(BATCH), BATCH.hex),
        TEXT.replace("\n3\n", "\n0\n"),
        TEXT.replace("\n3\n", "\n03\n"),
        TEXT.replace("\n3\n", "\n+3\n"),
        TEXT.replace("\n3\n", f"\n{MOST_DOCUMENTS + 1}\n"),
        TEXT.replace("qVo=", "qVp="),
        TEXT.replace("qVo=", "qVo"),
        TEXT.replace("A+h", "A-h"),
        TEXT + " " * LARGEST_MANIFEST,
    ],
)
def test_a_manifest_has_one_spelling(text: str) -> None:
    with pytest.raises(BatchManifestInvalid):
        BatchManifest.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_refused_by_name(text: str) -> None:
    for candidate in (text, TEXT[:30] + text, text + TEXT):
        try:
            manifest = BatchManifest.parse(candidate)
        except BatchManifestInvalid:
            continue
        assert manifest.encode() == candidate


@pytest.mark.parametrize("facility", ["", "1", "0100a", "01001/", "01001\n"])
def test_a_batch_of_no_facility(facility: str) -> None:
    with pytest.raises(BatchManifestInvalid):
        make_batch(facility, [b"a"])


def test_the_number_of_documents_is_bounded() -> None:
    with pytest.raises(BatchManifestInvalid):
        make_batch("01001", [])
    with pytest.raises(BatchManifestInvalid):
        make_batch("01001", (b"x" for _ in range(MOST_DOCUMENTS + 1)))
    manifest, paths = make_batch("01001", (str(number).encode() for number in range(MOST_DOCUMENTS)))
    assert max(map(len, paths)) == 14
    verify_membership(manifest, MOST_DOCUMENTS - 1, paths[-1], str(MOST_DOCUMENTS - 1).encode())
