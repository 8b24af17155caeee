"""Proto to model and back for the signing role; nothing else knows both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.signing.v1 import (
    trust_pb2,
    trust_service_pb2,
    validation_service_pb2,
    verdict_pb2,
    verification_service_pb2,
)
from lienthong.type.v1 import document_kind_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.signing.model import (
    Authority,
    AuthorityKind,
    AuthorityPurpose,
    BatchMembership,
    BuildingBlock,
    CarriedSignature,
    Check,
    CheckState,
    DocumentPart,
    Evidence,
    EvidenceKind,
    Indication,
    SignatureFormat,
    SignatureLevel,
    SignatureVerdict,
    SignedDocument,
    SignerCertificate,
    SignerRole,
    SignerState,
    TimestampVerdict,
    Verdict,
    WantedAuthority,
    WantedSigner,
)
from services.signing.policy import SignaturePolicy

E = TypeVar("E", bound=Enum)


def _numbers(members: type[E], prefix: str, numbers: Mapping[str, int]) -> dict[E, int]:
    return {member: numbers[f"{prefix}_{member.value}"] for member in members}


_INDICATION = _numbers(Indication, "INDICATION", dict(verdict_pb2.Indication.items()))
_FORMAT = _numbers(SignatureFormat, "SIGNATURE_FORMAT", dict(verdict_pb2.SignatureFormat.items()))
_BLOCK = _numbers(BuildingBlock, "BUILDING_BLOCK", dict(verdict_pb2.BuildingBlock.items()))
_CHECK = _numbers(CheckState, "CHECK_STATE", dict(verdict_pb2.CheckState.items()))
_KIND = _numbers(AuthorityKind, "AUTHORITY_KIND", dict(trust_pb2.AuthorityKind.items()))
_STATE = _numbers(SignerState, "SIGNER_CERTIFICATE_STATE", dict(trust_pb2.SignerCertificateState.items()))
_PURPOSE = _numbers(AuthorityPurpose, "AUTHORITY_PURPOSE", dict(trust_pb2.AuthorityPurpose.items()))
_ROLE = _numbers(SignerRole, "SIGNER_ROLE", dict(verdict_pb2.SignerRole.items()))
_LEVEL = _numbers(SignatureLevel, "SIGNATURE_LEVEL", dict(verdict_pb2.SignatureLevel.items()))
_EVIDENCE = _numbers(EvidenceKind, "EVIDENCE_KIND", dict(verification_service_pb2.EvidenceKind.items()))
_STATE_BACK = {number: member for member, number in _STATE.items()}
_SUB = dict(verdict_pb2.SubIndication.items())
_FORMAT_BACK = {number: member for member, number in _FORMAT.items()}
_KIND_BACK = {number: member for member, number in _KIND.items()}
_PURPOSE_BACK = {number: member for member, number in _PURPOSE.items()} | {0: AuthorityPurpose.SIGNING}
_ROLE_BACK = {number: member for member, number in _ROLE.items()} | {0: SignerRole.FACILITY}
_DOCUMENT_KIND = "DOCUMENT_KIND_"

DOCUMENT_KINDS = frozenset(
    name.removeprefix(_DOCUMENT_KIND) for name, number in document_kind_pb2.DocumentKind.items() if number
)
"""Names of the kinds of documents, without the prefix of the wire."""


def signer_state(number: int) -> SignerState | None:
    """A state to filter by; None for none. InvalidArgument for one that is not known."""
    if not number:
        return None
    if number not in _STATE_BACK:
        raise InvalidArgument.of(FieldViolation("state", "a known state", "STATE_UNKNOWN"))
    return _STATE_BACK[number]


def timestamp(at: datetime | None) -> Timestamp | None:
    """A proto timestamp, or nothing."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def documents(request: verification_service_pb2.VerifyDocumentsRequest) -> list[SignedDocument]:
    """The documents of a request; every unknown format is named at once."""
    wrong = [
        FieldViolation(f"documents[{place}]{field}.format", "a known signature format", "FORMAT_UNKNOWN")
        for place, document in enumerate(request.documents)
        for field, format in _formats(document)
        if format not in _FORMAT_BACK
    ]
    if wrong:
        raise InvalidArgument.of(*wrong)
    return [
        SignedDocument(
            content=document.content,
            format=_FORMAT_BACK.get(document.format),
            facility=document.facility,
            received_at=document.receive_time.ToDatetime(UTC),
            signatures=tuple(map(_carried_signature, document.signatures)),
            parts=tuple(DocumentPart(one.name, one.content, one.enveloped) for one in document.parts),
            kinds=tuple(
                document_kind_pb2.DocumentKind.Name(kind).removeprefix(_DOCUMENT_KIND) for kind in document.kinds
            ),
            existed_at=document.existence_time.ToDatetime(UTC) if document.HasField("existence_time") else None,
        )
        for document in request.documents
    ]


