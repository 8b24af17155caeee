"""The process that reads PDF files for `pades`: one file in, a line of JSON out, over the connection it was given.

It has little memory, a bounded time on the processor for each file, no way to write files or to start processes, and says nothing on its
standard streams: pyHanko may log what stands in a certificate. It validates nothing and fetches nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import resource
import sys
from multiprocessing.connection import Connection
from typing import Any

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.errors import SignatureValidationError

_MEMORY = 768 * 1024 * 1024
_SECONDS = 2
_FILES = 32


def find(pdf: bytes) -> dict[str, Any]:
    """Where the signature of a file is: `signatures` is how many the file has, time-stamps over it included; with one,
    `filter` (its SubFilter, None for an unknown one), `byte_range`, `contents` (SHA-256 of the decoded string) and
    `time` (/M, seconds of the epoch, or None). `error` is MEMORY or MALFORMED.
    """
    try:
        reader = PdfFileReader(io.BytesIO(pdf), strict=True)
        fields = list(enumerate_sig_fields(reader, filled_status=True))
        if len(fields) != 1:
            return {"signatures": len(fields)}
        found = list(reader.embedded_signatures)
        if len(found) != 1:
            # The library leaves signatures out whose filter it does not know.
            return {"signatures": 1, "filter": None}
        (signature,) = found
        stated = signature.self_reported_timestamp
        return {
            "signatures": 1,
            "byte_range": [int(number) for number in signature.byte_range],
            "filter": str(signature.sig_object.get("/SubFilter")),
            "contents": hashlib.sha256(signature.pkcs7_content).hexdigest(),
            "time": int(stated.timestamp()) if stated is not None and stated.tzinfo is not None else None,
        }
    except MemoryError:
        return {"error": "MEMORY"}
    except (PdfError, SignatureValidationError):
        return {"error": "MALFORMED"}
    except Exception:  # noqa: BLE001 - hostile files reach every corner of a parser; each is malformed
        return {"error": "MALFORMED"}


def serve(connection: Connection[Any, Any], largest: int) -> None:
    """Answers file after file until the other side is gone."""
    connection.send_bytes(b"ready")
    while True:
        try:
            pdf = connection.recv_bytes(largest)
        except (EOFError, OSError):
            return
        _allow_seconds()
        connection.send_bytes(json.dumps(find(pdf)).encode("ascii"))


def _confine() -> None:
    """Limits for the rest of the process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _allow_seconds() -> None:
    """The limit counts from the start of the process, so it moves on with each file."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + _SECONDS, hard))


def main() -> None:
    """Serves the connection whose file descriptor is the first argument."""
    logging.disable(logging.CRITICAL)
    _confine()
    with Connection(int(sys.argv[1])) as connection:
        serve(connection, 32 * 1024 * 1024)


if __name__ == "__main__":
    main()
