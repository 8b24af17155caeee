"""`lienthong operator` against a running person index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from lienthong.agent.cli import main

from services.chassis.principal import PrincipalKind
from tests.fixtures.identities import Running

Command = Callable[..., tuple[int, str]]
FACILITIES = """code,display_name,care_level,province_code,province_era,parent,capabilities,contact
27001,Bệnh viện đa khoa tỉnh Bắc Ninh,BASIC,24,PROVINCES_34,,OBSTETRICS;EMERGENCY,0222 3821 242
27002,Trạm y tế,INITIAL,99,PROVINCES_34,27001,,
"""
PERSONS = """citizen_id,name,birth_date,sex,phone,province_code,nationality
001185000011,Nguyễn Thị Hoà,1985-03-02,female,0912345678,01,
,Lê Văn Bưởi,1970,male,,,
001070000012,Trần Văn Bình,1970-02-31,male,,,
001070000013,Phạm Văn Cường,1970-02,male,,79,VNM
"""


@pytest.fixture
def command(identity: Running, tmp_path: Path) -> Command:
    """Runs a command as an operator; gives exit code and output."""
    made, token = identity.identities, tmp_path / "token"
    token.write_text(made.issuer.mint(PrincipalKind.ADMIN, "operator-1") + "\n", "utf-8")
    gateway = made.workload("gateway")

    def call(*arguments: str) -> tuple[int, str]:
        options = {
            "--gateway": identity.address,
            "--authority": made.pki.authority,
            "--token-file": token,
            "--certificate": gateway.certificate,
            "--private-key": gateway.private_key,
            "--server-name": "identity.lienthong.internal",
        }
        given = [str(part) for option in options.items() for part in option]
        done = CliRunner().invoke(main, ["operator", *given, *arguments])
        return done.exit_code, done.stdout

    return call


async def test_facilities_from_a_list(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "facilities.csv"
    file.write_text(FACILITIES, "utf-8")
    code, looked = await asyncio.to_thread(command, "import-facilities", str(file), "--check")
    assert (code, looked) == (
        1,
        "line 3\tprovince_code\tPROVINCE_UNKNOWN\n1 new, 0 changed, 0 as they were, 1 bad\n",
    )
    assert (await asyncio.to_thread(command, "import-facilities", str(file)))[1] == looked
    file.write_text(FACILITIES.replace("99,", "24,"), "utf-8")
    code, said = await asyncio.to_thread(command, "import-facilities", str(file))
    assert (code, said) == (0, "1 new, 0 changed, 1 as they were, 0 bad\n")


async def test_a_population_from_a_list_and_its_bad_rows(command: Command, tmp_path: Path) -> None:
    file, errors = tmp_path / "persons.csv", tmp_path / "errors.csv"
    file.write_text(PERSONS, "utf-8")
    arguments = ("load-population", str(file), "--source", "registry-2026", "--assurance", "registry")
    code, said = await asyncio.to_thread(command, *arguments, "--errors", str(errors))
    assert (code, said.splitlines()[-1]) == (1, "4 rows: 2 new, 0 known, 0 for stewards, 2 bad")
    listed = errors.read_text("utf-8").splitlines()
    assert listed == [
        "row,field,reason",
        "2,identifiers,NATIONAL_IDENTIFIER_MISSING",
        "3,demographics.birth_date,DATE_INVALID",
    ]
    # The same list again sends nothing.
    assert await asyncio.to_thread(command, *arguments) == (1, said.splitlines()[-1] + "\n")
    file.write_text("number,name\n", "utf-8")
    code, _ = await asyncio.to_thread(command, *arguments)
    assert code == 1
