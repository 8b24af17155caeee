"""`lienthong person`: find a person, or register one who has no card."""

from __future__ import annotations

import click
import grpc

from lienthong.agent.commands.check_in import check_in
from lienthong.agent.commands.person_fields import SEXES, TYPES, birth_date
from lienthong.agent.commands.provisional import identify, newborn, notice, register_provisional, upload, worklist
from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.type.v1 import administrative_sex_pb2, human_name_pb2, identifier_pb2


@click.group()
def person() -> None:
    """Persons of the national index."""


@person.command()
@click.option("--type", "kind", type=click.Choice(sorted(TYPES)), default="citizen-id", show_default=True)
@click.option(
    "--number",
    prompt=True,
    hide_input=False,
    help="The number; prompted for, so that it stays out of the shell's history.",
)
@click.option("--name", prompt=True, help="Name as on the card.")
@click.option("--born", prompt=True, help="1990-05-17, 1990-05 or 1990.")
@click.option("--sex", type=click.Choice(sorted(SEXES)), default=None)
@click.pass_obj
def find(session: Session, kind: str, number: str, name: str, born: str, sex: str | None) -> None:
    """Finds a person by number, cross-checked against name and birth date."""
    query = person_service_pb2.PersonQuery(
        identifiers=[identifier_pb2.Identifier(type=TYPES[kind], value=number)],
        demographics=person_pb2.Demographics(
            human_name=human_name_pb2.HumanName(text=name),
            birth_date=birth_date(born),
            sex=SEXES[sex] if sex else administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED,
        ),
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.PersonResolution:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        request = person_service_pb2.ResolvePersonsRequest(queries=[query])
        return (await stub.ResolvePersons(request, timeout=CALL_SECONDS)).resolutions[0]

    resolution = call(session, work)
    outcome = person_service_pb2.ResolutionOutcome.Name(resolution.outcome).removeprefix("RESOLUTION_OUTCOME_")
    click.echo(f"{outcome} {resolution.person}".rstrip())
    for evidence in resolution.evidence:
        agreement = person_service_pb2.FieldAgreement.Name(evidence.agreement).removeprefix("FIELD_AGREEMENT_")
        click.echo(f"  {evidence.field}: {agreement}")
    for warning in resolution.warnings:
        click.echo(f"  warning: {warning}")
    if resolution.ask_next:
        click.echo(f"  ask next: {', '.join(resolution.ask_next)}")
    if resolution.outcome != person_service_pb2.RESOLUTION_OUTCOME_MATCH:
        raise SystemExit(1)


for command in (check_in, register_provisional, upload, newborn, identify, worklist, notice):
    person.add_command(command)
