"""Signature files beside documents, and batches of documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from lienthong.agent.cli import main
from lienthong.agent.sidecars import SidecarInvalid, by_document, sidecars
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.batch import batches, sign_batch
from lienthong.agent.submission import message, outgoing
from lienthong.signing.v1 import verdict_pb2

from deploy.local.pki import Pki, SigningPair
from services.signing.formats.batch import BatchVerifier
from services.signing.formats.facts import Finding
from services.signing.model import BatchMembership


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SigningPair:
    return Pki(tmp_path_factory.mktemp("pki")).signer("01001", algorithm="p256")


@pytest.fixture(scope="module")
def signer(pair: SigningPair) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"))


def documents(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"d{number:02}.xml" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(f"<G><N>{number}</N><CHUKYDONVI/></G>".encode())
    return paths


def test_signatures_are_found_by_their_names(tmp_path: Path) -> None:
    (path, *_) = documents(tmp_path, 2)
    for name in (".p7s", ".XML13.p7s", ".xades", ".jws", ".XML14.xades", ".txt", ".XML13", ".SECRET.p7s", ".p7s.part"):
        (tmp_path / (path.name + name)).write_bytes(b"signature")
    (tmp_path / "d01.xml.p7s").write_bytes(b"another's")
    (tmp_path / "d00.xmlx.p7s").write_bytes(b"another's")
    found = sidecars(path)
    assert {(one.form, one.part) for one in found} == {
        ("CMS_DETACHED", ""),
        ("CMS_DETACHED", "XML13"),
        ("XADES_DETACHED", ""),
        ("XADES_DETACHED", "XML14"),
        ("JWS_DETACHED", ""),
    }
    assert found == sidecars(path, by_document(tmp_path, [path])[path])
    sent = message(outgoing(path)).signatures
    assert {(verdict_pb2.SignatureFormat.Name(one.format), one.part) for one in sent} == {
        (f"SIGNATURE_FORMAT_{one.form}", one.part) for one in found
    }
    assert {one.content for one in sent} == {b"signature"}


def test_too_many_or_too_long(tmp_path: Path) -> None:
    (path,) = documents(tmp_path, 1)
    (tmp_path / "d00.xml.p7s").write_bytes(bytes(64 * 1024 + 1))
    with pytest.raises(SidecarInvalid, match="longer"):
        message(outgoing(path))
    for number in range(1, 9):
        (tmp_path / f"d00.xml.XML{number}.p7s").write_bytes(b"x")
    with pytest.raises(SidecarInvalid, match="more than 8"):
        sidecars(path)


def test_one_signature_for_a_batch(tmp_path: Path, signer: Pkcs12Signer) -> None:
    paths = documents(tmp_path, 5)
    manifest = sign_batch("01001", paths, signer)
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix not in (".xml", ".batch")) == [
        f"{manifest.batch_id}.manifest",
        f"{manifest.batch_id}.manifest.p7s",
    ]
    verifier = BatchVerifier()
    for number, path in enumerate(paths):
        (sent,) = message(outgoing(path)).signatures
        assert sent.format == verdict_pb2.SIGNATURE_FORMAT_BATCH
        place = BatchMembership(sent.batch.manifest, sent.batch.index, tuple(sent.batch.path))
        facts = verifier.verify(path.read_bytes(), sent.content, place)
        assert (facts.facility, facts.signer_certificate_der, place.index) == ("01001", signer.certificate, number)
        with pytest.raises(Finding):
            verifier.verify(path.read_bytes() + b" ", sent.content, place)
    assert len(verifier) == 1


def test_a_run_that_was_broken_leaves_no_half_signature(
    tmp_path: Path, signer: Pkcs12Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = documents(tmp_path, 3)

    def fails(_: bytes) -> bytes:
        raise OSError("token pulled out")

    monkeypatch.setattr(signer, "sign", fails)
    with pytest.raises(OSError, match="pulled"):
        sign_batch("01001", paths, signer)
    assert [sidecars(path) for path in paths] == [()] * 3


def test_parts_of_a_batch(tmp_path: Path) -> None:
    paths = documents(tmp_path, 5)
    assert [len(part) for part in batches(paths, 2)] == [2, 2, 1]
    assert [*batches([])] == []


def place(tmp_path: Path, text: str) -> Path:
    (path,) = documents(tmp_path, 1)
    (tmp_path / "d00.xml.batch").write_text(text, "utf-8")
    return path


GOOD = {"v": 1, "batch": "0190b1de-0000-7000-8000-000000000000", "index": 0, "path": []}


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"batch": "x"},
        {"batch": 7},
        {"index": -1},
        {"index": True},
        {"index": "0"},
        {"path": ["AA=="]},
        {"path": ["*"]},
        {"path": None},
        {"path": ["A" * 43 + "="] * 15},
    ],
)
def test_places_that_are_none(change: dict[str, object], tmp_path: Path) -> None:
    assert len(sidecars(place(tmp_path, json.dumps(GOOD)))) == 1
    with pytest.raises(SidecarInvalid, match="d00.xml.batch"):
        sidecars(place(tmp_path, json.dumps(GOOD | change)))


@given(
    text=st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps)
)
def test_no_place_crashes(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(SidecarInvalid):
        sidecars(place(tmp_path_factory.mktemp("place"), text))


def test_a_batch_without_its_manifest(tmp_path: Path, signer: Pkcs12Signer) -> None:
    paths = documents(tmp_path, 2)
    manifest = sign_batch("01001", paths, signer)
    file = tmp_path / f"{manifest.batch_id}.manifest"
    for text in (b"not a manifest", b"\xff", b"x" * 2000):
        file.write_bytes(text)
        with pytest.raises(SidecarInvalid, match="manifest"):
            message(outgoing(paths[0]))
    file.unlink()
    with pytest.raises(SidecarInvalid, match="FileNotFoundError"):
        message(outgoing(paths[0]))


def run(folder: Path, pair: SigningPair, *arguments: str) -> Result:
    entries = dict.fromkeys(("authority", "client_certificate", "client_key", "policy"), "unused")
    entries |= {"facility": "01001", "gateway": "x:1", "token_endpoint": "https://x", "spool": "spool"}
    entries |= {"signing_keystore": str(pair.keystore), "signing_passphrase_file": str(pair.passphrase_file)}
    (folder / "profile.json").write_text(json.dumps(entries))
    return CliRunner().invoke(main, ["--profile", str(folder / "profile.json"), *arguments])


def test_the_command_signs_batches(tmp_path: Path, pair: SigningPair) -> None:
    paths = documents(tmp_path / "in", 5)
    options = ("--out", str(tmp_path / "out"), "--batch", "--batch-size", "3")
    done = run(tmp_path, pair, "sign", str(tmp_path / "in"), *options)
    assert done.exit_code == 0, done.output
    assert [line.split(": ")[-1] for line in done.output.splitlines()[:2]] == [
        "one signature for 3 documents",
        "one signature for 2 documents",
    ]
    assert len([*(tmp_path / "out").glob("*.manifest.p7s")]) == 2
    for path in paths:
        copy = tmp_path / "out" / path.name
        assert copy.read_bytes() == path.read_bytes()
        assert [one.form for one in sidecars(copy)] == ["BATCH"]
