"""`lienthong.consent.v1.TreatmentRelationService`."""

from __future__ import annotations

from lienthong.consent.v1 import treatment_relation_service_pb2, treatment_relation_service_pb2_grpc

from services.chassis.call import current_call
from services.chassis.server import RpcContext
from services.consent.convert.relations import relations_in
from services.consent.relations import RelationStore


class TreatmentRelationServicer(treatment_relation_service_pb2_grpc.TreatmentRelationServiceServicer):
    """Internal: the roles that know who treats whom tell it."""

    def __init__(self, store: RelationStore) -> None:
        self._store = store

    async def RecordTreatmentRelations(
        self, request: treatment_relation_service_pb2.RecordTreatmentRelationsRequest, context: RpcContext
    ) -> treatment_relation_service_pb2.RecordTreatmentRelationsResponse:
        """Keeps facts; they count from the next decision on."""
        await self._store.record_relations(relations_in(request, current_call().workload.role))
        return treatment_relation_service_pb2.RecordTreatmentRelationsResponse()
