"""Signatures beside a document: what comes in, what signing is shown, and that the first answer stands."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import pytest
from lienthong.records.v1 import submission_pb2
from lienthong.signing.v1 import verdict_pb2, verification_service_pb2

from services.chassis.errors import InvalidArgument
from services.records.convert import peers
from services.records.convert.signatures import (
    decode_signature,
    encode_signature,
    signature_in,
    signature_out,
    wrong_signatures,
)
from services.records.errors import DocumentRejected
from services.records.formats.document import ParsedDocument
from services.records.formats.xml130 import Xml130Format
from services.records.model import Case, Incoming, Rejection
from services.records.service.judging import read, refusal
from services.records.signatures import BatchPlace, DetachedSignature, SignatureForm
from tests.fakes.records_ports import verdict
from tests.fakes.records_samples import FACILITY, episode, incoming
from tests.unit.records.conftest import Intake

FORMATS = {"XML130": Xml130Format()}
PLACE = BatchPlace("facility/01001/batch/1\n2\nAA==\n", 1, (b"h" * 32,))
CMS = DetachedSignature(SignatureForm.CMS_DETACHED, b"der")
OWN = b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo/></Signature>'


def message(**fields: Any) -> submission_pb2.DetachedSignature:
    return submission_pb2.DetachedSignature(
        **{"format": verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED, "content": b"der", **fields}
    )


def batch(**fields: Any) -> submission_pb2.DetachedSignature:
    place = verification_service_pb2.BatchMembership(
        **{"manifest": PLACE.manifest, "index": 1, "path": [b"h" * 32], **fields}
    )
    return message(format=verdict_pb2.SIGNATURE_FORMAT_BATCH, batch=place)


def parsed(document: Incoming) -> ParsedDocument:
    outcome = read(document, FORMATS)
    assert isinstance(outcome, ParsedDocument), outcome
    return outcome


@pytest.mark.parametrize(
    "signature",
    [
        CMS,
        DetachedSignature(SignatureForm.XADES_DETACHED, b"<x/>", "XML13"),
        DetachedSignature(SignatureForm.JWS_DETACHED, b"a..b", "XML0"),
        DetachedSignature(SignatureForm.BATCH, b"der", batch=PLACE),
    ],
)
def test_every_form_comes_in_is_kept_and_goes_out_unchanged(signature: DetachedSignature) -> None:
    assert wrong_signatures([signature_out(signature)], "signatures") == []
    assert signature_in(signature_out(signature)) == signature
    assert decode_signature(encode_signature(signature)) == signature
    carried = peers.signed_document(Case(incoming(episode(1), signatures=(signature,)), parsed(incoming(episode(1)))))
    (one,) = carried.signatures
    assert (one.content, one.part, one.format) == (signature.content, signature.part, signature_out(signature).format)
    assert one.HasField("batch") == (signature.batch is not None)


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        (message(format=verdict_pb2.SIGNATURE_FORMAT_PADES), "signatures[0].format", "FORMAT_UNKNOWN"),
        (message(format=verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED), "signatures[0].format", "FORMAT_UNKNOWN"),
        (message(content=b"x" * 65_537), "signatures[0].content", "TOO_LARGE"),
        (message(part="XML16"), "signatures[0].part", "PART_UNKNOWN"),
        (message(part="xml1"), "signatures[0].part", "PART_UNKNOWN"),
        (message(batch=batch().batch), "signatures[0].batch", "BATCH_PLACE_INVALID"),
        (message(format=verdict_pb2.SIGNATURE_FORMAT_BATCH), "signatures[0].batch", "BATCH_PLACE_INVALID"),
        (batch(index=-1), "signatures[0].batch.index", "BATCH_PLACE_INVALID"),
        (batch(path=[b"h" * 31]), "signatures[0].batch.path", "BATCH_PLACE_INVALID"),
        (batch(path=[b"h" * 32] * 15), "signatures[0].batch.path", "BATCH_PLACE_INVALID"),
        (batch(manifest="x" * 513), "signatures[0].batch.manifest", "TOO_LARGE"),
    ],
)
def test_what_the_contract_does_not_allow_is_named(
    wrong: submission_pb2.DetachedSignature, field: str, reason: str
) -> None:
    (violation,) = wrong_signatures([wrong], "signatures")
    assert (violation.field, violation.reason) == (field, reason)


def test_more_signatures_than_allowed() -> None:
    (violation,) = wrong_signatures([message()] * 9, "signatures")
    assert (violation.field, violation.reason) == ("signatures", "TOO_MANY")
    part_of_batch = batch()
    part_of_batch.part = "XML1"
    (violation,) = wrong_signatures([part_of_batch], "signatures")
    assert violation.reason == "PART_NOT_ALLOWED"


def test_signing_is_shown_the_parts_that_a_signature_is_about() -> None:
    document = incoming(episode(5, referral_to="79001"), signatures=(DetachedSignature(CMS.form, b"der", "XML13"),))
    read_again = parsed(document)
    (part,) = read_again.parts
    assert part.name == "XML13"
    assert not part.enveloped
    assert base64.b64encode(part.content) in document.content.replace(b"\n", b"")
    sent = peers.signed_document(Case(document, read_again))
    assert [(one.name, one.content, one.enveloped) for one in sent.parts] == [("XML13", part.content, False)]
    assert sent.format == verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED
    # Where it is signed inside too, that is judged with it.
    inside = re.sub(rb"<CHUKYDONVI\s*(/>|></CHUKYDONVI>)", b"<CHUKYDONVI>" + OWN + b"</CHUKYDONVI>", document.content)
    both = replace(document, content=inside)
    sent = peers.signed_document(Case(both, parsed(both)))
    assert sent.format == verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED
    assert len(sent.signatures) == 1


def test_a_part_with_a_signature_of_its_own_is_shown_without_being_named() -> None:
    sample = episode(5, referral_to="79001")
    table = next(part for part in Xml130Format().parse(sample.content).parts if part.name == "XML13")
    start = table.content.index(b"<DU_PHONG")
    signed = table.content[:start] + b"<DU_PHONG>" + OWN + b"</DU_PHONG>"
    rest = table.content[start:]
    after = rest.index(b"/>") + 2 if rest.startswith(b"<DU_PHONG/>") else rest.index(b"</DU_PHONG>") + 11
    signed += rest[after:]
    old, new = base64.b64encode(table.content), base64.b64encode(signed)
    assert old in sample.content
    document = incoming(sample.content.replace(old, new))
    (part,) = parsed(document).parts
    assert (part.name, part.enveloped, part.content) == ("XML13", True, signed)
    # The word in a text is no signature.
    word = table.content[:start] + b"<DU_PHONG>Signature</DU_PHONG>" + rest[after:]
    assert parsed(incoming(sample.content.replace(old, base64.b64encode(word)))).parts == ()


def test_a_signature_over_a_part_that_is_not_there() -> None:
    document = incoming(episode(1), signatures=(CMS, DetachedSignature(CMS.form, b"der", "XML15")))
    outcome = read(document, FORMATS)
    assert isinstance(outcome, Rejection)
    assert (outcome.reason, outcome.field) == ("SIGNED_PART_MISSING", "signatures[1].part")


def test_a_refusal_names_the_signature_that_failed() -> None:
    document = incoming(episode(1), signatures=(CMS, DetachedSignature(SignatureForm.JWS_DETACHED, b"j", "XML1")))
    failed = peers.verdict_in(
        verdict_pb2.Verdict(
            indication=verdict_pb2.INDICATION_TOTAL_FAILED,
            signatures=[
                verdict_pb2.SignatureVerdict(
                    indication=verdict_pb2.INDICATION_TOTAL_PASSED, format=verdict_pb2.SIGNATURE_FORMAT_CMS_DETACHED
                ),
                verdict_pb2.SignatureVerdict(
                    indication=verdict_pb2.INDICATION_TOTAL_FAILED,
                    format=verdict_pb2.SIGNATURE_FORMAT_JWS_DETACHED,
                    part="XML1",
                ),
            ],
        )
    )
    refused = refusal(document, failed)
    assert refused is not None
    assert refused.field == "signatures[1].content"
    enveloped = verdict_pb2.SignatureVerdict(format=verdict_pb2.SIGNATURE_FORMAT_XADES_ENVELOPED)
    refused = refusal(document, peers.verdict_in(verdict_pb2.Verdict(signatures=[enveloped])))
    assert refused is not None
    assert refused.field == "GIAMDINHHS/CHUKYDONVI"
    assert refusal(document, verdict()) is None


async def test_the_same_bytes_with_other_signatures_get_the_first_answer(intake: Intake) -> None:
    first = await intake.accept(incoming(episode(1), signatures=(CMS,)))
    again = await intake.accept(incoming(episode(1), signatures=(DetachedSignature(CMS.form, b"other"),)))
    assert again == first
    both = await intake.submit(incoming(episode(2), "b", signatures=(CMS,)), incoming(episode(2), "b", signatures=()))
    assert both[0] == both[1]
    assert len(intake.signing.cases) == 2
    (unknown,) = await intake.submit(
        incoming(episode(3), "c", signatures=(DetachedSignature(CMS.form, b"d", "XML15"),))
    )
    assert isinstance(unknown, DocumentRejected)
    assert unknown.metadata["rejection"] == "SIGNED_PART_MISSING"


def test_the_field_path_starts_at_the_request() -> None:
    from services.records.convert.intake import document_in
    from tests.fakes.records_samples import NOW

    wrong = submission_pb2.DocumentSubmission(
        document_id="a",
        format=submission_pb2.DOCUMENT_FORMAT_XML130,
        content=b"<x/>",
        signatures=[message(part="XML99")],
    )
    with pytest.raises(InvalidArgument) as refused:
        document_in(wrong, "documents[3]", facility=FACILITY, received_at=NOW, trace_id="", trace="")
    assert [one.field for one in refused.value.violations] == ["documents[3].signatures[0].part"]
