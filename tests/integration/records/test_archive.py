"""Archive time-stamps over HTTP from OpenSSL's authority, and the two commands of the role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from aiohttp import web
from cryptography import x509
from lienthong.client.evidence.timestamps import open_token

from deploy.local.authorities import TSA_PATH, application
from deploy.local.pki import Pki
from services.records import protection
from services.records.config import ArchiveSettings, Settings
from services.records.delivery.timestamp import open_authority
from services.records.ports import TimestampUnavailable
from tests.fakes.records_samples import FACILITY, episode
from tests.integration.records.conftest import Records, document


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
async def authorities(tmp_path: Path) -> AsyncIterator[ArchiveSettings]:
    folder = Pki(tmp_path / "pki").public_authorities()
    runner, base = await serve(application(folder))
    yield ArchiveSettings(url=base + TSA_PATH, roots=folder / "time-root.crt")
    await runner.cleanup()


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
async def test_a_time_stamp_of_openssl_is_accepted(authorities: ArchiveSettings, digest: str) -> None:
    assert authorities.roots is not None
    async with open_authority(authorities) as authority:
        stamp = await authority.stamp(b"the digests of many documents", digest)
    assert abs(stamp.stated_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert (stamp.algorithm, stamp.key_bits) == ("ecdsa-p256-sha256", 0)
    assert stamp.authority_until > stamp.stated_at
    roots = x509.load_pem_x509_certificates(authorities.roots.read_bytes())
    assert open_token(stamp.token, roots).covers(b"the digests of many documents")


async def test_what_is_no_time_stamp_of_a_trusted_authority(authorities: ArchiveSettings, tmp_path: Path) -> None:
    stranger = tmp_path / "root.pem"
    stranger.write_bytes(Pki(tmp_path / "other").time_root.pem)
    async with open_authority(replace(authorities, roots=stranger)) as authority:
        with pytest.raises(TimestampUnavailable, match="TOKEN_INVALID"):
            await authority.stamp(b"x", "sha256")

    bodies = {"junk": b"x" * 100, "long": b"x" * 300_000, "empty": b""}

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["what"] == "error":
            return web.Response(status=503)
        return web.Response(body=bodies[request.match_info["what"]])

    app = web.Application()
    app.router.add_post("/{what}", answer)
    runner, base = await serve(app)
    expected = {"junk": "TOKEN_INVALID", "empty": "TOKEN_INVALID", "long": "ANSWER_TOO_LONG", "error": "HTTP_503"}
    for what, reason in expected.items():
        async with open_authority(replace(authorities, url=f"{base}/{what}")) as authority:
            with pytest.raises(TimestampUnavailable, match=reason):
                await authority.stamp(b"x", "sha256")
    await runner.cleanup()
    async with open_authority(replace(authorities, url=base)) as authority:
        with pytest.raises(TimestampUnavailable, match="UNREACHABLE"):
            await authority.stamp(b"x", "sha256")


async def test_the_commands_list_and_end_protection(
    records: Records, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await records.submit(document(episode(1)))
    await records.until_logged(answer.name)
    environ = {"LIENTHONG_DATABASE_URL": settings.database.url}

    async def said(command: str, **more: str) -> tuple[int, str]:
        run = protection.report if command == "protection" else protection.reseal
        capfd.readouterr()
        code = await asyncio.to_thread(run, {**environ, **more})
        return code, capfd.readouterr().out

    assert await said("protection") == (0, "0 documents end within 90 days\n")
    code, out = await said("protection", LIENTHONG_WITHIN_DAYS="400")
    assert code == 0
    assert f" {FACILITY} {answer.document}\n" in out
    assert out.endswith("1 documents end within 400 days\n")
    assert (await said("reseal", LIENTHONG_RENEWED_BEFORE="yesterday"))[0] == 2
    assert (await said("reseal", LIENTHONG_RENEWED_BEFORE="2030-01-01"))[0] == 2
    assert (await said("reseal"))[0] == 2
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert await said("reseal", LIENTHONG_RENEWED_BEFORE=tomorrow) == (0, "1 documents will be renewed\n")
    assert (await said("protection"))[1].endswith("1 documents end within 90 days\n")
    url = settings.database.url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("DELETE FROM seal_renewal")
