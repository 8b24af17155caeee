"""Encryption at rest on one core: one document sealed and opened under the key of its person, over bare AES-256-GCM in the same run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.identifiers import uuid7
from services.chassis.keyring import FileKeyring, PersonKey, create_keyring, open_sealed, seal, sealed_from_bytes

DOCUMENT_BYTES = 10_000
PLACE = b"records|document_body.content|0190a000-0000-7000-8000-000000000000"


def key_figures(full: bool, figure: Callable[[Sequence[float], str, int], dict[str, Any]]) -> dict[str, Any]:
    """The figures of keys at rest; `figure` makes one from its raw values, unit and size."""
    calls, repeats = (20_000, 9) if full else (5_000, 5)
    content = os.urandom(DOCUMENT_BYTES)
    # What the cipher alone costs: a key that is there already and a nonce that somebody counts.
    bare, nonce = AESGCM(os.urandom(32)), bytes(12)
    ciphertext = bare.encrypt(nonce, content, PLACE)
    key = PersonKey(uuid7(), 1, {1: AESGCM(os.urandom(32))})
    sealed = seal(key, content, PLACE).to_bytes()
    with tempfile.TemporaryDirectory() as folder:
        create_keyring(Path(folder) / "keyring.json")
        root = FileKeyring(Path(folder) / "keyring.json")
    fresh = os.urandom(32)
    wrapped = root.wrap(fresh, PLACE)
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "seal": (lambda: seal(key, content, PLACE).to_bytes(), lambda: bare.encrypt(nonce, content, PLACE)),
        "open": (
            lambda: open_sealed(key, sealed_from_bytes(sealed), PLACE),
            lambda: bare.decrypt(nonce, ciphertext, PLACE),
        ),
    }
    figures: dict[str, Any] = {}
    for name, (ours, floor) in pairs.items():
        ratios, each, floors = [], [], []
        for _ in range(repeats):
            # Taken in turns, so that a slow moment of the machine falls on both sides of the ratio.
            floors.append(_microseconds(floor, calls))
            each.append(_microseconds(ours, calls))
            ratios.append(each[-1] / floors[-1])
        figures[f"keys.{name}.us_per_10_kb"] = figure(each, "us", calls)
        figures[f"keys.{name}.over_bare"] = figure(ratios, "ratio", calls) | {
            "peer": "AES-256-GCM of the same bytes under one key",
            "peer_raw": [round(value, 2) for value in floors],
        }
    # What a person who is not in the cache adds, once for all documents of a batch.
    for name, work in (
        ("wrap", lambda: root.wrap(fresh, PLACE)),
        ("unwrap", lambda: AESGCM(root.unwrap(wrapped, PLACE))),
    ):
        figures[f"keys.person_{name}.us"] = figure([_microseconds(work, calls) for _ in range(repeats)], "us", calls)
    return figures | {"keys.seal.bytes_added": figure([len(sealed) - len(content)], "B", 1)}


def _microseconds(work: Callable[[], object], calls: int) -> float:
    """CPU time of one call."""
    work()
    started = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started) / calls * 1e6