def _formats(document: verification_service_pb2.SignedDocument) -> list[tuple[str, int]]:
    """Every format that a document names, with its field."""
    named = [(f".signatures[{place}]", int(one.format)) for place, one in enumerate(document.signatures)]
    return [("", int(document.format)), *named] if document.format else named


def _carried_signature(signature: verification_service_pb2.CarriedSignature) -> CarriedSignature:
    batch = signature.batch if signature.HasField("batch") else None
    return CarriedSignature(
        format=_FORMAT_BACK[signature.format],
        content=signature.content,
        part=signature.part,
        batch=BatchMembership(batch.manifest, batch.index, tuple(batch.path)) if batch else None,
    )


def validated_document(
    request: validation_service_pb2.ValidateSignaturesRequest, received_at: datetime
) -> SignedDocument:
    """The file of a request as a document that is received now."""
    named = [("", int(request.format))] if request.format else []
    named += [(f"signatures[{place}].", int(one.format)) for place, one in enumerate(request.signatures)]
    wrong = [
        FieldViolation(f"{field}format", "a known signature format", "FORMAT_UNKNOWN")
        for field, format in named
        if format not in _FORMAT_BACK
    ]
    if wrong:
        raise InvalidArgument.of(*wrong)
    return SignedDocument(
        content=request.content,
        format=_FORMAT_BACK.get(request.format),
        facility=request.facility,
        received_at=received_at,
        signatures=tuple(map(_carried_signature, request.signatures)),
    )


def verdict_message(verdict: Verdict) -> verdict_pb2.Verdict:
    """The proto of a document's verdict."""
    return verdict_pb2.Verdict(
        indication=_indication(verdict.indication),
        sub_indication=_sub_indication(verdict.sub_indication),
        reason=verdict.reason,
        signatures=[_signature(signature) for signature in verdict.signatures],
        control_time=timestamp(verdict.control_time),
        trust_list_version=verdict.trust_version,
        policy_version=verdict.policy_version,
        acceptable=verdict.acceptable,
        requirements=[_check(check) for check in verdict.requirements],
        grace_period_end=timestamp(verdict.grace_period_end),
    )


def _indication(value: Indication) -> verdict_pb2.Indication.ValueType:
    return verdict_pb2.Indication.ValueType(_INDICATION[value])


def _sub_indication(value: str) -> verdict_pb2.SubIndication.ValueType:
    return verdict_pb2.SubIndication.ValueType(_SUB[f"SUB_INDICATION_{value or 'UNSPECIFIED'}"])


def _check(check: Check) -> verdict_pb2.Check:
    return verdict_pb2.Check(
        block=verdict_pb2.BuildingBlock.ValueType(_BLOCK[check.block]),
        state=verdict_pb2.CheckState.ValueType(_CHECK[check.state]),
        reason=check.reason,
    )


def _timestamp_verdict(verdict: TimestampVerdict) -> verdict_pb2.TimestampVerdict:
    return verdict_pb2.TimestampVerdict(
        time=timestamp(verdict.at),
        valid=not verdict.reason,
        reason=verdict.reason,
        authority_certificate_sha256=verdict.authority_fingerprint,
        token_sha256=verdict.token_sha256,
    )


def _signature(verdict: SignatureVerdict) -> verdict_pb2.SignatureVerdict:
    full, none = verdict_pb2.SIGNATURE_SCOPE_FULL, verdict_pb2.SIGNATURE_SCOPE_UNSPECIFIED
    message = verdict_pb2.SignatureVerdict(
        format=verdict_pb2.SignatureFormat.ValueType(_FORMAT[verdict.format]),
        role=verdict_pb2.SignerRole.ValueType(_ROLE[verdict.role] if verdict.role else 0),
        indication=_indication(verdict.indication),
        sub_indication=_sub_indication(verdict.sub_indication),
        reason=verdict.reason,
        scope=full if verdict.covers_all else none,
        signer_certificate_sha256=verdict.signer_fingerprint,
        chain_sha256=list(verdict.chain),
        signature_algorithm=verdict.algorithm,
        claimed_signing_time=timestamp(verdict.claimed_at),
        best_signature_time=timestamp(verdict.best_time),
        best_time_source=verdict.best_time_source.value if verdict.best_time_source else "",
        checks=[_check(check) for check in verdict.checks],
        level=verdict_pb2.SignatureLevel.ValueType(_LEVEL[verdict.level] if verdict.level else 0),
        part=verdict.part,
        timestamps=[_timestamp_verdict(one) for one in verdict.timestamps],
        grace_period_end=timestamp(verdict.grace_period_end),
        practitioner_licence=verdict.licence,
        evidence_sha256=list(verdict.evidence),
    )
    known = verdict.revocation
    if known is not None:
        message.revocation.CopyFrom(
            verdict_pb2.Revocation(
                source=known.source.value,
                this_update=timestamp(known.this_update),
                next_update=timestamp(known.next_update),
                revocation_time=timestamp(known.revoked_at),
                evidence_sha256=known.sha256,
                revocation_reason=known.reason,
            )
        )
    return message


