"""`lienthong person`: find a person, or register one who has no card."""

from __future__ import annotations

import uuid

import click
import grpc
from google.type import date_pb2

from lienthong.agent.session import CALL_SECONDS, Session, call
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.type.v1 import administrative_sex_pb2, human_name_pb2, identifier_pb2

_TYPES = {
    "citizen-id": identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID,
    "old-id": identifier_pb2.IDENTIFIER_TYPE_OLD_ID,
    "passport": identifier_pb2.IDENTIFIER_TYPE_PASSPORT,
    "health-insurance": identifier_pb2.IDENTIFIER_TYPE_HEALTH_INSURANCE,
    "social-insurance": identifier_pb2.IDENTIFIER_TYPE_SOCIAL_INSURANCE,
    "temporary": identifier_pb2.IDENTIFIER_TYPE_TEMPORARY,
}
_SEXES = {
    "male": administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE,
    "female": administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
    "undetermined": administrative_sex_pb2.ADMINISTRATIVE_SEX_UNDETERMINED,
}


def birth_date(text: str) -> date_pb2.Date:
    """`1990`, `1990-05` or `1990-05-17` as a date with zero for unknown parts."""
    parts = [int(part) for part in text.split("-")]
    year, month, day = [*parts, 0, 0][:3]
    return date_pb2.Date(year=year, month=month, day=day)


@click.group()
def person() -> None:
    """Persons of the national index."""


@person.command()
@click.option("--type", "kind", type=click.Choice(sorted(_TYPES)), default="citizen-id", show_default=True)
@click.option(
    "--number",
    prompt=True,
    hide_input=False,
    help="The number; prompted for, so that it stays out of the shell's history.",
)
@click.option("--name", prompt=True, help="Name as on the card.")
@click.option("--born", prompt=True, help="1990-05-17, 1990-05 or 1990.")
@click.option("--sex", type=click.Choice(sorted(_SEXES)), default=None)
@click.pass_obj
def find(session: Session, kind: str, number: str, name: str, born: str, sex: str | None) -> None:
    """Finds a person by number, cross-checked against name and birth date."""
    query = person_service_pb2.PersonQuery(
        identifiers=[identifier_pb2.Identifier(type=_TYPES[kind], value=number)],
        demographics=person_pb2.Demographics(
            human_name=human_name_pb2.HumanName(text=name),
            birth_date=birth_date(born),
            sex=_SEXES[sex] if sex else administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED,
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


@person.command()
@click.option("--sex", type=click.Choice(sorted(_SEXES)), required=True)
@click.option("--age", type=click.IntRange(0, 130), default=None, help="Estimated age in years.")
@click.option("--temporary-identifier", default="", help="Issued offline by the facility; else the system issues one.")
@click.option("--mrn", default="", help="Patient number at the facility.")
@click.pass_obj
def provisional(session: Session, sex: str, age: int | None, temporary_identifier: str, mrn: str) -> None:
    """Registers a person without a card and prints the temporary identifier."""
    request = person_service_pb2.RegisterProvisionalPersonRequest(
        request_id=str(uuid.uuid4()),
        sex=_SEXES[sex],
        estimated_age=age,
        temporary_identifier=temporary_identifier,
        local_mrn=mrn,
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.RegisterProvisionalPersonResponse:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        return await stub.RegisterProvisionalPerson(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    click.echo(f"{answer.temporary_identifier} {answer.person.name}")
