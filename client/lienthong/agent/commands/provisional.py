"""`lienthong person`: patients without papers, from the wristband to the identified person, and newborns."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import click
import grpc

from lienthong.agent.commands.person_fields import SEXES, TYPES, birth_date, moment, timestamp
from lienthong.agent.registrations import Registration, Registrations
from lienthong.agent.session import CALL_SECONDS, Session, call, describe
from lienthong.client.errors import LienthongError, from_rpc_error
from lienthong.identity.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from lienthong.type.v1 import administrative_sex_pb2, human_name_pb2, identifier_pb2

_KINDS = {
    "unidentified": person_pb2.PROVISIONAL_KIND_UNIDENTIFIED,
    "emergency": person_pb2.PROVISIONAL_KIND_EMERGENCY,
}
_EVIDENCE = {
    name.removeprefix("IDENTIFICATION_EVIDENCE_").lower().replace("_", "-"): number
    for name, number in person_service_pb2.IdentificationEvidence.items()
    if number
}
_ASSURANCE = {
    "typed": person_pb2.IDENTIFIER_ASSURANCE_TYPED,
    "card-code": person_pb2.IDENTIFIER_ASSURANCE_CARD_CODE,
    "chip-or-app": person_pb2.IDENTIFIER_ASSURANCE_CHIP_OR_APP,
}
_PAGE = 500


@click.command("register-provisional")
@click.option("--sex", type=click.Choice(sorted(SEXES)), required=True)
@click.option("--age", type=click.IntRange(0, 130), default=None, help="Estimated age in years.")
@click.option("--kind", type=click.Choice(sorted(_KINDS)), default="unidentified", show_default=True)
@click.option("--arrived", callback=moment, default=None, help="When the patient came; else now.")
@click.option("--temporary-identifier", default="", help="Issued before by the facility; else one is issued.")
@click.option("--alias", default="", help="The two words that are on the wristband already.")
@click.option("--mrn", default="", help="Patient number at the facility; not with --offline.")
@click.option("--offline", is_flag=True, help="Issue the wristband here; `lienthong person upload` sends it later.")
@click.pass_obj
def register_provisional(
    session: Session,
    sex: str,
    age: int | None,
    kind: str,
    arrived: datetime | None,
    temporary_identifier: str,
    alias: str,
    mrn: str,
    offline: bool,
) -> None:
    """Registers a patient without papers and prints what goes on the wristband: temporary identifier, alias, person."""
    if offline:
        if temporary_identifier or alias or mrn:
            raise click.ClickException("--offline issues identifier and alias, and keeps no patient number")
        now = datetime.now(UTC)
        registrations = Registrations(session.profile.spool)
        made = registrations.issue(session.profile.facility, kind, sex, age, arrived or now, now)
        click.echo(f"{made.temporary_identifier} {made.alias}")
        return
    request = person_service_pb2.RegisterProvisionalPersonRequest(
        request_id=str(uuid.uuid4()),
        sex=SEXES[sex],
        estimated_age=age,
        kind=_KINDS[kind],
        arrival_time=timestamp(arrived),
        temporary_identifier=temporary_identifier,
        alias=alias,
        local_mrn=mrn,
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.RegisterProvisionalPersonResponse:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        return await stub.RegisterProvisionalPerson(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    click.echo(f"{answer.temporary_identifier} {answer.person.alias or '-'} {answer.person.name}")


@click.command()
@click.pass_obj
def upload(session: Session) -> None:
    """Sends the registrations that were made with --offline. Run it again after any break."""
    registrations = Registrations(session.profile.spool)
    pending = registrations.pending()

    async def send_all(channel: grpc.aio.Channel) -> int:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        refused = 0
        for one in pending:
            try:
                answer = await _send(stub, one)
            except LienthongError as error:
                refused += 1
                click.echo(f"{one.temporary_identifier}: {describe(error)}", err=True)
                continue
            alias = answer.person.alias
            registrations.sent(one, answer.person.name, alias or one.alias)
            click.echo(f"{one.temporary_identifier} {alias or '-'} {answer.person.name}")
            if alias and alias != one.alias:
                click.echo(f"  {one.alias} is another patient here: write {alias} on the wristband", err=True)
        return refused

    refused = call(session, send_all) if pending else 0
    if refused:
        raise SystemExit(1)


async def _send(
    stub: person_service_pb2_grpc.PersonServiceStub, one: Registration
) -> person_service_pb2.RegisterProvisionalPersonResponse:
    """Sends a registration; where the alias is another patient's by now, the system issues a new one."""
    request = person_service_pb2.RegisterProvisionalPersonRequest(
        request_id=one.request_id,
        sex=SEXES[one.sex],
        estimated_age=one.age,
        kind=_KINDS[one.kind],
        arrival_time=timestamp(one.arrived),
        temporary_identifier=one.temporary_identifier,
        alias=one.alias,
    )
    try:
        return await stub.RegisterProvisionalPerson(request, timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        refused = from_rpc_error(error)
        if [violation.reason for violation in refused.violations] != ["ALIAS_TAKEN"]:
            raise refused from error
    request.alias = ""
    # Another request, under an id that a repeated upload will choose again.
    request.request_id = str(uuid.uuid5(uuid.UUID(one.request_id), "alias"))
    try:
        return await stub.RegisterProvisionalPerson(request, timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


@click.command()
@click.option("--mother", default="", help="`persons/{uuid}`; none for a foundling.")
@click.option("--born", callback=moment, required=True, help="2026-11-23T08:05")
@click.option("--order", type=click.IntRange(1, 10), default=1, show_default=True, help="Order in this birth.")
@click.option("--sex", type=click.Choice(sorted(SEXES)), required=True)
@click.option("--temporary-identifier", default="", help="Issued before by the facility; else one is issued.")
@click.option("--mrn", default="", help="Patient number of the child at the facility.")
@click.pass_obj
def newborn(
    session: Session, mother: str, born: datetime, order: int, sex: str, temporary_identifier: str, mrn: str
) -> None:
    """Registers a newborn by its mother and the order of birth, and prints what goes on the wristband."""
    # The same child under the same id, whenever the command is repeated.
    child = uuid.uuid5(uuid.NAMESPACE_URL, f"{mother}|{born.isoformat()}|{order}|{sex}|{temporary_identifier}|{mrn}")
    request = person_service_pb2.RegisterNewbornRequest(
        request_id=str(child) if mother else str(uuid.uuid4()),
        mother=mother,
        birth_time=timestamp(born),
        birth_order=order,
        sex=SEXES[sex],
        temporary_identifier=temporary_identifier,
        local_mrn=mrn,
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.RegisterNewbornResponse:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        return await stub.RegisterNewborn(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    click.echo(f"{answer.temporary_identifier} {answer.person.name}")


@click.command()
@click.argument("name")
@click.option("--evidence", type=click.Choice(sorted(_EVIDENCE)), required=True, help="On what it rests.")
@click.option("--type", "kind", type=click.Choice(sorted(TYPES)), default="citizen-id", show_default=True)
@click.option("--number", default=None, help="The number found; `-` to be asked for it, so that no shell keeps it.")
@click.option("--country", default="", help="Country of a passport, such as KOR.")
@click.option("--person", "candidate", default="", help="A candidate, `persons/{uuid}`, where there is no number.")
@click.option("--name", "full_name", prompt=True, help="Name that was found.")
@click.option("--born", prompt=True, help="1990-05-17, 1990-05 or 1990.")
@click.option("--sex", type=click.Choice(sorted(SEXES)), default=None)
@click.option("--assurance", type=click.Choice(sorted(_ASSURANCE)), default="typed", show_default=True)
@click.pass_obj
def identify(
    session: Session,
    name: str,
    evidence: str,
    kind: str,
    number: str | None,
    country: str,
    candidate: str,
    full_name: str,
    born: str,
    sex: str | None,
    assurance: str,
) -> None:
    """Says who the provisional person NAME is. Prints the person, or the task of the steward who has to decide."""
    if number == "-":
        number = click.prompt("Number")
    found = identifier_pb2.Identifier(type=TYPES[kind], value=number or "", assigner=country)
    request = person_service_pb2.IdentifyProvisionalPersonRequest(
        request_id=str(uuid.uuid4()),
        name=name,
        identifiers=[found] if number else [],
        person=candidate,
        demographics=person_pb2.Demographics(
            human_name=human_name_pb2.HumanName(text=full_name),
            birth_date=birth_date(born),
            sex=SEXES[sex] if sex else administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED,
        ),
        evidence=_EVIDENCE[evidence],
        assurance=_ASSURANCE[assurance],
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.IdentifyProvisionalPersonResponse:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        return await stub.IdentifyProvisionalPerson(request, timeout=CALL_SECONDS)

    answer = call(session, work)
    if answer.review_task:
        click.echo(f"REVIEW {answer.review_task}")
        raise SystemExit(1)
    click.echo(f"{'LINKED' if answer.link else 'CONFIRMED'} {answer.person.name} {answer.link}".rstrip())


@click.command()
@click.option("--hours", type=click.IntRange(0), default=0, help="Waiting for at least so long: 24, 168, 720.")
@click.option("--notice-due", is_flag=True, help="Only those whose commune has to be told and was not.")
@click.pass_obj
def worklist(session: Session, hours: int, notice_due: bool) -> None:
    """Lists who waits to be identified, oldest first: person, wristband, hours, until when the commune has to be told."""

    async def work(channel: grpc.aio.Channel) -> list[person_service_pb2.ProvisionalPersonItem]:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        request = person_service_pb2.ListProvisionalPersonsRequest(
            min_age_hours=hours, notice_due=notice_due, page_size=_PAGE
        )
        items: list[person_service_pb2.ProvisionalPersonItem] = []
        while True:
            page = await stub.ListProvisionalPersons(request, timeout=CALL_SECONDS)
            items += page.items
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return items

    for item in call(session, work):
        band = [
            one.identifier.value
            for one in item.person.identifiers
            if one.identifier.type == identifier_pb2.IDENTIFIER_TYPE_TEMPORARY
        ]
        told = "-"
        if item.HasField("notice_time"):
            told = "told"
        elif item.HasField("notice_deadline"):
            told = f"until {item.notice_deadline.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M}"
        shown = [item.person.name, band[0] if band else "-", item.person.alias or "-", f"{item.age_hours} h", told]
        click.echo("  ".join(shown))


@click.command()
@click.argument("name")
@click.option("--at", callback=moment, default=None, help="When the authority was told; else now.")
@click.pass_obj
def notice(session: Session, name: str, at: datetime | None) -> None:
    """Notes that the authority of the commune was told of the unidentified patient NAME."""
    request = person_service_pb2.RecordAuthorityNoticeRequest(
        request_id=str(uuid.uuid4()), name=name, notice_time=timestamp(at)
    )

    async def work(channel: grpc.aio.Channel) -> person_service_pb2.RecordAuthorityNoticeResponse:
        stub = person_service_pb2_grpc.PersonServiceStub(channel)
        return await stub.RecordAuthorityNotice(request, timeout=CALL_SECONDS)

    item = call(session, work).item
    click.echo(f"{item.person.name}  told {item.notice_time.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M}")
