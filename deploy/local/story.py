"""The main story, told through the gateway with the agent's own commands: each step prints its result and time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lienthong.client.channel import connect_sync
from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_service_pb2,
    consent_service_pb2_grpc,
)
from lienthong.samples.generator import Generator

from deploy.local.otlp import tree, wait_for_trace
from deploy.local.seed import post, sample_person
from deploy.local.suite import fetch

VIETNAM = timezone(timedelta(hours=7))
SOURCE, TARGET = "27001", "01001"
_SECONDS = 30.0


class StoryFailed(Exception):
    """A step did not go as the story tells it."""


def demo(state: Path, *, once: bool, up: Callable[[Path], None], down: Callable[[Path], None]) -> int:
    """Starts a stack, tells the story, and with `once` takes the stack away again."""
    started = time.perf_counter()
    up(state)
    print(
        f"{time.perf_counter() - started:6.1f} s  stack is up: PostgreSQL, five roles, Envoy, ID app, insurer, span collector"
    )
    try:
        tell(json.loads((state / "endpoints.json").read_text("utf-8")), state / "demo")
    except StoryFailed as error:
        sys.stderr.write(f"the story broke off: {error}\n")
        return 1
    finally:
        if once:
            down(state)
    if not once:
        print(f"\nThe stack stays up: {state / 'endpoints.json'}; `make down` takes it away.")
    return 0


class Teller:
    """Runs commands and prints what came of them."""

    def __init__(self, endpoints: dict[str, Any], folder: Path) -> None:
        self.endpoints = endpoints
        self.folder = folder
        self._profiles = {one["code"]: one["profile"] for one in endpoints["facilities"]}
        self._licences = {one["code"]: one["practitioner_licence"] for one in endpoints["facilities"]}

    def step(self, title: str, work: Callable[[], str]) -> None:
        """One step with its time."""
        started = time.perf_counter()
        result = work()
        print(f"{(time.perf_counter() - started) * 1000:7.0f} ms {title}\n           {result}", flush=True)

    def agent(self, facility: str, *arguments: str, code: int = 0, practitioner: bool = False) -> str:
        """The agent's command as a facility; StoryFailed when it ends with another code."""
        acting = ["--licence", self._licences[facility]] if practitioner else []
        command = [sys.executable, "-m", "lienthong.agent", "--profile", self._profiles[facility], *acting, *arguments]
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{self.endpoints['collector']}"
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_SECONDS * 4, check=False
        )
        if done.returncode != code:
            raise StoryFailed(
                f"lienthong {' '.join(arguments[:2])} ended with {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def citizen(self, person: dict[str, Any]) -> Any:
        """A channel of a citizen's app session."""
        login = {"grant_type": "password", "username": person["account"], "password": person["pin"]}
        token = post(self.endpoints["citizen"]["token_endpoint"], login, self.endpoints["ca"])["access_token"]
        ca = Path(self.endpoints["ca"])
        return connect_sync(self.endpoints["gateway"]["public_grpc"], authority=ca, token=str(token))


def tell(endpoints: dict[str, Any], folder: Path) -> None:
    """The story."""
    teller = Teller(endpoints, folder)
    person = endpoints["persons"][0]
    signed = folder / "signed"
    (folder / "episodes").mkdir(parents=True)
    episode = Generator(7).episode(
        sample_person(person), SOURCE, "3176", referral_to=TARGET, follow_up=True, ended=datetime.now(VIETNAM)
    )
    path = folder / "episodes" / f"{episode.document_id.replace('/', '_')}.xml"
    path.write_bytes(episode.content)
    trace = _submission(teller, path, signed / path.name, path.stem)
    document = _consent_and_read(teller, person, signed / path.name)
    _referral(teller)
    read = _ledger_and_revocation(teller, person, document)
    teller.step("an operator opens the submission's trace", lambda: _trace(endpoints, trace))
    teller.step("and that of the doctor's read, found by the ledger line", lambda: _trace(endpoints, read))


def _submission(teller: Teller, path: Path, signed: Path, document_id: str) -> str:
    found: dict[str, str] = {}

    def submit() -> str:
        return teller.agent(SOURCE, "submit", str(signed)).strip()

    def status() -> str:
        text = teller.agent(SOURCE, "status", document_id)
        found["submission"] = text.split()[0]
        return " -> ".join(re.findall(r"Z  ([A-Z]+)", text))

    def receipt() -> str:
        out = teller.folder / "receipt.json"
        teller.agent(SOURCE, "receipt", "get", document_id, "--out", str(out))
        found["trace"] = json.loads(out.read_text("utf-8"))["trace_id"]
        return f"{out.stat().st_size} bytes, with proof of inclusion"

    def verify() -> str:
        policy = teller.endpoints["trust_policy"]
        command = (
            "receipt",
            "verify",
            str(teller.folder / "receipt.json"),
            "--document",
            str(signed),
            "--policy",
            policy,
        )
        return " ".join(teller.agent(SOURCE, *command).split())[:160]

    teller.step(
        "hospital A signs an episode",
        lambda: teller.agent(SOURCE, "sign", str(path), "--out", str(signed.parent)).strip(),
    )
    teller.step("hospital A submits it", submit)
    teller.step(
        "hospital A sends it again: the first answer comes back",
        lambda: teller.agent(SOURCE, "submit", str(signed), "--again").strip(),
    )
    teller.step("hospital A fetches the receipt", receipt)
    teller.step("anyone verifies the receipt offline", verify)
    teller.step("hospital A sees where it stands", status)
    teller.step(
        "hospital A asks what its signature is worth",
        lambda: teller.agent(SOURCE, "verify", str(signed)).splitlines()[0],
    )
    return found["trace"]


def _consent_and_read(teller: Teller, person: dict[str, Any], signed: Path) -> str:
    found: dict[str, str] = {}

    def find() -> str:
        answers = ("--number", person["citizen_number"], "--name", person["full_name"], "--born", person["birth_date"])
        text = teller.agent(TARGET, "person", "find", *answers)
        if person["person"] not in text:
            raise StoryFailed("another person was found")
        return text.splitlines()[0]

    def refused() -> str:
        text = teller.agent(TARGET, "records", "get", person["person"], code=1)
        if "OBTAIN_CONSENT" not in text:
            raise StoryFailed(f"the refusal does not say what would change it: {text}")
        return "refused; what would change it: OBTAIN_CONSENT"

    def ask() -> str:
        text = teller.agent(TARGET, "consent", "request", person["person"], "--days", "7")
        return text.splitlines()[0]

    def approve() -> str:
        headers = {"x-account": person["account"], "x-pin": person["pin"]}
        (asked,) = fetch(teller.endpoints["citizen"]["requests"], teller.endpoints["ca"], headers)
        url = f"{teller.endpoints['citizen']['requests']}/{asked['id']}/approve"
        post(url, {"pin": person["pin"]}, teller.endpoints["ca"])
        return f"approved {asked['message']}"

    def book() -> str:
        out = teller.folder / "book.json"
        end = time.monotonic() + _SECONDS
        while True:
            try:
                command = ("records", "get", person["person"], "--out", str(out), "--reason", "visit")
                teller.agent(TARGET, *command, practitioner=True)
                break
            except StoryFailed:
                if time.monotonic() > end:
                    raise
        read = json.loads(out.read_text("utf-8"))
        # Newest first; a stack that is in use holds older ones.
        encounter, *older = read["encounters"]
        found["document"] = encounter["document"]
        counts = {name: len(encounter.get(name, [])) for name in ("medications", "observations")}
        return f"{len(older) + 1} encounter, the newest of {encounter['organization']}: {counts['medications']} drugs, {counts['observations']} results"

    def original() -> str:
        out = teller.folder / "original.xml"
        teller.agent(TARGET, "records", "get", found["document"], "--out", str(out))
        if out.read_bytes() != signed.read_bytes():
            raise StoryFailed("the bytes differ from those that were signed")
        return f"{out.stat().st_size} bytes, equal to what hospital A signed"

    def package() -> str:
        out = teller.folder / "evidence.asice"
        teller.agent(TARGET, "records", "evidence", found["document"], "--out", str(out))
        folder = str(Path(teller.endpoints["trust_policy"]).parent)
        said = teller.agent(TARGET, "verify", str(out), "--trust", folder)
        return f"{out.stat().st_size} bytes; " + " ".join(said.split())[:160]

    teller.step("hospital B finds the person by number", find)
    teller.step("hospital B tries to read without consent", refused)
    teller.step("hospital B asks for consent", ask)
    teller.step("the citizen approves in the national ID app", approve)
    teller.step("a doctor of hospital B reads the health book", book)
    teller.step("hospital B reads the original signed bytes", original)
    teller.step("hospital B takes the evidence package and verifies it offline", package)
    return found["document"]


def _referral(teller: Teller) -> None:
    def listed() -> str:
        end = time.monotonic() + _SECONDS
        while True:
            lines = teller.agent(TARGET, "referral", "list").splitlines()
            if lines or time.monotonic() > end:
                break
            time.sleep(0.2)
        if len(lines) != 1:
            raise StoryFailed(f"{len(lines)} referrals instead of one")
        return lines[0].replace("\t", " ")

    def accepted(command: str) -> str:
        name = teller.agent(TARGET, "referral", "list").split("\t")[0]
        return teller.agent(TARGET, "referral", command, name).split("\t")[1]

    teller.step("the referral in the episode is on hospital B's worklist", listed)
    teller.step("hospital B accepts it", lambda: accepted("accept"))
    teller.step("the person arrives", lambda: accepted("arrive"))


def _ledger_and_revocation(teller: Teller, person: dict[str, Any], document: str) -> str:
    found: dict[str, str] = {}

    def ledger() -> str:
        with teller.citizen(person) as channel:
            stub: Any = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)
            request = access_ledger_service_pb2.ListAccessesRequest(person=person["person"])
            lines = stub.ListAccesses(request, timeout=_SECONDS).accesses
        effects = [("permitted" if line.effect == 1 else "refused") for line in lines]
        licences = {line.practitioner_licence for line in lines if line.practitioner_licence}
        found["trace"] = next(line.trace_id for line in lines if line.practitioner_licence)
        return f"{len(lines)} lines: {effects.count('permitted')} permitted, {effects.count('refused')} refused; doctors {sorted(licences)}"

    def revoke() -> str:
        with teller.citizen(person) as channel:
            stub: Any = consent_service_pb2_grpc.ConsentServiceStub(channel)
            listed = stub.ListConsents(
                consent_service_pb2.ListConsentsRequest(person=person["person"]), timeout=_SECONDS
            )
            for consent in listed.consents:
                request = consent_service_pb2.RevokeConsentRequest(
                    request_id="7c6b9f1e-6a9c-4c83-9c55-1c0a6f0f9b11", name=consent.name
                )
                stub.RevokeConsent(request, timeout=_SECONDS)
        return f"{len(listed.consents)} consent withdrawn"

    def refused() -> str:
        text = teller.agent(TARGET, "records", "get", document, "--out", str(teller.folder / "no.xml"), code=1)
        if "OBTAIN_NEW_CONSENT" not in text:
            raise StoryFailed(f"unexpected refusal: {text}")
        return "refused; what would change it: OBTAIN_NEW_CONSENT"

    teller.step("the citizen sees who looked", ledger)
    teller.step("the citizen withdraws consent", revoke)
    teller.step("hospital B tries to read again", refused)
    return found["trace"]


def _trace(endpoints: dict[str, Any], trace: str) -> str:
    spans = wait_for_trace(Path(endpoints["spans"]), trace)
    if not spans:
        raise StoryFailed("no span of the trace arrived")
    lines = tree(spans)
    return f"{trace}\n" + "\n".join("           " + line for line in lines[:60])
