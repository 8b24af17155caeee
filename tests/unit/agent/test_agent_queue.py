"""The sealed queue: nothing in clear, nothing lost, nothing exchanged, bounded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lienthong.agent.cli import main
from lienthong.agent.queue import QueueBusy, QueueConflict, QueueDamaged, QueueFull, SealedQueue
from lienthong.agent.spool import Spool, SpoolEntry, SpoolState
from lienthong.records.v1 import submission_pb2

from deploy.local.pki import Pki
from services.signing.formats.xmldsig import verify_xmldsig

AT = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)
NAME = "Nguyễn Thị Canary"


def document(number: int, content: str = "") -> submission_pb2.DocumentSubmission:
    text = f"<G><HO_TEN>{NAME}</HO_TEN><N>{number}</N>{content}</G>"
    return submission_pb2.DocumentSubmission(document_id=f"canary-id-{number}", content=text.encode())


def filled(folder: Path, count: int) -> SealedQueue:
    queue = SealedQueue(folder)
    with queue.locked():
        for number in range(count):
            assert queue.add(document(number), AT + timedelta(seconds=number))
    return queue


def test_what_goes_in_comes_out_oldest_first(tmp_path: Path) -> None:
    queue = filled(tmp_path, 3)
    with queue.locked():
        queue.add(document(9), AT - timedelta(hours=1))
    items = SealedQueue(tmp_path).items()
    assert [item.document_id for item in items] == ["canary-id-9", *(f"canary-id-{number}" for number in range(3))]
    assert [item.load() for item in items[1:]] == [document(number) for number in range(3)]
    assert (items[0].queued_at, items[0].refused) == (AT - timedelta(hours=1), False)
    assert items[0].size == items[0].path.stat().st_size


def test_no_name_and_no_id_is_readable_on_the_disk(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len([file for file in files if file.suffix == ".item"]) == 3
    for file in files:
        assert file.stat().st_mode & 0o077 == 0 or file.name == "lock"
        for secret in ("Canary", "canary", "HO_TEN", "Nguy"):
            assert secret.encode() not in file.read_bytes()
            assert secret not in str(file.relative_to(tmp_path))
    assert (tmp_path / "queue").stat().st_mode & 0o777 == 0o700


def test_equal_documents_are_sealed_differently(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "a", 1), filled(tmp_path / "b", 1)
    assert one.items()[0].path.name != other.items()[0].path.name
    before = one.items()[0].path.read_bytes()
    one.shred(one.items()[0])
    filled(tmp_path / "a", 1)
    (item,) = one.items()
    assert item.path.read_bytes()[4:] != before[4:]


def test_the_same_document_waits_once(tmp_path: Path) -> None:
    queue = filled(tmp_path, 1)
    with queue.locked():
        assert queue.add(document(0), AT) is False
        with pytest.raises(QueueConflict, match="canary-id-0"):
            queue.add(document(0, "<other/>"), AT)
    assert len(queue.items()) == 1


def test_a_refused_document_makes_room_for_its_correction(tmp_path: Path) -> None:
    queue = filled(tmp_path, 1)
    queue.refuse(queue.items()[0])
    assert [item.refused for item in queue.items()] == [True]
    with queue.locked():
        assert queue.add(document(0, "<mended/>"), AT)
    (item,) = queue.items()
    assert (item.refused, item.load()) == (False, document(0, "<mended/>"))


def test_a_full_queue_says_so(tmp_path: Path) -> None:
    queue = SealedQueue(tmp_path, megabytes=1)
    with queue.locked():
        queue.add(document(0, "x" * 600_000), AT)
        with pytest.raises(QueueFull, match="queue_megabytes"):
            queue.add(document(1, "x" * 600_000), AT)
        queue.add(document(2, "x" * 100_000), AT)
    assert len(queue.items()) == 2


def test_files_cannot_be_exchanged_or_changed(tmp_path: Path) -> None:
    queue = filled(tmp_path, 2)
    first, second = queue.items()
    a, b = first.path.read_bytes(), second.path.read_bytes()
    first.path.write_bytes(b)
    with pytest.raises(QueueDamaged, match="cannot be opened"):
        queue.items()
    for change in (a[:3], a[:40], b"XXXX" + a[4:], a[:36] + b"\xff\xff" + a[38:], a[:50] + bytes([a[50] ^ 1]) + a[51:]):
        first.path.write_bytes(change)
        with pytest.raises(QueueDamaged):
            queue.items()
    for change in (a[:-1], a[:-1] + bytes([a[-1] ^ 1])):
        first.path.write_bytes(change)
        with pytest.raises(QueueDamaged):
            next(item for item in queue.items() if item.document_id == "canary-id-0").load()


def test_the_key_file(tmp_path: Path) -> None:
    queue = filled(tmp_path, 1)
    key = tmp_path / "queue.key"
    assert (key.stat().st_mode & 0o777, len(key.read_bytes())) == (0o600, 32)
    key.chmod(0o640)
    with pytest.raises(QueueDamaged, match="0600"):
        SealedQueue(tmp_path)
    key.chmod(0o600)
    before = key.read_bytes()
    key.write_bytes(bytes(32))
    with pytest.raises(QueueDamaged, match="key"):
        SealedQueue(tmp_path).items()
    key.write_bytes(b"short")
    with pytest.raises(QueueDamaged, match="not a key"):
        SealedQueue(tmp_path)
    key.unlink()
    with pytest.raises(QueueDamaged, match="is gone"):
        SealedQueue(tmp_path)
    key.write_bytes(before)
    key.chmod(0o600)
    assert queue.items() == [*queue.items()]


def test_one_process_at_a_time_and_leftovers_go(tmp_path: Path) -> None:
    queue = filled(tmp_path, 1)
    leftover = tmp_path / "queue" / "abc.12345678.part"
    leftover.write_bytes(b"half")
    with queue.locked():
        assert not leftover.exists()
        with pytest.raises(QueueBusy):
            with SealedQueue(tmp_path).locked():
                raise AssertionError("two at once")
    with queue.locked():
        pass


def test_shredding_takes_the_salt_first(tmp_path: Path) -> None:
    queue = filled(tmp_path, 1)
    (item,) = queue.items()
    kept = tmp_path / "kept"
    kept.hardlink_to(item.path)
    before = kept.read_bytes()
    queue.shred(item)
    assert queue.items() == []
    assert kept.read_bytes() == bytes(36) + before[36:]
    queue.shred(item)


def run(folder: Path, *arguments: str) -> Result:
    if not (folder / "profile.json").exists():
        pair = Pki(folder / "pki").signer("01001", algorithm="p256")
        entries = dict.fromkeys(("authority", "client_certificate", "client_key", "policy"), "unused")
        entries |= {"facility": "01001", "gateway": "x:1", "token_endpoint": "https://x", "spool": "spool"}
        entries |= {"signing_keystore": str(pair.keystore), "signing_passphrase_file": str(pair.passphrase_file)}
        (folder / "profile.json").write_text(json.dumps(entries | {"queue_megabytes": "1"}))
    return CliRunner().invoke(main, ["--profile", str(folder / "profile.json"), "queue", *arguments])


def test_the_commands(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for number in range(3):
        (inside / f"d{number}.xml").write_bytes(f"<G><N>{number}</N><CHUKYDONVI/></G>".encode())
    (inside / "d3.xml").write_bytes(b"<G/>")
    done = run(tmp_path, "add", str(inside))
    assert (done.exit_code, "queued 3, waiting already 0, not taken 1" in done.output) == (1, True), done.output
    assert "d3.xml: the document has no empty CHUKYDONVI" in done.output
    assert "queued 0, waiting already 0" in run(tmp_path, "add", str(inside / "d3.xml")).output
    queue = SealedQueue(tmp_path / "spool")
    assert {item.document_id for item in queue.items()} == {"d0", "d1", "d2"}
    assert all(verify_xmldsig(item.load().content) for item in queue.items())
    refused = next(item for item in queue.items() if item.document_id == "d1")
    queue.refuse(refused)
    entry = SpoolEntry("d1", refused.content_sha256, SpoolState.REJECTED, "", "", "SIGNER_NOT_REGISTERED")
    Spool(tmp_path / "spool").record([entry])
    listed = run(tmp_path, "list").output
    assert listed.count("WAITING") == 2
    assert "REFUSED\tSIGNER_NOT_REGISTERED" in listed
    assert run(tmp_path, "drop", "d0").exit_code == 1
    assert run(tmp_path, "drop", "d1").exit_code == 0
    assert {item.document_id for item in queue.items()} == {"d0", "d2"}
    with queue.locked():
        assert "another process" in run(tmp_path, "add", str(inside)).output
