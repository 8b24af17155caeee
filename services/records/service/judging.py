"""What makes a document unusable or untrue; nothing else refuses it (api.md §2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.records.formats.document import DocumentFormat, DocumentUnusable, ParsedDocument, SignablePart
from services.records.model import Incoming, Rejection, Verdict

SIGNATURE_PLACE = "GIAMDINHHS/CHUKYDONVI"
FACILITY_PLACE = "GIAMDINHHS/THONGTINDONVI/MACSKCB"
Read = ParsedDocument | Rejection | Exception


def read(document: Incoming, formats: Mapping[str, DocumentFormat]) -> Read:
    """Parses a document. An exception that is returned is a fault of ours in this one document."""
    try:
        parsed = formats[document.format].parse(document.content)
    except DocumentUnusable as unusable:
        return Rejection(unusable.rejection, unusable.field, unusable.description)
    except Exception as error:  # noqa: BLE001 - one document must not take the batch with it
        return error
    if parsed.facility != document.facility:
        return Rejection("FACILITY_MISMATCH", FACILITY_PLACE, "the document names another facility than the caller")
    held = {part.name for part in parsed.parts}
    for at, signature in enumerate(document.signatures):
        if signature.part and signature.part not in held:
            return Rejection("SIGNED_PART_MISSING", f"signatures[{at}].part", "the document holds no such table")
    return replace(parsed, parts=signed_parts(document, parsed))


def signed_parts(document: Incoming, parsed: ParsedDocument) -> tuple[SignablePart, ...]:
    """The parts that a signature is about; the others need not be kept in memory nor shown to signing."""
    named = {signature.part for signature in document.signatures}
    return tuple(part for part in parsed.parts if part.enveloped or part.name in named)


def read_all(documents: Sequence[Incoming], formats: Mapping[str, DocumentFormat]) -> list[Read]:
    """Parses a batch; CPU only, for a worker thread. Also takes each document's digest, so that the loop need not."""
    for document in documents:
        _ = document.sha256
    return [read(document, formats) for document in documents]


def refusal(document: Incoming, verdict: Verdict) -> Rejection | None:
    """The rejection that a verdict means, if it means one."""
    if verdict.acceptable:
        return None
    result = "/".join(part for part in (verdict.indication, verdict.sub_indication) if part)
    reason = verdict.reason or verdict.sub_indication or verdict.indication
    place = next(
        (
            f"signatures[{at}].content"
            for at, signature in enumerate(document.signatures)
            if (signature.form.value, signature.part) == verdict.failed
        ),
        "signatures[0].content" if document.signatures and not verdict.failed[0] else SIGNATURE_PLACE,
    )
    return Rejection(reason, place, f"the signature is not accepted: {result}")
