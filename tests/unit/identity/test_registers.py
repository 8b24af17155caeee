"""The registers of facilities and practitioners."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.chassis.errors import InvalidArgument, RequestIdReused
from services.chassis.principal import Principal, PrincipalKind
from services.identity.errors import (
    EtagMismatch,
    OrganizationExists,
    OrganizationNotFound,
    PractitionerExists,
    PractitionerNotFound,
)
from services.identity.model import Area, Era
from services.identity.registers import CareLevel, OrganizationFilter, OrganizationState, Practitioner
from tests.unit.identity.conftest import ADMIN, CLINIC, HOSPITAL, NOW, Operations, facility


async def test_a_facility_is_registered_once(operations: Operations) -> None:
    draft = facility("27003")
    first = await operations.organizations.create(ADMIN, draft, "r1", b"1")
    assert await operations.organizations.create(ADMIN, draft, "r1", b"1") == first
    assert await operations.organizations.create(ADMIN, draft, "r2", b"2") == first
    with pytest.raises(OrganizationExists):
        await operations.organizations.create(ADMIN, replace(draft, display_name="Khác"), "r3", b"3")
    with pytest.raises(RequestIdReused):
        await operations.organizations.create(ADMIN, draft, "r1", b"9")


async def test_a_retry_repeats_the_first_answer_even_after_a_suspension(operations: Operations) -> None:
    first = await operations.organizations.create(ADMIN, facility("27003"), "r1", b"1")
    await operations.organizations.suspend(ADMIN, "27003", first.etag, "", "r2", b"2")
    assert await operations.organizations.create(ADMIN, facility("27003"), "r1", b"1") == first


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "03001"}, "organization.code"),
        ({"code": "0100"}, "organization.code"),
        ({"display_name": ""}, "organization.display_name"),
        ({"province": Area("80", Era.PROVINCES_63)}, None),
        ({"province": Area("81", Era.PROVINCES_63)}, "organization.province.province_code"),
        ({"province": Area("27", Era.PROVINCES_34)}, "organization.province.province_code"),
        ({"province": Area("24", Era.PROVINCES_34)}, None),
        ({"parent": "27003"}, "organization.parent"),
    ],
)
async def test_codes_belong_to_their_lists(
    operations: Operations, change: dict[str, object], field: str | None
) -> None:
    draft = replace(facility("27003"), **change)  # type: ignore[arg-type] # the table above is typed by hand
    if field is None:
        assert await operations.organizations.create(ADMIN, draft, "r1", b"1")
        return
    with pytest.raises(InvalidArgument) as refused:
        await operations.organizations.create(ADMIN, draft, "r1", b"1")
    assert [one.field for one in refused.value.violations] == [field]


async def test_a_parent_must_be_registered(operations: Operations) -> None:
    with pytest.raises(OrganizationNotFound):
        await operations.organizations.create(ADMIN, replace(facility("27003"), parent="27999"), "r1", b"1")
    assert await operations.organizations.create(ADMIN, replace(facility("27003"), parent="01001"), "r2", b"2")


async def test_suspending(operations: Operations) -> None:
    before = await operations.organizations.get("01001")
    with pytest.raises(EtagMismatch):
        await operations.organizations.suspend(ADMIN, "01001", '"7"', "", "r1", b"1")
    after = await operations.organizations.suspend(ADMIN, "01001", before.etag, "", "r2", b"2")
    assert (after.state, after.etag == before.etag) == (OrganizationState.SUSPENDED, False)
    assert await operations.organizations.suspend(ADMIN, "01001", "", "", "r3", b"3") == after
    with pytest.raises(OrganizationNotFound):
        await operations.organizations.suspend(ADMIN, "27999", "", "", "r4", b"4")


async def test_listing_by_code_and_level(operations: Operations) -> None:
    special = replace(facility("27003"), care_level=CareLevel.SPECIALISED)
    await operations.organizations.create(ADMIN, special, "r1", b"1")
    assert [one.code for one in await operations.organizations.list(OrganizationFilter(), "", 10)] == [
        "01001",
        "27003",
        "79002",
    ]
    assert [one.code for one in await operations.organizations.list(OrganizationFilter(), "01001", 1)] == ["27003"]
    assert [
        one.code for one in await operations.organizations.list(OrganizationFilter(level=CareLevel.SPECIALISED), "", 10)
    ] == ["27003"]


DOCTOR = Practitioner(
    id=UUID(int=0),
    licence="000123/HCM-CCHN",
    human_name="Trần Văn Bình",
    organizations=("79002", "01001"),
    role="doctor",
    created_at=NOW,
)


async def test_a_practitioner_is_registered_once(operations: Operations) -> None:
    first = await operations.practitioners.create(ADMIN, DOCTOR, "r1", b"1")
    assert first.organizations == ("01001", "79002")
    assert await operations.practitioners.create(ADMIN, DOCTOR, "r1", b"1") == first
    assert await operations.practitioners.create(ADMIN, DOCTOR, "r2", b"2") == first
    with pytest.raises(PractitionerExists):
        await operations.practitioners.create(ADMIN, replace(DOCTOR, role="nurse"), "r3", b"3")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"licence": ""}, "practitioner.licence"),
        ({"licence": "x" * 51}, "practitioner.licence"),
        ({"human_name": ""}, "practitioner.human_name.text"),
        ({"role": "shaman"}, "practitioner.role"),
        ({"organizations": ()}, "practitioner.organizations"),
    ],
)
async def test_what_makes_no_practitioner(operations: Operations, change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await operations.practitioners.create(ADMIN, replace(DOCTOR, **change), "r1", b"1")  # type: ignore[arg-type] # see the table
    assert [one.field for one in refused.value.violations] == [field]


async def test_unknown_facilities_of_a_practitioner_are_named(operations: Operations) -> None:
    with pytest.raises(OrganizationNotFound) as refused:
        await operations.practitioners.create(ADMIN, replace(DOCTOR, organizations=("01001", "27999")), "r1", b"1")
    assert [one.field for one in refused.value.violations] == ["practitioner.organizations[1]"]


async def test_a_facility_sees_its_own_practitioners(operations: Operations) -> None:
    nurse = replace(DOCTOR, licence="9", organizations=("01001",), role="nurse")
    doctor = await operations.practitioners.create(ADMIN, DOCTOR, "r1", b"1")
    nurse = await operations.practitioners.create(ADMIN, nurse, "r2", b"2")
    assert await operations.practitioners.list(HOSPITAL, "01001", None, 10) == [doctor, nurse]
    assert await operations.practitioners.list(HOSPITAL, "01001", doctor.id, 10) == [nurse]
    assert await operations.practitioners.list(ADMIN, "79002", None, 10) == [doctor]
    assert await operations.practitioners.get(CLINIC, doctor.id) == doctor
    with pytest.raises(PractitionerNotFound):
        await operations.practitioners.get(CLINIC, nurse.id)
    with pytest.raises(OrganizationNotFound):
        await operations.practitioners.list(Principal(PrincipalKind.FACILITY, "x", facility="79002"), "01001", None, 1)


async def test_a_practitioner_changes(operations: Operations) -> None:
    first = await operations.practitioners.create(ADMIN, DOCTOR, "r1", b"1")
    draft = replace(
        first, organizations=("79002",), scope="INTERNAL_MEDICINE", licence_from=NOW, licence_until=NOW + timedelta(9)
    )
    fields = {"organizations", "scope", "licence_period"}
    after = await operations.practitioners.update(ADMIN, draft, fields, first.etag, "u1", b"1")
    assert after == replace(draft, version=2)
    assert after.licensed(NOW)
    assert not after.licensed(NOW + timedelta(9))
    assert not after.licensed(NOW - timedelta(seconds=1))
    assert operations.store.registry[-1].detail == {"fields": "licence_period,organizations,scope"}
    assert await operations.practitioners.update(ADMIN, draft, fields, "", "u2", b"2") == after
    with pytest.raises(EtagMismatch):
        await operations.practitioners.update(ADMIN, replace(draft, scope=""), {"scope"}, first.etag, "u3", b"3")
    elsewhere = replace(draft, organizations=("27999",))
    with pytest.raises(OrganizationNotFound):
        await operations.practitioners.update(ADMIN, elsewhere, {"organizations"}, "", "u4", b"4")
    with pytest.raises(PractitionerNotFound):
        await operations.practitioners.update(ADMIN, replace(draft, id=UUID(int=9)), {"scope"}, "", "u5", b"5")


@pytest.mark.parametrize(
    ("change", "fields", "field"),
    [
        ({}, set(), "update_mask"),
        ({}, {"licence"}, "update_mask"),
        ({"scope": "all of it"}, {"scope"}, "practitioner.scope"),
        ({"licence_from": NOW, "licence_until": NOW}, {"licence_period"}, "practitioner.licence_period"),
        ({"role": "shaman", "human_name": ""}, {"role"}, "practitioner.role"),
    ],
)
async def test_what_cannot_change_of_a_practitioner(
    operations: Operations, change: dict[str, Any], fields: set[str], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await operations.practitioners.update(ADMIN, replace(DOCTOR, **change), fields, "", "u1", b"1")
    assert [one.field for one in refused.value.violations] == [field]
