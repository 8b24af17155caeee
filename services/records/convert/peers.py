"""What other roles are asked and what they answer."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

from google.type import date_pb2
from lienthong.client.tlog.proof import TlogProof
from lienthong.consent.v1 import decision_pb2, decision_service_pb2
from lienthong.identity.v1 import person_pb2, source_record_service_pb2
from lienthong.referrals.v1 import referral_pb2, slip_import_service_pb2
from lienthong.signing.v1 import log_service_pb2, trust_pb2, trust_service_pb2, verdict_pb2, verification_service_pb2
from lienthong.type.v1 import (
    access_context_pb2,
    administrative_area_pb2,
    administrative_sex_pb2,
    human_name_pb2,
    identifier_pb2,
)

from services.records.convert.scalars import (
    kinds_out,
    known_classes,
    known_kinds,
    period_in,
    period_out,
    stamp,
    time_in,
)
from services.records.convert.signatures import carried_out
from services.records.formats.document import (
    AreaEra,
    IdentifierFact,
    IdentifierType,
    ParsedDocument,
    PatientFacts,
    ReferralSlip,
)
from services.records.model import (
    ALWAYS,
    Case,
    Decision,
    Filing,
    Permission,
    Query,
    Verdict,
    WithheldClass,
    WithheldKind,
)
from services.records.proof import AlgorithmRule, Compromise, EvidenceKind, EvidencePiece, TimestampedCheckpoint
from services.records.service.slips import Slip

_LONGEST_MRN = 100
_TYPE: dict[IdentifierType, identifier_pb2.IdentifierType.ValueType] = {
    type: identifier_pb2.IdentifierType.Value(f"IDENTIFIER_TYPE_{type.value}")
    for type in IdentifierType
    if type is not IdentifierType.UNKNOWN
}
_ERA = {era: administrative_area_pb2.AreaEra.Value(f"AREA_ERA_{era.value}") for era in AreaEra}
# The codes of GIOI_TINH.
_SEX = {
    "1": administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE,
    "2": administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
    "3": administrative_sex_pb2.ADMINISTRATIVE_SEX_UNDETERMINED,
}
_EVIDENCE_KIND: dict[int, EvidenceKind] = {
    verification_service_pb2.EvidenceKind.Value(f"EVIDENCE_KIND_{kind.value}"): kind for kind in EvidenceKind
}
_HELD = frozenset(
    {source_record_service_pb2.FILING_OUTCOME_PROVISIONAL, source_record_service_pb2.FILING_OUTCOME_REVIEW}
)


class EvidenceAltered(Exception):
    """A peer gave evidence that is not what its hash says; nothing of the answer can be used."""


def signed_document(case: Case) -> verification_service_pb2.SignedDocument:
    """A document for signing to judge. Where there is no signature at all, it is the enveloped one that is missing."""
    document, parsed = case.incoming, case.parsed
    enveloped = parsed.signed or not (document.signatures or parsed.parts)
    return verification_service_pb2.SignedDocument(
        content=document.content,
        format=verdict_pb2.SIGNATURE_FORMAT_XMLDSIG_ENVELOPED
        if enveloped
        else verdict_pb2.SIGNATURE_FORMAT_UNSPECIFIED,
        facility=document.facility,
        receive_time=stamp(document.received_at),
        signatures=[carried_out(one) for one in document.signatures],
        parts=[
            verification_service_pb2.DocumentPart(name=one.name, content=one.content, enveloped=one.enveloped)
            for one in parsed.parts
        ],
        kinds=kinds_out(parsed.kinds),
        existence_time=None if case.existed_at is None else stamp(case.existed_at),
    )


def verdict_in(verdict: verdict_pb2.Verdict) -> Verdict:
    """What intake needs of a verdict, and the whole of it."""
    facility = [one for one in verdict.signatures if one.role == verdict_pb2.SIGNER_ROLE_FACILITY]
    signer = next(iter(facility or verdict.signatures), verdict_pb2.SignatureVerdict())
    sub = verdict_pb2.SubIndication.Name(verdict.sub_indication).removeprefix("SUB_INDICATION_")
    return Verdict(
        indication=verdict_pb2.Indication.Name(verdict.indication).removeprefix("INDICATION_"),
        sub_indication="" if sub == "UNSPECIFIED" else sub,
        reason=verdict.reason,
        acceptable=verdict.acceptable,
        signer_certificate_sha256=signer.signer_certificate_sha256,
        encoded=verdict.SerializeToString(deterministic=True),
        failed=_failed(verdict),
        grace_period_end=time_in(verdict, "grace_period_end"),
        signers=_signers(verdict),
    )


def _failed(verdict: verdict_pb2.Verdict) -> tuple[str, str]:
    for one in verdict.signatures:
        if one.indication != verdict_pb2.INDICATION_TOTAL_PASSED:
            return verdict_pb2.SignatureFormat.Name(one.format).removeprefix("SIGNATURE_FORMAT_"), one.part
    return "", ""


def _signers(verdict: verdict_pb2.Verdict) -> tuple[tuple[str, datetime | None], ...]:
    """Each certificate once, with the earliest time proven for one of its signatures."""
    found: dict[str, datetime | None] = {}
    for one in verdict.signatures:
        proven, known = time_in(one, "best_signature_time"), found.get(one.signer_certificate_sha256)
        if one.signer_certificate_sha256:
            found[one.signer_certificate_sha256] = min(filter(None, (proven, known)), default=None)
    return tuple(sorted(found.items()))


def compromise_in(registered: trust_pb2.SignerCertificate) -> Compromise:
    """A compromised signer; without a time the key was never the signer's alone."""
    since = time_in(registered, "compromise_time") or datetime.fromtimestamp(0, UTC)
    return Compromise(registered.name.removeprefix("signerCertificates/"), since)


