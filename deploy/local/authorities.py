"""Public authorities as they stand outside: revocation lists, an OCSP responder and a time-stamping authority over HTTP.

The answers are OpenSSL's own (`openssl ocsp`, `openssl ts`): what the platform accepts here, it accepts from them. Run
as `python -m deploy.local.authorities SETTINGS`, or take `application` into a test.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

OCSP_PATH, TSA_PATH, LISTS_PATH = "/ocsp", "/tsa", "/lists/"
_LARGEST_REQUEST = 64 * 1024
_SECONDS = 10.0
_TSA_SETTINGS = """[tsa]
default_tsa = local
[local]
serial = {folder}/tsa.serial
signer_cert = {folder}/tsa.crt
signer_key = {folder}/tsa.key
certs = {folder}/tsa.crt
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class AuthorityFailed(Exception):
    """OpenSSL gave no answer."""


@dataclass(frozen=True)
class Authorities:
    """Where the authorities listen, and their folder as `deploy.local.pki` fills it: `ocsp.crt`, `ocsp.key`, `issuer.crt`, `index.txt`;
    `tsa.crt`, `tsa.key`; `*.crl`."""

    listen: str
    folder: str

    @property
    def base(self) -> str:
        """Address of everything."""
        return f"http://{self.listen}"

    @property
    def ocsp(self) -> str:
        """Address of the OCSP responder."""
        return self.base + OCSP_PATH

    @property
    def tsa(self) -> str:
        """Address of the time-stamping authority."""
        return self.base + TSA_PATH

    def revocation_list(self, name: str) -> str:
        """Address of a list."""
        return f"{self.base}{LISTS_PATH}{name}.crl"

    def save(self, path: Path) -> Path:
        """Writes the settings for the process."""
        path.write_text(json.dumps(asdict(self)), "utf-8")
        return path


def openssl() -> str:
    """Path of `openssl`: the system's, or the one that `make setup` unpacked beside the virtual environment."""
    unpacked = str(Path(sys.prefix) / "debian" / "bin")
    found = shutil.which("openssl") or shutil.which("openssl", path=unpacked)
    if found is None:
        raise AuthorityFailed("openssl is missing: run `make setup`")
    return found


def application(folder: Path) -> web.Application:
    """The three authorities over one folder."""
    (folder / "tsa.cnf").write_text(_TSA_SETTINGS.format(folder=folder), "utf-8")
    if not (folder / "tsa.serial").exists():
        (folder / "tsa.serial").write_text("01\n", "utf-8")
    stamping = asyncio.Lock()

    async def revocation_list(request: web.Request) -> web.Response:
        path = folder / Path(request.match_info["name"]).name
        if path.suffix != ".crl" or not path.is_file():
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type="application/pkix-crl")

    async def ocsp(request: web.Request) -> web.Response:
        arguments = ["-index", "index.txt", "-CA", "issuer.crt", "-rsigner", "ocsp.crt", "-rkey", "ocsp.key"]
        answer = await _answer(folder, "ocsp", await request.read(), "-reqin", "-respout", [*arguments, "-nmin", "60"])
        return web.Response(body=answer, content_type="application/ocsp-response")

    async def timestamp(request: web.Request) -> web.Response:
        arguments = ["-reply", "-config", "tsa.cnf"]
        async with stamping:  # the serial number's file has one writer
            answer = await _answer(folder, "ts", await request.read(), "-queryfile", "-out", arguments)
        return web.Response(body=answer, content_type="application/timestamp-reply")

    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.router.add_get(LISTS_PATH + "{name}", revocation_list)
    app.router.add_post(OCSP_PATH, ocsp)
    app.router.add_post(TSA_PATH, timestamp)
    return app


async def _answer(
    folder: Path, command: str, query: bytes, input_option: str, output_option: str, arguments: Sequence[str]
) -> bytes:
    """What an openssl command makes of a query."""
    with tempfile.TemporaryDirectory() as work:
        asked, answered = Path(work) / "query", Path(work) / "answer"
        asked.write_bytes(query)
        options = [*arguments, input_option, str(asked), output_option, str(answered)]
        process = await asyncio.create_subprocess_exec(
            *(openssl(), command, *options),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if not answered.is_file():
            raise web.HTTPBadRequest
        return answered.read_bytes()


def main(arguments: Sequence[str]) -> None:
    """Serves until SIGTERM."""
    settings = Authorities(**json.loads(Path(arguments[0]).read_text("utf-8")))
    host, _, port = settings.listen.rpartition(":")
    web.run_app(
        application(Path(settings.folder)), host=host, port=int(port), print=None, reuse_address=True, access_log=None
    )


if __name__ == "__main__":
    main(sys.argv[1:])
