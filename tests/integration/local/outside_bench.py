"""The outside world in this process: issuers, ID app, insurer and collector, over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from joserfc.jwk import ECKey

from deploy.local.outside import Outside, opened
from deploy.local.ports import Ports
from deploy.local.tokens import TokenIssuer
from tests.fixtures.identities import Identities

PERSON, PIN = "persons/00000000-0000-7000-8000-000000000001", "123456"
CLIENT, INSURER_PASSWORD = "lienthong-consent", "insurer-word"
OPERATORS = {"admin": ("admin-word", "ADMIN"), "auditor": ("auditor-word", "AUDITOR")}


@dataclass
class World:
    """The running simulators, and the files that a role would be given."""

    settings: Outside
    identities: Identities
    client_key: Path
    citizen_jwks: Path

    def tls(self, facility: str = "", workload: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.identities.pki.authority))
        if facility or workload:
            pair = self.identities.workload(workload or f"facility/{facility}")
            context.load_cert_chain(pair.certificate, pair.private_key)
        return context

    async def post(
        self, path: str, form: Mapping[str, str], *, facility: str = "", workload: str = ""
    ) -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session:
            url = f"{self.settings.base}{path}"
            async with session.post(url, data=dict(form), ssl=self.tls(facility, workload)) as answer:
                return answer.status, await answer.json()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        async with aiohttp.ClientSession() as session:
            url = f"{self.settings.base}{path}"
            async with session.get(url, headers=headers, ssl=self.tls()) as answer:
                return await answer.json() if answer.content_type == "application/json" else await answer.text()


@asynccontextmanager
async def outside(identities: Identities, folder: Path) -> AsyncIterator[World]:
    """Starts the simulators with one citizen's account."""
    ports = Ports()
    pair = identities.pki.server("outside")
    keys = {name: TokenIssuer(name).save(folder / f"{name}.jwk") for name in ("facility", "operator", "citizen")}
    client = ECKey.generate_key("P-256")
    client_key = folder / "client.jwk"
    client_key.write_text(json.dumps(client.as_dict(private=True)), "utf-8")
    settings = Outside(
        listen=ports.reserve(),
        collector=ports.reserve(),
        spans=str(folder / "spans.jsonl"),
        certificate=str(pair.certificate),
        private_key=str(pair.private_key),
        authority=str(identities.pki.authority),
        facility_key=str(keys["facility"]),
        operator_key=str(keys["operator"]),
        citizen_key=str(keys["citizen"]),
        client_id=CLIENT,
        client_jwk=dict(client.as_dict(private=False)),
        operators=OPERATORS,
        insurer_username="lienthong",
        insurer_password=INSURER_PASSWORD,
        insurer_folder=str(folder / "insurer"),
    )
    jwks = folder / "citizen.jwks"
    jwks.write_text(json.dumps(TokenIssuer.load("citizen", keys["citizen"]).jwks), "utf-8")
    try:
        async with opened(settings):
            world = World(settings, identities, client_key, jwks)
            account = {"client_secret": OPERATORS["admin"][0], "account": PERSON, "pin": PIN}
            assert await world.post("/citizen/accounts", account) == (200, {})
            yield world
    finally:
        ports.release()