def algorithm_in(rule: trust_service_pb2.AlgorithmRule) -> AlgorithmRule:
    """A rule of the signature policy."""
    return AlgorithmRule(rule.algorithm, rule.least_key_bits, time_in(rule, "end_time"))


def evidence_in(evidence: verification_service_pb2.Evidence) -> EvidencePiece:
    """A piece of evidence. Raises EvidenceAltered when it is not what its name says."""
    if hashlib.sha256(evidence.content).hexdigest() != evidence.sha256:
        raise EvidenceAltered
    return EvidencePiece(evidence.sha256, _EVIDENCE_KIND[evidence.kind], evidence.content)


def timestamped_checkpoint_in(response: log_service_pb2.GetCheckpointTimestampResponse) -> TimestampedCheckpoint:
    """A checkpoint with its time-stamp."""
    return TimestampedCheckpoint(response.checkpoint, response.timestamp_token)


def proven_checkpoint(stamped: TimestampedCheckpoint, proof: str) -> TimestampedCheckpoint:
    """A time-stamped checkpoint with the proof of an entry under it. The proof carries the very bytes that are stamped,
    not the same checkpoint with the cosignatures of today: what a package holds never changes.
    """
    found = TlogProof.parse(proof)
    return replace(stamped, tlog_proof=replace(found, checkpoint=stamped.checkpoint).encode())


def checkpoint_size(checkpoint: str) -> int:
    """Entries that a checkpoint covers (C2SP tlog-checkpoint: the second line)."""
    return int(checkpoint.split("\n", 2)[1])


def source_record(document: ParsedDocument) -> source_record_service_pb2.SourceRecord:
    """What a document says of its patient. Without a patient number the episode stands for it: the person is then known
    by this one visit only.
    """
    patient = document.patient
    local = next((one.value for one in patient.identifiers if one.type is IdentifierType.LOCAL_MRN), "")
    return source_record_service_pb2.SourceRecord(
        facility=document.facility,
        local_mrn=(local or f"LK-{document.episode_key}")[:_LONGEST_MRN],
        identifiers=[_identifier(one) for one in patient.identifiers if one.type in _TYPE],
        demographics=_demographics(patient),
    )


def _identifier(fact: IdentifierFact) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(type=_TYPE[fact.type], value=fact.value, assigner=fact.assigner)


