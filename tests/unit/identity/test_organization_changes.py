"""Facilities change: fields, hierarchy, suspension, and lists of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.chassis.errors import InvalidArgument
from services.identity.errors import EtagMismatch, OrganizationNotFound, OrganizationParentInvalid
from services.identity.registers import MAX_DEPTH, CareLevel, OrganizationFilter, OrganizationState
from services.identity.service.organization_import import MAX_REPORTED, ImportReport
from services.identity.service.organization_list import MAX_ROWS, RowError
from tests.unit.identity.conftest import ADMIN, NOW, Operations, facility

HEADER = "code,display_name,care_level,province_code,province_era,parent,capabilities,contact\r\n"


def row(code: str, parent: str = "", name: str = "", rest: str = "") -> str:
    return f"{code},{name or 'Trạm y tế ' + code},BASIC,{code[:2]},PROVINCES_63,{parent},{rest or ','}\r\n"


async def update(operations: Operations, code: str, etag: str = "", **fields: Any) -> Any:
    draft = replace(facility(code), **fields)
    request = f"{code}{sorted(fields.items())}{etag}"
    return await operations.organizations.update(ADMIN, draft, fields.keys(), etag, request, request.encode())


async def imported(operations: Operations, text: str, **options: Any) -> ImportReport:
    content = text.encode()
    return await operations.lists.run(ADMIN, content, f"{len(operations.store.registry)}{text}", content, **options)


async def test_only_named_fields_change_and_the_history_names_them(operations: Operations) -> None:
    before = await operations.organizations.get("01001")
    capabilities = ("OBSTETRICS", "EMERGENCY", "OBSTETRICS")
    after = await update(operations, "01001", before.etag, capabilities=capabilities, contact="024 3825 3531")
    assert (after.capabilities, after.contact) == (("EMERGENCY", "OBSTETRICS"), "024 3825 3531")
    assert (after.display_name, after.version) == (before.display_name, 2)
    assert operations.store.registry[-1].detail == {"fields": "capabilities,contact"}
    # The same again changes nothing; a retry repeats the first answer whatever became of it.
    assert await update(operations, "01001", capabilities=capabilities) == after
    await update(operations, "01001", contact="")
    assert await update(operations, "01001", before.etag, capabilities=capabilities, contact="024 3825 3531") == after
    with pytest.raises(EtagMismatch):
        await update(operations, "01001", before.etag, contact="1")
    with pytest.raises(OrganizationNotFound):
        await update(operations, "27999", contact="1")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "update_mask"),
        ({"created_at": NOW}, "update_mask"),
        ({"state": OrganizationState.ACTIVE}, "update_mask"),
        ({"display_name": ""}, "organization.display_name"),
        ({"contact": "1" * 256}, "organization.contact"),
        ({"capabilities": ("X",) * 51}, "organization.capabilities"),
        ({"capabilities": ("OK", "not a code")}, "organization.capabilities[1]"),
    ],
)
async def test_what_cannot_be_changed_so(operations: Operations, fields: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await update(operations, "01001", **fields)
    assert [one.field for one in refused.value.violations] == [wrong]


async def test_the_hierarchy_has_no_circle_and_is_not_too_deep(operations: Operations) -> None:
    codes = [f"27{number:03}" for number in range(1, MAX_DEPTH + 2)]
    for at, code in enumerate(codes[:MAX_DEPTH]):
        draft = replace(facility(code), parent=codes[at - 1] if at else None)
        await operations.organizations.create(ADMIN, draft, code, code.encode())
    draft = replace(facility(codes[-1]), parent=codes[-2])
    with pytest.raises(OrganizationParentInvalid) as refused:
        await operations.organizations.create(ADMIN, draft, "deep", b"deep")
    assert refused.value.violations[0].reason == "HIERARCHY_TOO_DEEP"
    with pytest.raises(OrganizationParentInvalid) as refused:
        await update(operations, codes[0], parent=codes[3])
    assert refused.value.violations[0].reason == "PARENT_CIRCULAR"
    # A tree of its own may not be hung where its leaves get too deep.
    with pytest.raises(OrganizationParentInvalid) as refused:
        await update(operations, codes[0], parent="01001")
    assert refused.value.violations[0].reason == "HIERARCHY_TOO_DEEP"
    await update(operations, codes[4], parent="01001")
    found = await operations.organizations.list(OrganizationFilter(ancestor="01001"), "", 20)
    assert [one.code for one in found] == codes[4:MAX_DEPTH]


async def test_a_suspension_has_a_reason_and_an_end(operations: Operations) -> None:
    suspended = await operations.organizations.suspend(ADMIN, "01001", "", "LICENCE_EXPIRED", "s1", b"1")
    assert (suspended.state, suspended.suspension_reason) == (OrganizationState.SUSPENDED, "LICENCE_EXPIRED")
    changed = await update(operations, "01001", contact="1")
    assert (changed.state, changed.suspension_reason) == (OrganizationState.SUSPENDED, "LICENCE_EXPIRED")
    with pytest.raises(EtagMismatch):
        await operations.organizations.reinstate(ADMIN, "01001", suspended.etag, "r1", b"1")
    back = await operations.organizations.reinstate(ADMIN, "01001", "", "r2", b"2")
    assert (back.state, back.suspension_reason) == (OrganizationState.ACTIVE, "")
    assert await operations.organizations.reinstate(ADMIN, "01001", "", "r3", b"3") == back
    kinds = [one.kind.value for one in operations.store.registry if one.subject == "organizations/01001"]
    assert kinds == ["REGISTERED", "SUSPENDED", "CHANGED", "REINSTATED"]
    with pytest.raises(InvalidArgument):
        await operations.organizations.suspend(ADMIN, "01001", "", "because", "s4", b"4")


async def test_a_list_registers_changes_and_reports(operations: Operations) -> None:
    await operations.organizations.suspend(ADMIN, "79002", "", "FIRE", "s1", b"1")
    text = HEADER + "".join(
        (
            row("27002", parent="27001"),
            row("27001", parent="organizations/01001", rest="emergency; OBSTETRICS,0222 382"),
            row("79002", name="Bệnh viện Chợ Rẫy"),
            "\r\n",
            '27003,"Trạm y tế\r\nhai dòng",BASIC,27,PROVINCES_63,,,\r\n',
            "01001,,EXPERT,99,PROVINCES_63,1,a b,\r\n",
            row("27001"),
            "27004,short\r\n",
            row("27005", parent="27888"),
            row("27006", parent="27005"),
            row("27007", parent="27008"),
            row("27008", parent="27007"),
        )
    )
    looked = await imported(operations, text, validate_only=True)
    assert await operations.organizations.list(OrganizationFilter(), "79001", 9) == [
        await operations.organizations.get("79002")
    ]
    done = await imported(operations, "\ufeff" + text)
    assert done == looked
    assert (done.created, done.updated, done.unchanged, done.rejected) == (3, 1, 0, 7)
    assert done.errors == (
        RowError(8, "display_name", "LENGTH"),
        RowError(8, "care_level", "CARE_LEVEL_UNKNOWN"),
        RowError(8, "province_code", "PROVINCE_UNKNOWN"),
        RowError(8, "parent", "FACILITY_CODE_INVALID"),
        RowError(8, "capabilities", "CAPABILITY_INVALID"),
        RowError(9, "code", "CODE_REPEATED"),
        RowError(10, "", "COLUMNS_COUNT"),
        RowError(11, "parent", "PARENT_UNKNOWN"),
        RowError(12, "parent", "PARENT_UNKNOWN"),
        RowError(13, "parent", "PARENT_CIRCULAR"),
        RowError(14, "parent", "PARENT_CIRCULAR"),
    )
    first = await operations.organizations.get("27001")
    assert (first.parent, first.capabilities, first.contact) == ("01001", ("EMERGENCY", "OBSTETRICS"), "0222 382")
    known = await operations.organizations.get("79002")
    assert (known.state, known.suspension_reason, known.display_name) == (
        OrganizationState.SUSPENDED,
        "FIRE",
        "Bệnh viện Chợ Rẫy",
    )
    again = await imported(operations, text)
    assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 0, 4, 7)


async def test_a_nation_of_facilities_in_one_list(operations: Operations) -> None:
    provinces = ["01", "79", "27", "24", "38", "40"]
    codes = [f"{provinces[number % 6]}{number // 6:03}" for number in range(10, 5_900)]
    text = HEADER + "".join(row(code, parent="01001") for code in codes)
    bad = "".join(row(f"00{number:04}"[:5]) for number in range(100, 100 + MAX_REPORTED + 5))
    done = await imported(operations, text + bad)
    assert done.rejected == MAX_REPORTED + 5
    assert len({one.line for one in done.errors}) == MAX_REPORTED
    assert done.created + done.updated == len(codes)
    levels = await operations.organizations.list(OrganizationFilter(level=CareLevel.BASIC), "", len(codes) + 9)
    assert len(levels) >= len(codes)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "HEADER_INVALID"),
        (b"code,display_name\r\n", "HEADER_INVALID"),
        ((HEADER + "01001,\x00").encode("utf-16"), "ENCODING_INVALID"),
        ((HEADER.replace("contact", "contact,more")).encode(), "HEADER_INVALID"),
        ((HEADER + '01001,"open').encode(), "SYNTAX_INVALID"),
        ((HEADER + "1\r\n" * (MAX_ROWS + 1)).encode(), "COUNT"),
        (b"x" * (2 * 1024 * 1024 + 1), "TOO_LARGE"),
    ],
)
async def test_what_is_no_list(operations: Operations, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await operations.lists.run(ADMIN, content, "r", b"1")
    assert [(one.field, one.reason) for one in refused.value.violations] == [("csv", reason)]
