"""The insurer's portal, used by the records role's own client."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.clock import system_clock
from services.records.config import InsurerSettings
from services.records.delivery.insurer import InsurerPortal, open_portal
from services.records.ports import InsurerRefused, InsurerUnavailable
from tests.fixtures.identities import Identities
from tests.integration.local.outside_bench import INSURER_PASSWORD, World, outside

CONTENT = "<GIAMDINHHS>Đặng</GIAMDINHHS>".encode()


@pytest.fixture
async def world(identities: Identities, tmp_path: Path) -> AsyncIterator[World]:
    async with outside(identities, tmp_path) as running:
        yield running


def settings(world: World, tmp_path: Path, password: str = INSURER_PASSWORD, timeout: float = 5) -> InsurerSettings:
    file = tmp_path / "password"
    file.write_text(password, "utf-8")
    base = f"{world.settings.base}/insurer"
    return InsurerSettings(base, "lienthong", file, world.identities.pki.authority, timeout)


@pytest.fixture
async def portal(world: World, tmp_path: Path) -> AsyncIterator[InsurerPortal]:
    async with open_portal(settings(world, tmp_path), system_clock) as opened:
        yield opened


@pytest.mark.parametrize(("version", "check_in"), [("4750", False), ("3176", False), ("4750", True), ("3176", True)])
async def test_files_are_received_and_kept_to_the_byte(
    world: World, portal: InsurerPortal, version: str, check_in: bool
) -> None:
    transaction = await portal.deliver("01001", version, CONTENT, check_in=check_in)
    assert transaction.startswith("01001-")
    seen = await world.get("/insurer/received")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (seen["files"], seen["twice"]) == (1, 0)
    assert seen["received"][digest]["transactions"] == [transaction]
    assert seen["received"][digest]["check_in"] is check_in
    assert (Path(world.settings.insurer_folder) / f"{digest}.xml").read_bytes() == CONTENT


async def test_what_comes_twice_is_counted(world: World, portal: InsurerPortal) -> None:
    for _ in range(3):
        await portal.deliver("01001", "4750", CONTENT, check_in=False)
    await portal.deliver("01001", "4750", CONTENT + b" ", check_in=False)
    seen = await world.get("/insurer/received")
    assert (seen["files"], seen["twice"], seen["calls"]) == (2, 1, 4)


async def test_received_is_not_checked(world: World, portal: InsurerPortal) -> None:
    good = await portal.deliver("01001", "4750", CONTENT, check_in=False)
    bad = await portal.deliver("01001", "4750", b"not xml", check_in=False)
    assert (await world.get(f"/insurer/status/{good}"))["state"] == "CHECKING"
    await asyncio.sleep(2.1)
    assert (await world.get(f"/insurer/status/{good}"))["state"] == "ACCEPTED"
    assert (await world.get(f"/insurer/status/{bad}"))["state"] == "REJECTED"
    assert (await world.get("/insurer/status/none"))["state"] == "UNKNOWN"


async def test_trouble_on_demand(world: World, portal: InsurerPortal, tmp_path: Path) -> None:
    await world.post("/insurer/mode/down", {})
    with pytest.raises(InsurerUnavailable):
        await portal.deliver("01001", "4750", CONTENT, check_in=False)
    await world.post("/insurer/mode/refuse", {})
    with pytest.raises(InsurerRefused):
        await portal.deliver("01001", "4750", CONTENT, check_in=False)
    await world.post("/insurer/mode/slow", {})
    async with open_portal(settings(world, tmp_path, timeout=0.5), system_clock) as impatient:
        with pytest.raises(InsurerUnavailable):
            await impatient.deliver("01001", "4750", CONTENT, check_in=False)
    await world.post("/insurer/mode/up", {})
    assert await portal.deliver("01001", "4750", CONTENT, check_in=False)
    assert (await world.post("/insurer/mode/sideways", {}))[0] == 404


async def test_wrong_password_and_wrong_parameters(world: World, portal: InsurerPortal, tmp_path: Path) -> None:
    async with open_portal(settings(world, tmp_path, password="wrong"), system_clock) as stranger:
        with pytest.raises(InsurerUnavailable):
            await stranger.deliver("01001", "4750", CONTENT, check_in=False)
    with pytest.raises(InsurerRefused):
        await portal.deliver("01001", "4750", b"", check_in=False)
    assert (await world.post("/insurer/api/qd130/guiHoSoXmlQD4750", {"loaiHoSo": "130"}))[1]["maKetQua"] == "401"
    assert (await world.get("/insurer/received"))["files"] == 0
