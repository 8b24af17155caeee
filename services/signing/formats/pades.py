"""PAdES-B and -T (ETSI EN 319 142-1): one signature in a PDF file, over the entire file.

A PDF parser is large and meets hostile files, so pyHanko runs in a process of its own (`pades_reader`) with limits of
memory and time, and is asked only where the signature is. What is signed is then decided here, from the bytes: the file
without the one hexadecimal string that is the signature, and nothing else left out. The signature itself is judged by
the CMS profile.
"""

from __future__ import annotations

import atexit
import binascii
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection, Pipe
from threading import Lock
from typing import Any

from services.chassis.errors import Unavailable
from services.signing.formats.cms import LARGEST_SIGNATURE, verify_cms
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.model import SignatureFormat, SignatureLevel

LARGEST_PDF = 16 * 1024 * 1024
"""Longest file that is parsed, in bytes."""

_READER = "services.signing.formats.pades_reader"
_START_SECONDS = 30.0
_READ_SECONDS = 6.0
_LARGEST_ANSWER = 4096
_MOST_FILES = 500
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG")
_LONGEST_CONTENTS = 512 * 1024
_PADES, _PKCS7 = "/ETSI.CAdES.detached", "/adbe.pkcs7.detached"


class PdfReaderUnavailable(Unavailable):
    """The process that reads PDF files does not start; nothing is said about the document."""

    reason = "PDF_READER_UNAVAILABLE"


@dataclass(frozen=True)
class _Found:
    """What the reader says of the one signature. `contents` is the SHA-256 of the decoded /Contents, in hex."""

    byte_range: tuple[int, ...]
    filter: str
    contents: str
    time: datetime | None


class PdfReader:
    """A process that finds the signature in PDF files, one file at a time; safe to share between threads.

    It gets none of this process's settings, which may hold secrets. It starts with the first file, starts anew after
    500 or when one file was too much for it, and ends when this process does.
    """

    def __init__(self, read_seconds: float = _READ_SECONDS) -> None:
        self._read_seconds = read_seconds
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._files = 0

    def find(self, pdf: bytes) -> dict[str, Any]:
        """The reader's answer. Raises a Finding when the file is too much for it, and PdfReaderUnavailable."""
        with self._lock:
            connection = self._started()
            try:
                connection.send_bytes(pdf)
                if connection.poll(self._read_seconds):
                    return self._answer(connection.recv_bytes(_LARGEST_ANSWER))
            except (EOFError, OSError, ValueError, RecursionError):
                self._stop()
                raise _too_complex() from None
            self._stop()
            raise _too_complex()

    @staticmethod
    def _answer(text: bytes) -> dict[str, Any]:
        answer = json.loads(text)
        return answer if isinstance(answer, dict) else {"error": "MALFORMED"}

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._stop()

    def _started(self) -> Connection[Any, Any]:
        self._files += 1
        if self._connection is not None and self._files <= _MOST_FILES:
            return self._connection
        self._stop()
        ours, theirs = Pipe()
        command = [sys.executable, "-m", _READER, str(theirs.fileno())]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        theirs.close()
        self._connection, self._files = ours, 1
        try:
            if ours.poll(_START_SECONDS) and ours.recv_bytes(_LARGEST_ANSWER):
                return ours
        except (EOFError, OSError):
            pass
        self._stop()
        raise PdfReaderUnavailable("the reader of PDF files does not start")

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


_reader = PdfReader()
atexit.register(_reader.close)


def verify_pades(pdf: bytes, reader: PdfReader = _reader) -> SignatureFacts:
    """Verifies the signature in a PDF file over the entire file.

    Raises a Finding, whatever the bytes; PdfReaderUnavailable only when the reader's process does not start.
    """
    if len(pdf) > LARGEST_PDF:
        raise _format("DOCUMENT_TOO_LARGE", f"a PDF has at most {LARGEST_PDF} bytes")
    if not pdf.startswith(b"%PDF-"):
        raise _format("PDF_MALFORMED", "not a PDF")
    found = _found(reader.find(pdf))
    covered, contents = _split(pdf, found)
    facts = verify_cms(covered, _without_padding(contents))
    time = found.time or facts.claimed_signing_time
    advanced = found.filter == _PADES and time is not None
    return replace(
        facts,
        format=SignatureFormat.PADES,
        claimed_signing_time=time,
        level=SignatureLevel.B if advanced else SignatureLevel.PLAIN,
    )


def _found(answer: dict[str, Any]) -> _Found:
    """Reads the answer of a process that a hostile file may have taken over: nothing in it is believed."""
    count, byte_range = answer.get("signatures"), answer.get("byte_range")
    if answer.get("error"):
        raise _too_complex() if answer["error"] == "MEMORY" else _format("PDF_MALFORMED", "the PDF cannot be read")
    if count == 0:
        raise Finding(SubIndication.NO_SIGNATURE_FOUND, "SIGNATURE_MISSING", "the document has no signature")
    if count != 1:
        raise _format("SIGNATURE_NOT_UNIQUE", "the PDF has more than one signature or time-stamp")
    filter_, contents, seconds = answer.get("filter"), answer.get("contents"), answer.get("time")
    if filter_ not in (_PADES, _PKCS7):
        raise _format("SUB_FILTER_UNSUPPORTED", f"the signature is {_PADES[1:]} or {_PKCS7[1:]}")
    if not isinstance(byte_range, list) or not all(type(number) is int for number in byte_range):
        raise _format("PDF_MALFORMED", "the signature has no ByteRange")
    time = datetime.fromtimestamp(seconds, UTC) if type(seconds) is int and 0 <= seconds < 2**33 else None
    return _Found(tuple(byte_range), filter_, str(contents), time)


def _split(pdf: bytes, found: _Found) -> tuple[bytes, bytes]:
    """What is signed, and the signature: the hexadecimal string that is left out between the two ranges."""
    if len(found.byte_range) != 4:
        raise _not_whole()
    start, before, after, rest = found.byte_range
    if start != 0 or not 0 < before < after or rest < 0 or after + rest != len(pdf):
        raise _not_whole()
    gap = pdf[before:after]
    if not 2 < len(gap) <= _LONGEST_CONTENTS or gap[:1] != b"<" or gap[-1:] != b">":
        raise _not_whole()
    try:
        contents = binascii.unhexlify(gap[1:-1])
    except binascii.Error as error:
        raise _not_whole() from error
    if hashlib.sha256(contents).hexdigest() != found.contents:
        # Another string than the one left out is the signature for a reader of the file.
        raise _not_whole()
    return pdf[:before] + pdf[after:], contents


def _without_padding(contents: bytes) -> bytes:
    """The DER element at the start, if only zeros follow (ISO 32000-2 §12.8.1: the string is padded)."""
    octets = contents[1] - 0x80 if len(contents) > 1 and contents[1] > 0x80 else 0
    size = int.from_bytes(contents[2 : 2 + octets], "big") if octets else contents[1] if len(contents) > 1 else 0
    end = 2 + octets + size
    if octets > 4 or end > len(contents) or end > LARGEST_SIGNATURE or any(contents[end:]):
        raise _format("CMS_MALFORMED", "the signature is one DER element, padded with zeros")
    return contents[:end]


def _not_whole() -> Finding:
    return _format("COVERAGE_NOT_WHOLE", "the signature covers the entire file but itself")


def _too_complex() -> Finding:
    return _format("PDF_TOO_COMPLEX", "reading the PDF takes too much time or memory")


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
