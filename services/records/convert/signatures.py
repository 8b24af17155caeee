"""Signatures beside a document: as they come in, as they are kept, and as they go out. All three are the contract's own
message.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from lienthong.records.v1 import submission_pb2
from lienthong.signing.v1 import verdict_pb2, verification_service_pb2

from services.chassis.errors import FieldViolation
from services.records.signatures import (
    HASH_BYTES,
    LARGEST_SIGNATURE,
    LONGEST_MANIFEST,
    LONGEST_PATH,
    MOST_SIGNATURES,
    PART_NAME,
    BatchPlace,
    DetachedSignature,
    SignatureForm,
)

FORM = {form: verdict_pb2.SignatureFormat.Value(f"SIGNATURE_FORMAT_{form.value}") for form in SignatureForm}
_FORM_IN: dict[int, SignatureForm] = {number: form for form, number in FORM.items()}
_FORMS = ", ".join(form.value for form in SignatureForm)


def wrong_signatures(signatures: Sequence[submission_pb2.DetachedSignature], field: str) -> list[FieldViolation]:
    """Everything about the signatures of a submission that the contract does not allow, each with its place."""
    wrong = []
    if len(signatures) > MOST_SIGNATURES:
        wrong.append(FieldViolation(field, f"at most {MOST_SIGNATURES}", "TOO_MANY"))
    # What is beyond the bound is not looked at.
    for at, signature in enumerate(signatures[:MOST_SIGNATURES]):
        place = f"{field}[{at}]"
        if signature.format not in _FORM_IN:
            wrong.append(FieldViolation(f"{place}.format", _FORMS, "FORMAT_UNKNOWN"))
        if len(signature.content) > LARGEST_SIGNATURE:
            wrong.append(FieldViolation(f"{place}.content", f"at most {LARGEST_SIGNATURE} bytes", "TOO_LARGE"))
        if signature.part and not PART_NAME.fullmatch(signature.part):
            wrong.append(FieldViolation(f"{place}.part", "XML0 to XML15, or empty", "PART_UNKNOWN"))
        wrong += _wrong_batch(signature, place)
    return wrong


def _wrong_batch(signature: submission_pb2.DetachedSignature, place: str) -> list[FieldViolation]:
    batched = signature.format == verdict_pb2.SIGNATURE_FORMAT_BATCH
    if batched != signature.HasField("batch"):
        return [FieldViolation(f"{place}.batch", "with format BATCH and with no other", "BATCH_PLACE_INVALID")]
    if not batched:
        return []
    wrong, batch = [], signature.batch
    if signature.part:
        wrong.append(FieldViolation(f"{place}.part", "empty: a batch is of whole documents", "PART_NOT_ALLOWED"))
    if len(batch.manifest) > LONGEST_MANIFEST:
        wrong.append(FieldViolation(f"{place}.batch.manifest", f"at most {LONGEST_MANIFEST} characters", "TOO_LARGE"))
    if batch.index < 0:
        wrong.append(FieldViolation(f"{place}.batch.index", "0 or more", "BATCH_PLACE_INVALID"))
    if len(batch.path) > LONGEST_PATH or any(len(digest) != HASH_BYTES for digest in batch.path):
        expected = f"at most {LONGEST_PATH} hashes of {HASH_BYTES} bytes"
        wrong.append(FieldViolation(f"{place}.batch.path", expected, "BATCH_PLACE_INVALID"))
    return wrong


def signature_in(signature: submission_pb2.DetachedSignature) -> DetachedSignature:
    """One that `wrong_signatures` found nothing about."""
    batch = signature.batch
    return DetachedSignature(
        form=_FORM_IN[signature.format],
        content=signature.content,
        part=signature.part,
        batch=BatchPlace(batch.manifest, batch.index, tuple(batch.path)) if signature.HasField("batch") else None,
    )


def signature_out(signature: DetachedSignature) -> submission_pb2.DetachedSignature:
    """The contract's message."""
    return submission_pb2.DetachedSignature(
        format=FORM[signature.form], content=signature.content, part=signature.part, batch=_batch(signature)
    )


def carried_out(signature: DetachedSignature) -> verification_service_pb2.CarriedSignature:
    """For signing to judge."""
    return verification_service_pb2.CarriedSignature(
        format=FORM[signature.form], content=signature.content, part=signature.part, batch=_batch(signature)
    )


def encode_signature(signature: DetachedSignature) -> bytes:
    """The bytes that are kept."""
    return signature_out(signature).SerializeToString(deterministic=True)


def decode_signature(kept: bytes) -> DetachedSignature:
    """What `encode_signature` made."""
    try:
        return signature_in(submission_pb2.DetachedSignature.FromString(kept))
    except DecodeError as error:
        raise ValueError("a stored signature that is none") from error


def _batch(signature: DetachedSignature) -> verification_service_pb2.BatchMembership | None:
    place = signature.batch
    if place is None:
        return None
    return verification_service_pb2.BatchMembership(manifest=place.manifest, index=place.index, path=place.path)
