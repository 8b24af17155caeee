"""Faults: every role killed while 2,000 documents stream in, and the database away for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from lienthong.agent.submission import Outcome, Submitter
from lienthong.client.errors import from_rpc_error
from lienthong.records.v1 import intake_service_pb2, intake_service_pb2_grpc

from deploy.local.suite import ROLES, LocalStack
from tests.system.stack_access import channel_of, signed_documents

pytestmark = pytest.mark.xdist_group("stack")
FACILITY = "89001"
DOCUMENTS = 2000


async def everything_kept(stub: intake_service_pb2_grpc.IntakeServiceStub) -> list[tuple[str, str, int]]:
    """(document id, hash, sequence) of every submission of the facility."""
    kept, token = [], ""
    while True:
        page = await stub.ListSubmissions(
            intake_service_pb2.ListSubmissionsRequest(page_size=500, page_token=token), timeout=20
        )
        kept += [(one.document_id, one.content_sha256, one.sequence) for one in page.submissions]
        token = page.next_page_token
        if not token:
            return kept


@pytest.mark.timeout(400)
async def test_killing_any_role_during_submission_loses_and_duplicates_nothing(stack: LocalStack, folder: Path) -> None:
    documents = await asyncio.to_thread(signed_documents, stack, folder, FACILITY, DOCUMENTS, 99)
    outcomes: list[Outcome] = []
    channel = channel_of(stack, FACILITY)

    def keep(batch: Sequence[Outcome]) -> None:
        outcomes.extend(batch)

    async def kill_each() -> int:
        killed = 0
        for role in ROLES:
            # Spread over the run, so that each dies with documents in flight.
            while len(outcomes) < DOCUMENTS * (killed + 1) // (len(ROLES) + 2):
                await asyncio.sleep(0.02)
            stack.kill(role)
            killed += 1
        return killed

    try:
        killing = asyncio.create_task(kill_each())
        deadline = time.monotonic() + 300
        while True:
            done = {outcome.outgoing.document_id for outcome in outcomes}
            left = [document for document in documents if document.document_id not in done]
            if not left:
                break
            assert time.monotonic() < deadline, f"{len(left)} documents without an answer"
            try:
                await Submitter(channel, on_outcomes=keep).submit(left)
            except Exception as error:
                # An operator would run the agent again after the outage; so does the test.
                if type(error).__name__ not in ("Unavailable", "ResourceExhausted", "DeadlineExceeded"):
                    raise
        assert await killing == len(ROLES)
        refused = [outcome.error for outcome in outcomes if outcome.error is not None]
        assert refused == []
        assert len(outcomes) == len({outcome.outgoing.document_id for outcome in outcomes}) == DOCUMENTS
        kept = await everything_kept(intake_service_pb2_grpc.IntakeServiceStub(channel))
    finally:
        await channel.close(None)
    assert {(one[0], one[1]) for one in kept} == {(one.document_id, one.content_sha256) for one in documents}
    assert len(kept) == DOCUMENTS
    answered = {outcome.outgoing.document_id: outcome.submission for outcome in outcomes}
    assert sorted(one.sequence for one in answered.values() if one is not None) == list(range(1, DOCUMENTS + 1))


async def test_database_away_is_unavailable_and_back_is_well(stack: LocalStack) -> None:
    channel = channel_of(stack, FACILITY)
    stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
    request = intake_service_pb2.ListSubmissionsRequest(page_size=1)
    try:
        await stub.ListSubmissions(request, timeout=20)
        stack.postgres.crash()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListSubmissions(request, timeout=5)
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            assert from_rpc_error(caught.value).trace_id
        finally:
            await asyncio.to_thread(stack.postgres.restart)
        end = time.monotonic() + 60
        while True:
            try:
                await stub.ListSubmissions(request, timeout=10)
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                assert time.monotonic() < end
                await asyncio.sleep(0.2)
    finally:
        await channel.close(None)
