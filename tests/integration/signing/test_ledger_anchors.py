"""Citizens' ledgers in the transparency log: a real consent role beside a real log with its witnesses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import grpc
import psycopg
import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey
from lienthong.agent.cli import main
from lienthong.client.errors import from_rpc_error
from lienthong.client.ledger import LedgerError, LedgerFault, LedgerProof, verify_ledger
from lienthong.consent.v1 import access_ledger_service_pb2, access_ledger_service_pb2_grpc, decision_pb2
from lienthong.monitor.monitor import Monitor
from lienthong.monitor.source import GrpcLog
from lienthong.monitor.state import MonitorState
from psycopg import sql
from sqlalchemy.engine import make_url

from services.chassis.identifiers import uuid7
from services.chassis.principal import PrincipalKind
from services.chassis.settings import DatabaseSettings, TelemetrySettings
from services.consent import audit_ledger
from services.consent.__main__ import compose
from services.consent.anchors import AnchorSettings
from services.consent.ciba import CibaSettings
from services.consent.config import Settings
from tests.fixtures.database import DatabaseFor
from tests.fixtures.identities import Identities, Running, StartRole
from tests.fixtures.person_facts import People
from tests.fixtures.registry import registered
from tests.integration.consent.test_flow import READER, accesses, decide, grant, terms
from tests.integration.signing.witnessed import Log, Start

StartConsent = Callable[[str], AbstractAsyncContextManager[Running]]
UNKNOWN = "127.0.0.1:1"
COLUMNS = {
    "at": "at + interval '1 microsecond'",
    "organization": "'99999'",
    "licence": "'x'",
    "principal_kind": "'AUDITOR'",
    "purpose": "'PAYMENT'",
    "basis": "'LAW_19_1_DD'",
    "kinds": "'{HIV_CARE}'",
    "method": "'x'",
    "decision_id": "gen_random_uuid()",
    "effect": "'PERMIT'",
    "acting_person_id": "gen_random_uuid()",
    "resources": "'{documents/x}'",
    "emergency_access_id": "gen_random_uuid()",
    "sensitive_classes": "'{HIV}'",
    "form": "1",
    "previous_hash": "decode(repeat('ab', 32), 'hex')",
}
"""What an operator could write into each column of a line."""


@pytest.fixture
def database(database_for: DatabaseFor) -> DatabaseSettings:
    return registered(database_for("consent"))


@pytest.fixture
def start_consent(
    start_role: StartRole,
    identities: Identities,
    database: DatabaseSettings,
    keyring_file: Path,
    tmp_path: Path,
    people: People,
) -> StartConsent:
    key, jwks = tmp_path / "client.jwk", tmp_path / "jwks.json"
    key.write_text(json.dumps(ECKey.generate_key("P-256").as_dict(private=True)), "utf-8")
    jwks.write_text(json.dumps(identities.issuer.jwks), "utf-8")

    @asynccontextmanager
    async def start(signing: str) -> AsyncIterator[Running]:
        settings = Settings(
            server=identities.server_settings("consent"),
            database=database,
            telemetry=TelemetrySettings(log_level="error"),
            ciba=CibaSettings(f"https://{UNKNOWN}", jwks, identities.pki.authority, "lienthong", key),
            keyring=keyring_file,
            identity_address=people.address,
            signing_address=signing,
            records_address="127.0.0.1:1",
            anchors=AnchorSettings(interval_seconds=0.05),
        )
        async with start_role("consent", compose, settings) as running:
            yield running

    return start


def tamper(database: DatabaseSettings, statement: sql.Composed | sql.SQL, *values: object) -> None:
    """What who runs the database can do, and the application cannot."""
    owner = make_url(database.owner_url or "").set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(owner) as connection:
        assert connection.execute(statement, values).rowcount == 1


async def ledger(consent: Running, person: str, page_size: int = 0) -> LedgerProof:
    """The whole ledger as the citizen gets it."""
    pages: list[access_ledger_service_pb2.GetLedgerProofResponse] = []
    async with consent.as_citizen(person) as channel:
        stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
        token = ""
        while not pages or token:
            request = access_ledger_service_pb2.GetLedgerProofRequest(
                person=person, page_size=page_size, page_token=token
            )
            pages.append(await stub.GetLedgerProof(request, timeout=5))
            token = pages[-1].next_page_token
    return LedgerProof.of(person, pages)


async def anchored(consent: Running, log: Log, person: str) -> LedgerProof:
    """The ledger once all of it is anchored."""
    async with asyncio.timeout(20):
        while not verify_ledger(found := await ledger(consent, person), log.policy).complete:
            await asyncio.sleep(0.05)
    return found


async def until_true(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.05)


async def test_a_ledger_verifies_offline_and_grows(
    start_log: Start, start_consent: StartConsent, tmp_path: Path
) -> None:
    log = await start_log()
    person, other = f"persons/{uuid7()}", f"persons/{uuid7()}"
    async with start_consent(log.running.address) as consent:
        for _ in range(3):
            await decide(consent, person)
        await decide(consent, other)
        first = await anchored(consent, log, person)
        assert len(first.lines) == 3
        for _ in range(2):
            await decide(consent, person)
        second = await anchored(consent, log, person)
        report = verify_ledger(second, log.policy, earlier=first)
        assert report.lines == 5
        assert report.witnessed_at is not None
        paged = await ledger(consent, person, page_size=2)
        assert paged.lines == second.lines
        # The lines are those that the citizen is shown.
        shown = await accesses(consent, person)
        assert [json.loads(line.canonical)["decision"] for line in reversed(second.lines)] == [
            line.decision.removeprefix("decisions/") for line in shown
        ]
    # The log's other readers are not disturbed by entries of this kind.
    async with log.running.as_facility() as channel:
        state = MonitorState(tmp_path / "monitor.db")
        later = datetime.now(UTC) + timedelta(hours=2)
        monitor = Monitor(GrpcLog(channel), log.policy, state, lambda: later, facilities=["01001"])
        assert await monitor.check() == []
        state.close()


async def test_removing_or_editing_any_line_in_the_database_is_detected(
    start_log: Start, start_consent: StartConsent, database: DatabaseSettings
) -> None:
    log = await start_log()
    async with start_consent(log.running.address) as consent:
        for number, (column, value) in enumerate(COLUMNS.items()):
            person = uuid7()
            for _ in range(3):
                await decide(consent, f"persons/{person}")
            await anchored(consent, log, f"persons/{person}")
            place = number % 3 + 1
            edit = sql.SQL("UPDATE access_entry SET {} = {} WHERE person_id = %s AND sequence = %s")
            tamper(database, edit.format(sql.Identifier(column), sql.SQL(value)), person, place)
            with pytest.raises(LedgerError) as caught:
                verify_ledger(await ledger(consent, f"persons/{person}"), log.policy)
            assert caught.value.fault is LedgerFault.LINE_ALTERED, column
        for place in (1, 2, 3):
            person = uuid7()
            for _ in range(3):
                await decide(consent, f"persons/{person}")
            await anchored(consent, log, f"persons/{person}")
            gone = sql.SQL("DELETE FROM access_entry WHERE person_id = %s AND sequence = %s")
            tamper(database, gone, person, place)
            with pytest.raises(LedgerError) as caught:
                verify_ledger(await ledger(consent, f"persons/{person}"), log.policy)
            assert caught.value.fault is LedgerFault.LINE_MISSING


async def test_while_the_log_is_down_decisions_go_on_and_are_anchored_later(
    start_log: Start, start_consent: StartConsent
) -> None:
    person = f"persons/{uuid7()}"
    log = await start_log()
    async with start_consent(UNKNOWN) as consent:
        await decide(consent, person)

        async def one_anchor() -> bool:
            return len((await ledger(consent, person)).anchors) == 1

        await until_true(one_anchor)
        report = verify_ledger(await ledger(consent, person), log.policy)
        assert (report.lines, report.anchored) == (1, 0)
    async with start_consent(log.running.address) as consent:
        await decide(consent, person)
        assert len((await anchored(consent, log, person)).lines) == 2


async def test_what_cannot_be_put_on_the_ledger_is_not_decided(
    start_consent: StartConsent, database: DatabaseSettings
) -> None:
    person = f"persons/{uuid7()}"
    owner = make_url(database.owner_url or "").set(drivername="postgresql").render_as_string(hide_password=False)
    refuse = "ALTER TABLE access_entry ADD CONSTRAINT ck_access_entry_nothing CHECK (sequence < 2)"
    async with start_consent(UNKNOWN) as consent:
        await decide(consent, person)
        with psycopg.connect(owner) as connection:
            connection.execute(refuse)
        with pytest.raises(grpc.aio.AioRpcError):
            await decide(consent, person)
        with psycopg.connect(owner) as connection:
            connection.execute("ALTER TABLE access_entry DROP CONSTRAINT ck_access_entry_nothing")
            assert connection.execute("SELECT count(*) FROM decision").fetchone() == (1,)
        assert (await decide(consent, person)).effect == decision_pb2.EFFECT_DENY
        assert [line.sequence for line in await accesses(consent, person)] == [2, 1]


async def test_only_the_person_and_auditors_get_the_proof(start_consent: StartConsent) -> None:
    person, stranger = f"persons/{uuid7()}", f"persons/{uuid7()}"
    request = access_ledger_service_pb2.GetLedgerProofRequest(person=person)
    async with start_consent(UNKNOWN) as consent:
        await decide(consent, person)
        async with consent.as_citizen(stranger) as channel:
            stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetLedgerProof(request, timeout=5)
            assert from_rpc_error(refused.value).reason == "NOT_THE_PERSON"
        async with consent.as_facility(READER) as channel:
            stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetLedgerProof(request, timeout=5)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        async with consent.as_officer(PrincipalKind.AUDITOR) as channel:
            stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
            answer = await stub.GetLedgerProof(request, timeout=5)
            assert [line.sequence for line in answer.lines] == [1]


async def test_a_citizen_keeps_and_checks_the_ledger_by_command(
    start_log: Start, start_consent: StartConsent, tmp_path: Path
) -> None:
    log = await start_log()
    person = f"persons/{uuid7()}"
    async with start_consent(log.running.address) as consent:
        gateway = consent.identities.workload("gateway")
        token = tmp_path / "token"
        token.write_text(consent.identities.token(PrincipalKind.CITIZEN, person=person), "utf-8")
        options = {
            "--gateway": consent.address,
            "--authority": consent.identities.pki.authority,
            "--token-file": token,
            "--certificate": gateway.certificate,
            "--private-key": gateway.private_key,
            "--server-name": "consent.lienthong.internal",
        }
        given = [str(part) for option in options.items() for part in option]

        async def run(*arguments: str | Path) -> tuple[int, str]:
            done = await asyncio.to_thread(CliRunner().invoke, main, [str(one) for one in arguments])
            return done.exit_code, done.output if done.exit_code else done.stdout

        granted = await grant(consent, person, terms())
        read = await decide(consent, person)
        await anchored(consent, log, person)
        code, output = await run("citizen", *given, "accesses")
        assert (code, output.split()[1:]) == (0, [f"organizations/{READER}", "TREATMENT", "PERMIT", read.name])
        code, output = await run("citizen", *given, "consents")
        assert (code, output.split()[:2]) == (0, [granted.name, "ACTIVE"])
        before, after = tmp_path / "before.json", tmp_path / "after.json"
        assert await run("citizen", *given, "ledger", "--output", before) == (0, "1 lines, 1 anchors: before.json\n")
        code, output = await run("citizen", *given, "revoke", granted.name)
        assert code == 0
        assert output.split()[:2] == [granted.name, "REVOKED"]
        assert f"organizations/{READER}" in output.splitlines()[1]
        await decide(consent, person)
        await anchored(consent, log, person)
        assert (await run("citizen", *given, "ledger", "--output", after))[0] == 0
    trust = tmp_path
    code, output = await run("verify", after, "--earlier", before, "--trust", trust)
    assert (code, output.split()[:6]) == (0, ["2", "lines", "unbroken,", "2", "of", "them"])
    code, output = await run("verify", before, "--earlier", after, "--trust", trust)
    assert code == 1
    assert "LEDGER_SHORTENED" in output


async def test_the_operators_audit_names_each_fault(
    start_log: Start, start_consent: StartConsent, database: DatabaseSettings, tmp_path: Path
) -> None:
    log = await start_log()
    persons = [uuid7() for _ in range(6)]
    async with start_consent(log.running.address) as consent:
        for person in persons:
            for _ in range(3):
                await decide(consent, f"persons/{person}")
            await anchored(consent, log, f"persons/{person}")
    environ = {
        "LIENTHONG_DATABASE_URL": database.url,
        "LIENTHONG_WITNESS_POLICY": str(tmp_path / "trust.policy"),
    }

    def audit() -> tuple[int, list[str]]:
        output = StringIO()
        with redirect_stdout(output):
            code = audit_ledger.main(environ)
        return code, output.getvalue().splitlines()

    code, lines = await asyncio.to_thread(audit)
    assert code == 0, lines
    assert lines[-1].startswith("clean: 18 lines, 6 ledgers, ")
    altered, gone, undecided, unanchored, cut, salted = persons
    line = " WHERE person_id = %s AND sequence = %s"
    tamper(database, sql.SQL("UPDATE access_entry SET licence = 'x'" + line), altered, 2)
    tamper(database, sql.SQL("DELETE FROM access_entry" + line), gone, 2)
    first = "(SELECT decision_id FROM access_entry WHERE person_id = %s AND sequence = %s)"
    tamper(database, sql.SQL("DELETE FROM decision WHERE person_id = %s AND id = " + first), undecided, undecided, 1)
    tamper(
        database, sql.SQL("UPDATE ledger_anchor SET head_hash = decode(repeat('00', 32), 'hex')" + line), unanchored, 3
    )
    tamper(database, sql.SQL("DELETE FROM access_entry" + line), cut, 3)
    tamper(database, sql.SQL("UPDATE ledger_anchor SET salt = decode(repeat('00', 32), 'hex')" + line), salted, 3)
    code, lines = await asyncio.to_thread(audit)
    assert code == 1
    named = {(name, who) for name, who, *_ in (line.split() for line in lines[:-1])}
    # A ledger is anchored at whatever lengths the job met.
    named -= {("ANCHOR_HASH_MISMATCH", f"persons/{altered}"), ("ANCHOR_WITHOUT_LINE", f"persons/{gone}")}
    assert named == {
        ("LINE_ALTERED", f"persons/{altered}"),
        ("LINE_HASH_MISMATCH", f"persons/{altered}"),
        ("LINE_MISSING", f"persons/{gone}"),
        ("DECISION_WITHOUT_LINE", f"persons/{gone}"),
        ("LINE_WITHOUT_DECISION", f"persons/{undecided}"),
        ("ANCHOR_HASH_MISMATCH", f"persons/{unanchored}"),
        ("HEAD_MISMATCH", f"persons/{cut}"),
        ("DECISION_WITHOUT_LINE", f"persons/{cut}"),
        ("ANCHOR_WITHOUT_LINE", f"persons/{cut}"),
        ("LEDGER_ANCHOR_INVALID", f"persons/{salted}"),
    }