def evidence_message(evidence: Evidence) -> verification_service_pb2.Evidence:
    """The proto of a piece of evidence."""
    return verification_service_pb2.Evidence(
        sha256=evidence.sha256,
        kind=verification_service_pb2.EvidenceKind.ValueType(_EVIDENCE[evidence.kind]),
        content=evidence.content,
    )


def wanted_authority(anchor: trust_pb2.TrustAnchor) -> WantedAuthority:
    """What a request asks to be put on the trust list; InvalidArgument names every unknown value at once."""
    wrong = []
    if anchor.kind not in _KIND_BACK:
        wrong.append(FieldViolation("trust_anchor.kind", "ROOT or INTERMEDIATE", "KIND_UNKNOWN"))
    if anchor.purpose not in _PURPOSE_BACK:
        wrong.append(FieldViolation("trust_anchor.purpose", "SIGNING or TIMESTAMPING", "PURPOSE_UNKNOWN"))
    if wrong:
        raise InvalidArgument.of(*wrong)
    return WantedAuthority(
        kind=_KIND_BACK[anchor.kind],
        certificate=anchor.certificate,
        purpose=_PURPOSE_BACK[anchor.purpose],
        revocation_list_uri=anchor.revocation_list_uri,
        ocsp_uri=anchor.ocsp_uri,
        sunset_at=anchor.sunset_time.ToDatetime(UTC) if anchor.HasField("sunset_time") else None,
    )


def authority_message(authority: Authority) -> trust_pb2.TrustAnchor:
    """The proto of an authority."""
    return trust_pb2.TrustAnchor(
        name=f"trustAnchors/{authority.fingerprint}",
        kind=trust_pb2.AuthorityKind.ValueType(_KIND[authority.kind]),
        certificate=authority.certificate,
        create_time=timestamp(authority.created_at),
        expire_time=timestamp(authority.expires_at),
        purpose=trust_pb2.AuthorityPurpose.ValueType(_PURPOSE[authority.purpose]),
        revocation_list_uri=authority.revocation_list_uri,
        ocsp_uri=authority.ocsp_uri,
        sunset_time=timestamp(authority.sunset_at),
    )


def wanted_signer(signer: trust_pb2.SignerCertificate) -> WantedSigner:
    """What a request asks to be registered."""
    if signer.role not in _ROLE_BACK:
        wrong = FieldViolation("signer_certificate.role", "FACILITY or PRACTITIONER", "ROLE_UNKNOWN")
        raise InvalidArgument.of(wrong)
    return WantedSigner(signer.facility, signer.certificate, _ROLE_BACK[signer.role], signer.practitioner_licence)


def signer_message(signer: SignerCertificate, now: datetime) -> trust_pb2.SignerCertificate:
    """The proto of a registered signer certificate, with the days that are left of it now."""
    return trust_pb2.SignerCertificate(
        name=f"signerCertificates/{signer.fingerprint}",
        facility=signer.facility,
        certificate=signer.certificate,
        state=trust_pb2.SignerCertificateState.ValueType(_STATE[signer.state]),
        create_time=timestamp(signer.created_at),
        expire_time=timestamp(signer.expires_at),
        role=verdict_pb2.SignerRole.ValueType(_ROLE[signer.role]),
        practitioner_licence=signer.licence,
        compromise_time=timestamp(signer.compromised_at),
        days_left=signer.days_left(now),
    )


def policy_message(policy: SignaturePolicy) -> trust_service_pb2.GetSignaturePolicyResponse:
    """The proto of the policy in force."""
    message = trust_service_pb2.GetSignaturePolicyResponse(
        policy_version=policy.version,
        algorithms=[
            trust_service_pb2.AlgorithmRule(
                algorithm=rule.name,
                least_key_bits=rule.least_key_bits,
                start_time=timestamp(rule.start),
                end_time=timestamp(rule.end),
            )
            for rule in policy.algorithms
        ],
        requirements=[
            trust_service_pb2.RoleRequirement(
                kind=document_kind_pb2.DocumentKind.Value(_DOCUMENT_KIND + (rule.kind or "UNSPECIFIED")),
                role=verdict_pb2.SignerRole.ValueType(_ROLE[rule.role]),
                refuses=rule.refuses,
                start_time=timestamp(rule.start),
            )
            for rule in policy.requirements
        ],
    )
    message.grace_period.FromTimedelta(policy.grace_period)
    return message
