"""The evidence package of a document: which files it holds and what stands in them.

No file ever changes once it is there: a later package of the same document has the same files and further ones. That is
what an archive time-stamp over their digests relies on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence

from google.protobuf.json_format import MessageToDict
from lienthong.client.tlog.receipt import Receipt
from lienthong.records.v1 import evidence_service_pb2, submission_pb2

from services.records.convert.evidence import verdict_messages
from services.records.convert.intake import record_message
from services.records.formats.asic import Member, build_container, manifest, record_names
from services.records.model import StoredContent
from services.records.proof import EvidenceKind, PackageContents
from services.records.signatures import DetachedSignature, SignatureForm

DOCUMENT = "document.xml"
SIGNATURES = "signatures.json"
RECEIPT = "receipt.json"
CHECKPOINT = "log/checkpoint.txt"
CHECKPOINT_TOKEN = "log/checkpoint.tst"  # noqa: S105 - a file's name
CHECKPOINT_PROOF = "log/checkpoint.tlog-proof"
_SUFFIX = {
    SignatureForm.CMS_DETACHED: ("p7s", "application/pkcs7-signature"),
    SignatureForm.BATCH: ("p7s", "application/pkcs7-signature"),
    SignatureForm.XADES_DETACHED: ("xml", "text/xml"),
    SignatureForm.JWS_DETACHED: ("jws", "application/jose"),
}
_EVIDENCE = {
    EvidenceKind.CERTIFICATE: ("cer", "application/pkix-cert"),
    EvidenceKind.REVOCATION_LIST: ("crl", "application/pkix-crl"),
    EvidenceKind.OCSP_RESPONSE: ("ors", "application/ocsp-response"),
    EvidenceKind.TIMESTAMP_TOKEN: ("tst", "application/vnd.etsi.timestamp-token"),
}
RECORD_MEDIA_TYPE = "application/ers"
_JSON = "application/json"


class AsicPackage:
    """`PackageFormat`: an ASiC-E container under the system's seal."""

    def __init__(self, seal: Callable[[bytes], bytes]) -> None:
        """`seal` makes a detached CMS signature, DER."""
        self._seal = seal

    def evidence_named(self, contents: PackageContents) -> Sequence[str]:
        """Everything that the verdicts name."""
        found: dict[str, None] = {}
        for recorded in _verdicts(contents):
            for one in recorded.verdict.signatures:
                named = [
                    one.signer_certificate_sha256,
                    *one.chain_sha256,
                    one.revocation.evidence_sha256,
                    *(
                        token
                        for stamp in one.timestamps
                        for token in (stamp.authority_certificate_sha256, stamp.token_sha256)
                    ),
                    *one.evidence_sha256,
                ]
                found.update(dict.fromkeys(filter(None, named)))
        return list(found)

    def members(self, contents: PackageContents) -> list[Member]:
        """The files, without the container's own."""
        return list(_members(contents))

    def listing(self, contents: PackageContents, number: int, digest: str) -> tuple[bytes, list[bytes]]:
        """The manifest of an evidence record over everything that is there now, and the digests it names."""
        members = self.members(contents)
        _, record = record_names(number)
        hashes = [hashlib.new(digest, member.content).digest() for member in members]
        return manifest(members, record, RECORD_MEDIA_TYPE, digest), hashes

    def build(self, contents: PackageContents) -> bytes:
        """The sealed container."""
        return build_container(self.members(contents), self._seal)


def _members(contents: PackageContents) -> Iterator[Member]:
    stored = contents.stored
    yield Member(DOCUMENT, "application/xml", stored.content, root=True)
    yield from signature_members(stored)
    yield receipt_member(stored)
    for number, recorded in enumerate(_verdicts(contents), 1):
        yield Member(f"verdicts/{number}.json", _JSON, _json(MessageToDict(recorded, preserving_proto_field_name=True)))
    for piece in sorted(contents.evidence, key=lambda one: one.sha256):
        suffix, media_type = _EVIDENCE[piece.kind]
        yield Member(f"evidence/{piece.sha256}.{suffix}", media_type, piece.content)
    checkpoint = contents.checkpoint
    if checkpoint is not None:
        yield Member(CHECKPOINT, "text/plain", checkpoint.checkpoint.encode())
        yield Member(CHECKPOINT_TOKEN, "application/vnd.etsi.timestamp-token", checkpoint.token)
        yield Member(CHECKPOINT_PROOF, "text/plain", checkpoint.tlog_proof.encode())
    for renewal in contents.renewals:
        listing, record = record_names(renewal.number)
        yield Member(listing, "text/xml", renewal.listing)
        yield Member(record, RECORD_MEDIA_TYPE, renewal.record)


def signature_members(stored: StoredContent, folder: str = "") -> list[Member]:
    """The detached signatures of a document, each a file, and the list of them."""
    members, listed = [], []
    for number, signature in enumerate(stored.signatures, 1):
        suffix, media_type = _SUFFIX[signature.form]
        name = f"signatures/{number}.{suffix}"
        members.append(Member(folder + name, media_type, signature.content))
        listed.append(_listed(name, signature))
    return [*members, Member(folder + SIGNATURES, _JSON, _json(listed))]


def receipt_member(stored: StoredContent, folder: str = "") -> Member:
    """The receipt of a document as it stands."""
    return Member(folder + RECEIPT, _JSON, _receipt(record_message(stored.record)).to_json().encode())


def _verdicts(contents: PackageContents) -> list[evidence_service_pb2.RecordedVerdict]:
    return verdict_messages(contents.stored.record, contents.verdicts)


def _listed(name: str, signature: DetachedSignature) -> dict[str, object]:
    entry: dict[str, object] = {"file": name, "format": signature.form.value, "part": signature.part}
    if signature.batch is not None:
        place = signature.batch
        path = [digest.hex() for digest in place.path]
        entry["batch"] = {"manifest": place.manifest, "index": place.index, "path": path}
    return entry


def _receipt(submission: submission_pb2.Submission) -> Receipt:
    kept = submission.receipt
    return Receipt(kept.entry, kept.salt, kept.promise, kept.tlog_proof or None, kept.trace_id)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode() + b"\n"
