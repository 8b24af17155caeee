"""Batch signatures: membership of a document in a manifest, and the CMS signature over the manifest.

A thousand documents of one batch bring the same manifest and signature; the signature that held is remembered by the
digest of both, so it is checked once. Only what a signature says is remembered, never a refusal.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock

from lienthong.client.batch import (
    LARGEST_MANIFEST,
    BatchManifest,
    BatchManifestInvalid,
    BatchMembershipInvalid,
    verify_membership,
)

from services.signing.formats.cms import LARGEST_SIGNATURE, verify_cms
from services.signing.formats.facts import Finding, SignatureFacts, SubIndication
from services.signing.model import BatchMembership, SignatureFormat

MOST_REMEMBERED = 256
"""Most manifests whose signature is remembered; one takes at most some 100 KB."""


class BatchVerifier:
    """Verifies documents of batches; safe to share between threads."""

    def __init__(self, capacity: int = MOST_REMEMBERED) -> None:
        self._capacity = capacity
        self._remembered: OrderedDict[bytes, SignatureFacts] = OrderedDict()
        self._lock = Lock()

    def verify(
        self,
        content: bytes,
        signature: bytes,
        membership: BatchMembership | None,
        registered: Mapping[str, bytes] | None = None,
    ) -> SignatureFacts:
        """Facts of the manifest's signature, for a document that is shown to be in the batch.

        `facility` of the facts is the one in the manifest. Raises a Finding; never anything else, whatever the bytes.
        """
        if membership is None:
            raise _format("BATCH_MEMBERSHIP_MISSING", "a batch signature comes with the place in the batch")
        manifest = _manifest(membership)
        try:
            verify_membership(manifest, membership.index, membership.path, content)
        except BatchMembershipInvalid as error:
            raise Finding(
                SubIndication.HASH_FAILURE, "BATCH_MEMBERSHIP_WRONG", "the document is not at that place of the batch"
            ) from error
        facts = self._signature(membership.manifest.encode("ascii"), signature, registered)
        return replace(facts, format=SignatureFormat.BATCH, covered=content, facility=manifest.facility)

    def __len__(self) -> int:
        return len(self._remembered)

    def _signature(self, manifest: bytes, signature: bytes, registered: Mapping[str, bytes] | None) -> SignatureFacts:
        if len(signature) > LARGEST_SIGNATURE:
            raise _format("SIGNATURE_TOO_LARGE", f"a signature has at most {LARGEST_SIGNATURE} bytes")
        key = hashlib.sha256(hashlib.sha256(manifest).digest() + signature).digest()
        with self._lock:
            if key in self._remembered:
                self._remembered.move_to_end(key)
                return self._remembered[key]
        facts = verify_cms(manifest, signature, registered)
        with self._lock:
            self._remembered[key] = facts
            if len(self._remembered) > self._capacity:
                self._remembered.popitem(last=False)
        return facts


def _manifest(membership: BatchMembership) -> BatchManifest:
    try:
        if len(membership.manifest) > LARGEST_MANIFEST or not membership.manifest.isascii():
            raise BatchManifestInvalid("too long, or not ASCII")
        return BatchManifest.parse(membership.manifest)
    except BatchManifestInvalid as error:
        raise _format("BATCH_MANIFEST_MALFORMED", "the manifest is not the body of a batch's checkpoint") from error


def _format(reason: str, text: str) -> Finding:
    return Finding(SubIndication.FORMAT_FAILURE, reason, text)
