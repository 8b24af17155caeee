"""Level T with a real authority (`openssl ts` over HTTP), and OpenSSL's opinion of what the agent writes."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner
from lienthong.agent.cli import main
from lienthong.agent.signing import Pkcs12Signer
from lienthong.agent.signing.cms import sign_detached
from lienthong.agent.signing.timestamping import TimestampClient, TimestampRefused
from lienthong.agent.signing.xades import sign_xades_detached, sign_xades_envelope

from deploy.local.pki import Pki, SigningPair
from deploy.local.ports import Ports
from services.signing.formats.cms import verify_cms
from services.signing.formats.facts import SignatureFacts
from services.signing.formats.xmldsig import verify_xades_detached, verify_xmldsig
from tests.fixtures.debian import openssl
from tests.integration.signing.outside import OpensslTimestamps, listen

DOCUMENT = b'<GIAMDINHHS xml:lang="vi"><A>1</A><CHUKYDONVI/></GIAMDINHHS>'


class Authority(OpensslTimestamps):
    """A running authority."""

    url = ""


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Authority]:
    ports = Ports()
    found, address = Authority(tmp_path), ports.reserve()
    runner = await listen(found.application(), address)
    found.url = f"http://{address}/tsa"
    yield found
    await runner.cleanup()


@pytest.fixture(scope="module")
def pair(pki: Pki) -> SigningPair:
    return pki.signer("01001")


def opened(pair: SigningPair, *, pss: bool = False) -> Pkcs12Signer:
    return Pkcs12Signer(pair.keystore, pair.passphrase_file.read_text("utf-8"), pss=pss)


async def test_signatures_with_a_time_stamp(authority: Authority, pair: SigningPair) -> None:
    stamp, signer = TimestampClient(authority.url, authority.roots), opened(pair)

    def sign() -> list[SignatureFacts]:
        return [
            verify_cms(DOCUMENT, sign_detached(DOCUMENT, signer, stamp=stamp)),
            verify_xmldsig(sign_xades_envelope(DOCUMENT, signer, stamp=stamp)),
            verify_xades_detached(b"x", sign_xades_detached(b"x", signer, name="x", stamp=stamp)),
        ]

    for facts in await asyncio.to_thread(sign):
        (token,) = facts.timestamps
        # The bytes that the verifier sees as stamped are those that the authority stamped.
        assert await authority.verifies(token, facts.timestamped)
        assert not await authority.verifies(token, facts.timestamped + b"x")


async def test_the_command_asks_the_authority(authority: Authority, pair: SigningPair, tmp_path: Path) -> None:
    entries = dict.fromkeys(("client_certificate", "client_key", "policy"), "unused")
    entries |= {"facility": "01001", "gateway": "x:1", "token_endpoint": "https://x", "spool": "spool"}
    entries |= {"signing_keystore": str(pair.keystore), "signing_passphrase_file": str(pair.passphrase_file)}
    entries |= {"timestamp_url": authority.url, "timestamp_authority": str(authority.roots), "authority": "unused"}
    (tmp_path / "profile.json").write_text(json.dumps(entries))
    (tmp_path / "d.xml").write_bytes(DOCUMENT)
    command = ["--profile", str(tmp_path / "profile.json"), "sign", str(tmp_path / "d.xml")]
    options = ["--out", str(tmp_path / "out"), "--format", "xades", "--timestamp"]
    done = await asyncio.to_thread(CliRunner().invoke, main, [*command, *options])
    assert done.exit_code == 0, done.output
    assert len(verify_xmldsig((tmp_path / "out" / "d.xml").read_bytes()).timestamps) == 1


async def test_an_authority_that_is_not_believed(authority: Authority, pki: Pki, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(pki.signing_root.pem)
    with pytest.raises(TimestampRefused, match="does not hold"):
        await asyncio.to_thread(TimestampClient(authority.url, other), b"x")
    with pytest.raises(TimestampRefused, match="answered 404"):
        await asyncio.to_thread(TimestampClient(authority.url + "x", authority.roots), b"x")
    with pytest.raises(TimestampRefused, match="cannot be reached"):
        await asyncio.to_thread(TimestampClient("http://127.0.0.1:1/", authority.roots), b"x")
    with pytest.raises(TimestampRefused, match="http or https"):
        TimestampClient("file:///etc/passwd", authority.roots)
    with pytest.raises(TimestampRefused, match="no certificates"):
        TimestampClient(authority.url, tmp_path / "none.pem")


@pytest.mark.parametrize(("body", "text"), [(b"", "cannot be read"), (b"x" * 300_000, "too long")])
async def test_an_answer_that_is_none(body: bytes, text: str, authority: Authority) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_post("/", answer)
    address = Ports().reserve()
    runner = await listen(app, address)
    try:
        with pytest.raises(TimestampRefused, match=text):
            await asyncio.to_thread(TimestampClient(f"http://{address}/", authority.roots), b"x")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("pss", [False, True])
@pytest.mark.parametrize("stamped", [False, True])
async def test_openssl_agrees(
    pss: bool, stamped: bool, pair: SigningPair, authority: Authority, tmp_path: Path
) -> None:
    stamp = TimestampClient(authority.url, authority.roots) if stamped else None
    signature = await asyncio.to_thread(lambda: sign_detached(DOCUMENT, opened(pair, pss=pss), stamp=stamp))
    (tmp_path / "document").write_bytes(DOCUMENT)
    (tmp_path / "other").write_bytes(DOCUMENT + b" ")
    (tmp_path / "signature").write_bytes(signature)
    command = [
        openssl(),
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-noverify",
        "-in",
        str(tmp_path / "signature"),
    ]

    def verifies(name: str) -> bool:
        done = subprocess.run(
            [*command, "-content", str(tmp_path / name)], check=False, capture_output=True, timeout=30
        )
        return done.returncode == 0

    assert await asyncio.to_thread(verifies, "document")
    assert not await asyncio.to_thread(verifies, "other")
