"""Documents that wait while the gateway cannot be reached: signed, sealed at rest, sent when it is back, shredded after their receipt.

Every document is one file of its own in the folder `queue`: `<name>.item`, or `<name>.refused` once the system refused it. The name is a keyed
hash of the document's id. Inside are a random salt, the sealed head (id, hash, time) and the sealed message; each item has its own
AES-256-GCM key, derived from the key file `queue.key` and its salt, so no nonce is ever used twice and nobody chooses one. Head and body are
bound to the name and to their place, so files cannot be exchanged.

A file is there wholly or not at all: it is written beside, flushed to disk and renamed. One process at a time adds or sends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lienthong.records.v1 import submission_pb2

DEFAULT_MEGABYTES = 2048
"""Size of a queue whose profile does not say."""

_MAGIC = b"LTQ1"
_SALT, _KEY = 32, 32
_HEAD_LENGTH = 2
_HEAD, _BODY = bytes(11) + b"\x00", bytes(11) + b"\x01"
_LARGEST_HEAD = 4096
_MEGABYTE = 1024 * 1024


class QueueError(Exception):
    """The queue cannot take or give a document. The text holds nothing of the document but the facility's id for it."""


class QueueFull(QueueError):
    """The queue has no room left."""


class QueueConflict(QueueError):
    """Another document with the same id waits already."""


class QueueBusy(QueueError):
    """Another process uses the queue."""


class QueueDamaged(QueueError):
    """A file of the queue cannot be opened: its key is another, or its bytes were changed."""


@dataclass(frozen=True)
class QueueItem:
    """A document in the queue; what `Submitter` sends. `size` is in bytes, `refused` says that the system refused it for good."""

    document_id: str
    content_sha256: str
    queued_at: datetime
    size: int
    refused: bool
    path: Path
    queue: SealedQueue

    def load(self) -> submission_pb2.DocumentSubmission:
        """Opens the item. Raises OSError or QueueDamaged."""
        return self.queue.open(self)


