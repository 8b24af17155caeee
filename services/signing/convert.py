"""Proto to model and back for the signing role; nothing else knows both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.signing.v1 import trust_pb2, verdict_pb2, verification_service_pb2
from lienthong.type.v1 import document_kind_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.signing.model import (
    POLICY_VERSION,
    Authority,
    AuthorityKind,
    BatchMembership,
    BuildingBlock,
    CarriedSignature,
    CheckState,
    DocumentPart,
    Indication,
    SignatureFormat,
    SignatureVerdict,
    SignedDocument,
    SignerCertificate,
    SignerState,
    Verdict,
)

E = TypeVar("E", bound=Enum)


def _numbers(members: type[E], prefix: str, numbers: Mapping[str, int]) -> dict[E, int]:
    return {member: numbers[f"{prefix}_{member.value}"] for member in members}


_INDICATION = _numbers(Indication, "INDICATION", dict(verdict_pb2.Indication.items()))
_FORMAT = _numbers(SignatureFormat, "SIGNATURE_FORMAT", dict(verdict_pb2.SignatureFormat.items()))
_BLOCK = _numbers(BuildingBlock, "BUILDING_BLOCK", dict(verdict_pb2.BuildingBlock.items()))
_CHECK = _numbers(CheckState, "CHECK_STATE", dict(verdict_pb2.CheckState.items()))
_KIND = _numbers(AuthorityKind, "AUTHORITY_KIND", dict(trust_pb2.AuthorityKind.items()))
_STATE = _numbers(SignerState, "SIGNER_CERTIFICATE_STATE", dict(trust_pb2.SignerCertificateState.items()))
_SUB = dict(verdict_pb2.SubIndication.items())
_FORMAT_BACK = {number: member for member, number in _FORMAT.items()}
_KIND_BACK = {number: member for member, number in _KIND.items()}


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
                document_kind_pb2.DocumentKind.Name(kind).removeprefix("DOCUMENT_KIND_") for kind in document.kinds
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


def verdict_message(verdict: Verdict) -> verdict_pb2.Verdict:
    """The proto of a document's verdict."""
    return verdict_pb2.Verdict(
        indication=_indication(verdict.indication),
        sub_indication=_sub_indication(verdict.sub_indication),
        reason=verdict.reason,
        signatures=[_signature(signature) for signature in verdict.signatures],
        control_time=timestamp(verdict.control_time),
        trust_list_version=verdict.trust_version,
        policy_version=POLICY_VERSION,
        acceptable=verdict.acceptable,
    )


def _indication(value: Indication) -> verdict_pb2.Indication.ValueType:
    return verdict_pb2.Indication.ValueType(_INDICATION[value])


def _sub_indication(value: str) -> verdict_pb2.SubIndication.ValueType:
    return verdict_pb2.SubIndication.ValueType(_SUB[f"SUB_INDICATION_{value or 'UNSPECIFIED'}"])


def _signature(verdict: SignatureVerdict) -> verdict_pb2.SignatureVerdict:
    scope = verdict_pb2.SIGNATURE_SCOPE_FULL if verdict.covers_all else verdict_pb2.SIGNATURE_SCOPE_UNSPECIFIED
    message = verdict_pb2.SignatureVerdict(
        format=verdict_pb2.SignatureFormat.ValueType(_FORMAT[verdict.format]),
        role=verdict_pb2.SIGNER_ROLE_FACILITY,
        indication=_indication(verdict.indication),
        sub_indication=_sub_indication(verdict.sub_indication),
        reason=verdict.reason,
        scope=scope,
        signer_certificate_sha256=verdict.signer_fingerprint,
        chain_sha256=list(verdict.chain),
        signature_algorithm=verdict.algorithm,
        claimed_signing_time=timestamp(verdict.claimed_at),
        best_signature_time=timestamp(verdict.best_time),
        best_time_source="RECEIVED" if verdict.best_time else "",
        checks=[
            verdict_pb2.Check(
                block=verdict_pb2.BuildingBlock.ValueType(_BLOCK[check.block]),
                state=verdict_pb2.CheckState.ValueType(_CHECK[check.state]),
                reason=check.reason,
            )
            for check in verdict.checks
        ],
    )
    if verdict.revocation is not None:
        message.revocation.CopyFrom(
            verdict_pb2.Revocation(
                source="CRL",
                this_update=timestamp(verdict.revocation.this_update),
                next_update=timestamp(verdict.revocation.next_update),
                revocation_time=timestamp(verdict.revocation.revoked_at),
            )
        )
    return message


def authority_kind(number: int) -> AuthorityKind:
    """The kind of an authority; InvalidArgument when unknown."""
    if number not in _KIND_BACK:
        raise InvalidArgument.of(FieldViolation("trust_anchor.kind", "ROOT or INTERMEDIATE", "KIND_UNKNOWN"))
    return _KIND_BACK[number]


def authority_message(authority: Authority) -> trust_pb2.TrustAnchor:
    """The proto of an authority."""
    return trust_pb2.TrustAnchor(
        name=f"trustAnchors/{authority.fingerprint}",
        kind=trust_pb2.AuthorityKind.ValueType(_KIND[authority.kind]),
        certificate=authority.certificate,
        create_time=timestamp(authority.created_at),
        expire_time=timestamp(authority.expires_at),
    )


def signer_message(signer: SignerCertificate) -> trust_pb2.SignerCertificate:
    """The proto of a registered signer certificate."""
    return trust_pb2.SignerCertificate(
        name=f"signerCertificates/{signer.fingerprint}",
        facility=signer.facility,
        certificate=signer.certificate,
        state=trust_pb2.SignerCertificateState.ValueType(_STATE[signer.state]),
        create_time=timestamp(signer.created_at),
        expire_time=timestamp(signer.expires_at),
    )
