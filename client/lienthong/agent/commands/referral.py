"""`lienthong referral`: the worklist of referrals."""

from __future__ import annotations

import uuid

import click
import grpc

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.referrals.v1 import referral_pb2, referral_service_pb2, referral_service_pb2_grpc

_DIRECTIONS = {
    "incoming": referral_service_pb2.REFERRAL_DIRECTION_INCOMING,
    "outgoing": referral_service_pb2.REFERRAL_DIRECTION_OUTGOING,
}


@click.group()
def referral() -> None:
    """Referrals to and from this facility."""


def _line(found: referral_pb2.Referral) -> str:
    state = referral_pb2.ReferralState.Name(found.state).removeprefix("REFERRAL_STATE_")
    until = found.valid_through
    day = f"{until.year:04d}-{until.month:02d}-{until.day:02d}"
    return f"{found.name}\t{state}\t{found.source_organization} -> {found.target_organization}\tvalid through {day}\t{found.person}"


@referral.command("list")
@click.option("--direction", type=click.Choice(sorted(_DIRECTIONS)), default="incoming", show_default=True)
@click.pass_obj
def list_(session: Session, direction: str) -> None:
    """Lists referrals, newest first."""
    request = referral_service_pb2.ListReferralsRequest(direction=_DIRECTIONS[direction], page_size=500)

    async def work(channel: grpc.aio.Channel) -> referral_service_pb2.ListReferralsResponse:
        return await referral_service_pb2_grpc.ReferralServiceStub(channel).ListReferrals(request, timeout=CALL_SECONDS)

    for found in call(session, work).referrals:
        click.echo(_line(found))


@referral.command()
@click.argument("name")
@click.pass_obj
def accept(session: Session, name: str) -> None:
    """Accepts the referral NAME."""
    request = referral_service_pb2.AcceptReferralRequest(request_id=str(uuid.uuid4()), name=name)

    async def work(channel: grpc.aio.Channel) -> referral_pb2.Referral:
        stub = referral_service_pb2_grpc.ReferralServiceStub(channel)
        return (await stub.AcceptReferral(request, timeout=CALL_SECONDS)).referral

    click.echo(_line(call(session, work)))


@referral.command()
@click.argument("name")
@click.pass_obj
def arrive(session: Session, name: str) -> None:
    """Records that the person of the referral NAME arrived."""
    request = referral_service_pb2.RegisterArrivalRequest(request_id=str(uuid.uuid4()), name=name)

    async def work(channel: grpc.aio.Channel) -> referral_pb2.Referral:
        stub = referral_service_pb2_grpc.ReferralServiceStub(channel)
        return (await stub.RegisterArrival(request, timeout=CALL_SECONDS)).referral

    click.echo(_line(call(session, work)))