class SealedQueue:
    """The queue in `folder`, of at most `megabytes`. Raises QueueError when key or folder cannot be used."""

    def __init__(self, folder: Path, *, megabytes: int = DEFAULT_MEGABYTES) -> None:
        self._folder = folder / "queue"
        self._most = megabytes * _MEGABYTE
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = _key(folder / "queue.key", empty=not any(self._folder.glob("*.item")))
        self._names = _derive(key, b"", b"lienthong queue names v1")
        self._key = key

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes out while documents are added or sent. Raises QueueBusy. Leftovers of a crash go."""
        with (self._folder / "lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise QueueBusy("another process adds to the queue or sends it") from error
            for leftover in self._folder.glob("*.part"):
                _overwrite(leftover)
            yield

    def add(self, message: submission_pb2.DocumentSubmission, at: datetime) -> bool:
        """Seals a document and keeps it; on disk once this returns. False when just this one waits already; a refused one makes room.

        Call it inside `locked`. Raises QueueFull or QueueConflict.
        """
        name = hmac.digest(self._names, message.document_id.encode(), hashlib.sha256).hex()[:32]
        digest = hashlib.sha256(message.content).hexdigest()
        path = self._folder / f"{name}.item"
        if path.exists():
            if self._read(path).content_sha256 == digest:
                return False
            raise QueueConflict(f"{message.document_id}: another document with this id waits in the queue")
        sealed = self._seal(name, message, digest, at)
        free = self._most - sum(entry.stat().st_size for entry in os.scandir(self._folder))
        if len(sealed) > free:
            raise QueueFull(
                f"{message.document_id}: the queue is full ({self._most // _MEGABYTE} MB); send it, or raise queue_megabytes"
            )
        _durable(path, sealed)
        _shred(self._folder / f"{name}.refused")
        return True

    def items(self) -> list[QueueItem]:
        """Everything in the queue, oldest first. Raises QueueDamaged."""
        paths = [entry for entry in self._folder.iterdir() if entry.suffix in (".item", ".refused")]
        found = []
        for path in paths:
            # A document that another process sends, and shreds, meanwhile is not an error.
            try:
                found.append(self._read(path))
            except FileNotFoundError:
                continue
            except QueueDamaged:
                if path.exists():
                    raise
        return sorted(found, key=lambda item: (item.queued_at, item.path.name))

    def open(self, item: QueueItem) -> submission_pb2.DocumentSubmission:
        """The document of an item. Raises OSError or QueueDamaged."""
        salt, _, body = _split(item.path, item.path.read_bytes())
        message = submission_pb2.DocumentSubmission.FromString(self._unseal(item.path, salt, _BODY, body))
        if hashlib.sha256(message.content).hexdigest() != item.content_sha256:
            raise QueueDamaged(f"{item.document_id}: the queue holds other bytes than were put in")
        return message

    def shred(self, item: QueueItem) -> None:
        """Ends an item. Its salt is overwritten first: without it the rest stays sealed even where a disk keeps old blocks."""
        _shred(item.path)

    def refuse(self, item: QueueItem) -> None:
        """Keeps an item that the system refused for good, without sending it again."""
        item.path.rename(item.path.with_suffix(".refused"))
        _sync_folder(self._folder)

    def _read(self, path: Path) -> QueueItem:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC) + _SALT + _HEAD_LENGTH + _LARGEST_HEAD)
            size = os.fstat(file.fileno()).st_size
        salt, head, _ = _split(path, start)
        fields = json.loads(self._unseal(path, salt, _HEAD, head))
        return QueueItem(
            document_id=fields["document_id"],
            content_sha256=fields["sha256"],
            queued_at=datetime.fromisoformat(fields["queued_at"]),
            size=size,
            refused=path.suffix == ".refused",
            path=path,
            queue=self,
        )

    def _seal(self, name: str, message: submission_pb2.DocumentSubmission, digest: str, at: datetime) -> bytes:
        salt = secrets.token_bytes(_SALT)
        aead = AESGCM(_derive(self._key, salt, b"lienthong queue item v1"))
        fields = {
            "document_id": message.document_id,
            "sha256": digest,
            "queued_at": at.astimezone(UTC).isoformat(),
        }
        head = aead.encrypt(_HEAD, json.dumps(fields).encode(), name.encode())
        body = aead.encrypt(_BODY, message.SerializeToString(), name.encode())
        return _MAGIC + salt + len(head).to_bytes(_HEAD_LENGTH, "big") + head + body

    def _unseal(self, path: Path, salt: bytes, nonce: bytes, sealed: bytes) -> bytes:
        aead = AESGCM(_derive(self._key, salt, b"lienthong queue item v1"))
        try:
            return aead.decrypt(nonce, sealed, path.stem.encode())
        except InvalidTag as error:
            raise QueueDamaged(f"{path.name}: cannot be opened with this queue's key") from error


def _split(path: Path, content: bytes) -> tuple[bytes, bytes, bytes]:
    """Salt, sealed head and sealed body of a file."""
    start = len(_MAGIC) + _SALT + _HEAD_LENGTH
    size = int.from_bytes(content[start - _HEAD_LENGTH : start], "big")
    if not content.startswith(_MAGIC) or len(content) < start + size or size > _LARGEST_HEAD:
        raise QueueDamaged(f"{path.name}: not an item of a queue")
    salt = content[len(_MAGIC) : len(_MAGIC) + _SALT]
    return salt, content[start : start + size], content[start + size :]


def _derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY, salt, purpose).derive(key)


def _key(path: Path, *, empty: bool) -> bytes:
    """The key file, made at the first use; never again while items wait that only the lost one opens."""
    if not path.exists():
        if not empty:
            raise QueueDamaged(f"{path.name} is gone: what waits in the queue cannot be opened without it")
        # The first of two processes that start at once makes the key.
        with contextlib.suppress(FileExistsError):
            _durable(path, secrets.token_bytes(_KEY), replace=False)
    key = path.read_bytes()
    if len(key) != _KEY:
        raise QueueDamaged(f"{path.name}: not a key")
    if path.stat().st_mode & 0o077:
        raise QueueDamaged(f"{path.name}: others may read it; its mode must be 0600")
    return key


def _durable(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a file that is there wholly or not at all, also after power is lost. Without `replace` raises FileExistsError."""
    temporary = path.with_suffix(f".{secrets.token_hex(4)}.part")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if replace:
        temporary.replace(path)
    else:
        try:
            path.hardlink_to(temporary)
        finally:
            temporary.unlink()
    _sync_folder(path.parent)


def _shred(path: Path) -> None:
    """Out of the queue in one step, so that a crash in the middle leaves a leftover and no damaged item."""
    if path.exists():
        _overwrite(path.rename(path.with_suffix(f".{secrets.token_hex(4)}.part")))


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(len(_MAGIC) + _SALT))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
