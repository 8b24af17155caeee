"""`lienthong.consent.v1.DecisionService` and `ExplanationService`."""

from __future__ import annotations

from lienthong.consent.v1 import decision_service_pb2, decision_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.consent.convert import decisions, scalars
from services.consent.service.decisions import DecisionService


class DecisionServicer(decision_service_pb2_grpc.DecisionServiceServicer):
    """`lienthong.consent.v1.DecisionService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def Decide(
        self, request: decision_service_pb2.DecideRequest, context: RpcContext
    ) -> decision_service_pb2.DecideResponse:
        """Decides a batch."""
        call = current_call()
        made = await self._service.decide(call.principal, decisions.queries_in(request), call.trace_id)
        return decision_service_pb2.DecideResponse(decisions=[decisions.decision_message(taken) for taken in made])


class ExplanationServicer(decision_service_pb2_grpc.ExplanationServiceServicer):
    """`lienthong.consent.v1.ExplanationService`."""

    def __init__(self, service: DecisionService) -> None:
        self._service = service

    async def ExplainDecision(
        self, request: decision_service_pb2.ExplainDecisionRequest, context: RpcContext
    ) -> decision_service_pb2.ExplainDecisionResponse:
        """A decision as it was given."""
        found = await self._service.explain(
            current_call().principal, scalars.resource_id(request.name, "decisions", "name")
        )
        return decision_service_pb2.ExplainDecisionResponse(decision=decisions.decision_message(found))
