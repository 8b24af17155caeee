"""Facts of treatment over gRPC: the last word counts, each role tells its own, and every wrong field is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lienthong.client.errors import from_rpc_error
from lienthong.consent.v1 import treatment_relation_service_pb2, treatment_relation_service_pb2_grpc
from lienthong.type.v1 import period_pb2

from services.chassis.database import Database
from tests.fixtures.identities import Running
from tests.integration.referrals.conftest import kept, rows

__all__ = ["kept"]
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
pb = treatment_relation_service_pb2


def stamp(at: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(at)
    return message


def check_in(person: UUID, resource: UUID, at: datetime = NOW, hours: int = 24) -> pb.TreatmentRelation:
    return pb.TreatmentRelation(
        type="CHECK_IN",
        resource=f"checkIns/{resource}",
        person=f"persons/{person}",
        organization="organizations/01001",
        period=period_pb2.Period(start_time=stamp(at), end_time=stamp(at + timedelta(hours=hours))),
        record_time=stamp(at),
    )


async def tell(consent: Running, *relations: pb.TreatmentRelation, role: str = "identity") -> None:
    async with consent.as_role(role) as channel:
        stub = treatment_relation_service_pb2_grpc.TreatmentRelationServiceStub(channel)
        await stub.RecordTreatmentRelations(pb.RecordTreatmentRelationsRequest(relations=relations), timeout=5)


async def test_of_one_resource_what_was_recorded_last_counts(decision_point: Running, kept: Database) -> None:
    person, resource = uuid4(), uuid4()
    later = NOW + timedelta(hours=2)
    await tell(decision_point, check_in(person, resource), check_in(person, uuid4()))
    await tell(decision_point, check_in(person, resource, later), check_in(person, resource))
    await tell(decision_point, check_in(person, resource))
    found = await rows(
        kept, f"SELECT starts_at, ends_at, recorded_at FROM treatment_relation WHERE resource = 'checkIns/{resource}'"
    )
    assert found == [(later, later + timedelta(hours=24), later)]
    assert await rows(kept, "SELECT count(*) FROM treatment_relation") == [(2,)]


async def test_each_role_tells_its_own_and_every_wrong_field_is_named(decision_point: Running, kept: Database) -> None:
    wrong = check_in(uuid4(), uuid4(), hours=25)
    wrong.resource, wrong.person, wrong.organization = "referrals/1", "x", "organizations/1"
    open_end = check_in(uuid4(), uuid4())
    open_end.period.ClearField("end_time")
    unknown = check_in(uuid4(), uuid4())
    unknown.type = "FRIENDSHIP"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tell(decision_point, check_in(uuid4(), uuid4()), wrong, open_end, unknown)
    named = {(one.field, one.reason) for one in from_rpc_error(caught.value).violations}
    assert named == {
        ("relations[1].resource", "NAME_INVALID"),
        ("relations[1].person", "NAME_INVALID"),
        ("relations[1].organization", "NAME_INVALID"),
        ("relations[1].period.end_time", "PERIOD_INVALID"),
        ("relations[2].period.end_time", "FIELD_REQUIRED"),
        ("relations[3].type", "TYPE_UNKNOWN"),
    }
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tell(decision_point, check_in(uuid4(), uuid4()), role="referrals")
    assert [one.reason for one in from_rpc_error(caught.value).violations] == ["TYPE_OF_ANOTHER_ROLE"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tell(decision_point, *(check_in(uuid4(), uuid4()) for _ in range(201)))
    assert [one.reason for one in from_rpc_error(caught.value).violations] == ["COUNT_OUT_OF_RANGE"]
    assert await rows(kept, "SELECT count(*) FROM treatment_relation") == [(0,)]
