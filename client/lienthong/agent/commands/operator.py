"""`lienthong operator`: the lists of the platform's operators: a population to load, facilities to register."""

from __future__ import annotations

import csv
import itertools
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import grpc
from google.type import date_pb2

from lienthong.agent.commands.officer import Officer, connection
from lienthong.identity.v1 import (
    organization_service_pb2,
    organization_service_pb2_grpc,
    person_pb2,
    population_service_pb2,
    population_service_pb2_grpc,
)
from lienthong.type.v1 import administrative_area_pb2, administrative_sex_pb2, human_name_pb2, identifier_pb2

PART = 2_000
_SECONDS = 120.0
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ASSURANCES = {
    "registry": person_pb2.IDENTIFIER_ASSURANCE_REGISTRY,
    "chip-or-app": person_pb2.IDENTIFIER_ASSURANCE_CHIP_OR_APP,
    "typed": person_pb2.IDENTIFIER_ASSURANCE_TYPED,
}
_NUMBERS = {
    "citizen_id": identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID,
    "insurance_number": identifier_pb2.IDENTIFIER_TYPE_HEALTH_INSURANCE,
    "passport": identifier_pb2.IDENTIFIER_TYPE_PASSPORT,
}
_SEXES = {
    "male": administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE,
    "female": administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
}
COLUMNS = (
    *_NUMBERS,
    "passport_country",
    "name",
    "birth_date",
    "sex",
    "phone",
    "province_code",
    "ward_code",
    "mother_name",
    "nationality",
)
_pass_officer = click.make_pass_decorator(Officer)


@click.group()
@connection
@click.pass_context
def operator(context: click.Context, /, **options: Any) -> None:
    """Lists of the platform's operators."""
    context.obj = Officer(**options)


@operator.command("import-facilities")
@click.argument("file", type=_FILE)
@click.option("--check", is_flag=True, help="Report only.")
@_pass_officer
def import_facilities(officer: Officer, file: Path, check: bool) -> None:
    """Registers the facilities of the CSV list FILE, and changes those that differ; bad rows are named by line and column."""
    request = organization_service_pb2.ImportOrganizationsRequest(
        request_id=str(uuid.uuid4()), csv=file.read_bytes(), validate_only=check
    )

    async def work(channel: grpc.aio.Channel) -> organization_service_pb2.ImportOrganizationsResponse:
        stub = organization_service_pb2_grpc.OrganizationServiceStub(channel)
        return await stub.ImportOrganizations(request, timeout=_SECONDS)

    report = officer.on_channel(work)
    for error in report.errors:
        click.echo(f"line {error.line}\t{error.column or '-'}\t{error.reason}")
    click.echo(
        f"{report.created_count} new, {report.updated_count} changed, {report.unchanged_count} as they were, {report.rejected_count} bad"
    )
    if report.rejected_count:
        raise SystemExit(1)


@operator.command("load-population")
@click.argument("file", type=_FILE)
@click.option(
    "--source", required=True, help="Name of the load, of a-z, 0-9 and -. The same name goes on where it stopped."
)
@click.option("--assurance", type=click.Choice(sorted(_ASSURANCES)), default="typed", show_default=True)
@click.option(
    "--errors", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Where bad rows are listed, as CSV."
)
@_pass_officer
def load_population(officer: Officer, file: Path, source: str, assurance: str, errors: Path | None) -> None:
    """Loads the persons of the CSV list FILE in parts of 2,000, and goes on after any break; bad rows are named, the others loaded.

    Columns, in any order, each but the name and the birth date may be missing: citizen_id, insurance_number, passport with passport_country, name,
    birth_date (1990-05-17, 1990-05 or 1990), sex, phone, province_code of the 34 provinces, ward_code, mother_name, nationality.
    """

    async def work(channel: grpc.aio.Channel) -> population_service_pb2.PopulationLoad:
        stub = population_service_pb2_grpc.PopulationServiceStub(channel)
        begin = population_service_pb2.CreatePopulationLoadRequest(request_id=str(uuid.uuid4()), source=source)
        load = (await stub.CreatePopulationLoad(begin, timeout=_SECONDS)).load
        with file.open(encoding="utf-8-sig", newline="") as text:
            entries = _entries(text, _ASSURANCES[assurance])
            # What was loaded before is read again and not sent.
            for number in itertools.count():
                part = list(itertools.islice(entries, PART))
                if not part:
                    break
                if number < load.next_part:
                    continue
                request = population_service_pb2.LoadPopulationPartRequest(name=load.name, part=number, entries=part)
                load = (await stub.LoadPopulationPart(request, timeout=_SECONDS)).load
                click.echo(_progress(load))
        if errors is not None:
            await _list_errors(stub, load.name, errors)
        return load

    load = officer.on_channel(work)
    click.echo(_progress(load))
    if load.rejected_count or load.conflict_count:
        raise SystemExit(1)


