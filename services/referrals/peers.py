"""The consent role as the referrals role sees it."""

from __future__ import annotations

import grpc
from lienthong.consent.v1 import decision_pb2, decision_service_pb2, decision_service_pb2_grpc
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from services.chassis.call import Call
from services.chassis.peers import call_peer
from services.referrals.model import Referral
from services.referrals.ports import AccessContext, Ruling

_METHOD = "lienthong.referrals.v1.ReferralService/GetReferral"
_TIMEOUT = 5.0


class GrpcConsents:
    """`Consents` over gRPC; the caller's token travels along, so the decision is about the end actor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = decision_service_pb2_grpc.DecisionServiceStub(channel)

    async def may_read_referral(self, call: Call, referral: Referral, context: AccessContext) -> Ruling:
        """One decision for the one kind REFERRAL. Which facility is asking is known from the verified token, so the evidence is ours to give."""
        evidence = []
        facility = call.principal.facility
        if facility is not None and facility == referral.target:
            evidence.append(
                decision_service_pb2.TreatmentEvidence(type="REFERRAL", resource=f"referrals/{referral.id}")
            )
        if facility is not None and facility == referral.source:
            document = f"documents/{referral.document}"
            evidence.append(decision_service_pb2.TreatmentEvidence(type="OWN_DOCUMENT", resource=document))
        query = decision_service_pb2.DecisionQuery(
            person=f"persons/{referral.person}",
            context=access_context_pb2.AccessContext(
                purpose=access_context_pb2.PurposeOfUse.ValueType(context.purpose),
                legal_basis=access_context_pb2.LegalBasis.ValueType(context.legal_basis),
                reason=context.reason,
            ),
            kinds=[document_kind_pb2.DOCUMENT_KIND_REFERRAL],
            method=_METHOD,
            resources=[f"documents/{referral.document}"],
            evidence=evidence,
        )
        request = decision_service_pb2.DecideRequest(queries=[query])
        decision = (await call_peer(self._stub.Decide, request, timeout=_TIMEOUT, name="consent")).decisions[0]
        return Ruling(
            decision=decision.name,
            permitted=decision.effect == decision_pb2.EFFECT_PERMIT,
            would_change=tuple(change.code for change in decision.would_change),
        )