def _demographics(patient: PatientFacts) -> person_pb2.Demographics:
    message = person_pb2.Demographics(
        human_name=human_name_pb2.HumanName(text=patient.full_name),
        sex=_SEX.get(patient.sex, administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED),
        phone=patient.phone,
    )
    if patient.birth is not None:
        message.birth_date.CopyFrom(
            date_pb2.Date(year=patient.birth.year, month=patient.birth.month, day=patient.birth.day)
        )
    province = patient.province_code
    if len(province) == 3 and province.startswith("0"):
        province = province[1:]
    if len(province) == 2 and province.isdigit():
        message.residence.province_code = province
        message.residence.era = _ERA[patient.province_era]
        message.residence.ward_code = patient.ward_code
    return message


def filing_in(filing: source_record_service_pb2.SourceRecordFiling) -> Filing:
    """Under whom a document belongs."""
    person = UUID(filing.person.removeprefix("persons/"))
    return Filing(person, filing.outcome in _HELD, tuple(filing.warnings))


def decision_query(query: Query) -> decision_service_pb2.DecisionQuery:
    """A question for consent."""
    return decision_service_pb2.DecisionQuery(
        person=f"persons/{query.person}",
        context=access_context_pb2.AccessContext(
            purpose=access_context_pb2.PurposeOfUse.ValueType(query.context.purpose),
            legal_basis=access_context_pb2.LegalBasis.ValueType(query.context.legal_basis),
            reason=query.context.reason,
        ),
        kinds=kinds_out(query.kinds),
        period=None if query.span == ALWAYS else period_out(query.span.start, query.span.end),
        method=query.method,
        resources=query.resources,
        evidence=[
            decision_service_pb2.TreatmentEvidence(type="OWN_DOCUMENT", resource=name) for name in query.own_documents
        ],
    )


def decision_in(decision: decision_pb2.Decision) -> Decision:
    """Consent's answer. Anything but PERMIT permits nothing."""
    permitted = decision.effect == decision_pb2.EFFECT_PERMIT
    return Decision(
        name=decision.name,
        access=decision.access,
        permissions=tuple(
            Permission(
                known_kinds(one.kinds),
                period_in(one.data_period),
                known_classes(one.sensitive_classes),
                one.source.removeprefix("organizations/") or None,
            )
            for one in (decision.permissions if permitted else ())
        ),
        withheld=tuple(WithheldKind(kind, one.reason) for one in decision.withheld for kind in known_kinds([one.kind])),
        would_change=tuple(change.code for change in decision.would_change),
        withheld_classes=tuple(
            WithheldClass(named, one.reason)
            for one in decision.withheld_classes
            for named in known_classes([one.sensitivity_class])
        ),
    )


def slip_message(event: UUID, slip: Slip) -> slip_import_service_pb2.Slip:
    """A paper for the referrals role."""
    message = slip_import_service_pb2.Slip(
        event_id=str(event),
        document=f"documents/{slip.document}",
        person=f"persons/{slip.person}",
        facility=slip.facility,
    )
    if isinstance(slip.paper, ReferralSlip):
        message.referral.CopyFrom(_referral(slip.paper))
    else:
        message.follow_up.slip_number = slip.paper.number
        message.follow_up.appointment_date.CopyFrom(_date(slip.paper.appointed_on))
    return message


def _referral(paper: ReferralSlip) -> slip_import_service_pb2.ReferralSlip:
    return slip_import_service_pb2.ReferralSlip(
        referral_number=paper.number,
        target_facility=paper.target_facility,
        previous_facilities=paper.previous_facilities,
        reason_code=paper.reason_code,
        sign_date=_date(paper.signed_on),
        content=referral_pb2.ReferralContent(
            main_diagnosis=paper.main_diagnosis,
            secondary_diagnoses=paper.secondary_diagnoses,
            diagnosis_text=paper.diagnosis_text,
            clinical_signs=paper.clinical_signs,
            course=paper.course,
            results=paper.results,
            treatment=paper.treatment,
            plan=paper.plan,
            transport=paper.transport,
            escort=paper.escort,
        ),
    )


def _date(day: date) -> date_pb2.Date:
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)