async def _list_errors(stub: Any, name: str, file: Path) -> None:
    request = population_service_pb2.ListPopulationLoadErrorsRequest(name=name, page_size=500)
    with file.open("w", encoding="utf-8", newline="") as text:
        out = csv.writer(text)
        out.writerow(("row", "field", "reason"))
        while True:
            page = await stub.ListPopulationLoadErrors(request, timeout=_SECONDS)
            out.writerows((one.row, one.field, one.reason) for one in page.errors)
            request.page_token = page.next_page_token
            if not request.page_token:
                return


def _progress(load: population_service_pb2.PopulationLoad) -> str:
    return (
        f"{load.entry_count} rows: {load.created_count} new, {load.known_count} known, "
        f"{load.conflict_count} for stewards, {load.rejected_count} bad"
    )


def _entries(text: Any, assurance: int) -> Iterator[population_service_pb2.PopulationEntry]:
    reader = csv.DictReader(text)
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if unknown or not {"name", "birth_date"} <= set(reader.fieldnames or ()):
        raise click.ClickException(f"the columns are some of {', '.join(COLUMNS)}")
    for number, cells in enumerate(reader, start=1):
        yield _entry(number, {name: (value or "").strip() for name, value in cells.items() if name}, assurance)


def _entry(number: int, cells: Mapping[str, str], assurance: int) -> population_service_pb2.PopulationEntry:
    said = person_pb2.Demographics(
        birth_date=_birth(cells["birth_date"]),
        sex=_SEXES.get(cells.get("sex", "").lower(), administrative_sex_pb2.ADMINISTRATIVE_SEX_UNSPECIFIED),
        phone=cells.get("phone", ""),
        nationality=cells.get("nationality", ""),
    )
    if cells["name"]:
        said.human_name.CopyFrom(human_name_pb2.HumanName(text=cells["name"]))
    if cells.get("mother_name"):
        said.mother_name.CopyFrom(human_name_pb2.HumanName(text=cells["mother_name"]))
    if cells.get("province_code"):
        said.residence.CopyFrom(
            administrative_area_pb2.AdministrativeArea(
                province_code=cells["province_code"],
                era=administrative_area_pb2.AREA_ERA_PROVINCES_34,
                ward_code=cells.get("ward_code", ""),
            )
        )
    held = [
        identifier_pb2.Identifier(
            type=type, value=cells[name], assigner=cells.get("passport_country", "") if name == "passport" else ""
        )
        for name, type in _NUMBERS.items()
        if cells.get(name)
    ]
    entry = population_service_pb2.PopulationEntry(row=number, identifiers=held, demographics=said)
    entry.assurance = assurance  # type: ignore[assignment] # an enum's number
    return entry


def _birth(text: str) -> date_pb2.Date:
    """A date as far as it is known. One that cannot be read is sent as an impossible one, so that its row is named."""
    parts = text.split("-")
    if not text:
        return date_pb2.Date()
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):  # noqa: PLR2004 - year, month, day
        return date_pb2.Date(year=1, month=13, day=1)
    year, month, day = (*map(int, parts), 0, 0)[:3]
    return date_pb2.Date(year=year, month=month, day=day)
