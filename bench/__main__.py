"""`make bench`: streamed intake, single submission and reads through the whole local stack, each with its CPU by process.

Everything runs on this machine at once: client, gateway, five roles and PostgreSQL. The floor of intake is what no design can leave out: hash, verify
and compress each document, in one process without RPC or database.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import zstandard
from google.protobuf.duration_pb2 import Duration
from lienthong.agent.profile import Profile, load_profile
from lienthong.agent.signing.opening import open_signer
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.agent.submission import Outcome, Outgoing, Submitter, message, outgoing
from lienthong.agent.tokens import ClientCredentials
from lienthong.client.channel import connect
from lienthong.consent.v1 import consent_pb2, consent_service_pb2, consent_service_pb2_grpc
from lienthong.records.v1 import (
    document_service_pb2,
    document_service_pb2_grpc,
    intake_service_pb2,
    intake_service_pb2_grpc,
)
from lienthong.samples.generator import Generator
from lienthong.type.v1 import access_context_pb2, document_kind_pb2

from bench.decisions import decision_figures
from bench.keys import key_figures
from bench.log import log_figures
from bench.signatures import signature_figures
from deploy.local.seed import post, sample_person
from deploy.local.suite import LocalStack
from services.signing.formats.xmldsig import verify_xmldsig

OUT = Path(__file__).with_name("out")
SENDER, READER = "89001", "01001"
_TICKS = os.sysconf("SC_CLK_TCK")


def profile_of(stack: LocalStack, code: str) -> Profile:
    """A facility's profile."""
    (path,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == code]
    return load_profile(Path(path))


def channel_of(profile: Profile) -> grpc.aio.Channel:
    """A channel as the agent opens it."""
    tokens = ClientCredentials(
        profile.token_endpoint,
        authority=profile.authority,
        certificate=profile.client_certificate,
        private_key=profile.client_key,
    )
    return connect(
        profile.gateway,
        authority=profile.authority,
        certificate=profile.client_certificate,
        private_key=profile.client_key,
        token=tokens,
    )


def cpu_seconds(stack: LocalStack) -> dict[str, float]:
    """CPU of each process of the stack so far; PostgreSQL with its children."""
    pids = json.loads((stack.folder / "processes.json").read_text("utf-8"))["processes"]
    used = {name: _cpu(pid) for name, (pid, _) in pids.items()}
    postmaster = pids["postgres"][0]
    used["postgres"] += sum(_cpu(child) for child in _children(postmaster))
    used["client"] = time.process_time()
    return used


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # utime, stime and, for a parent, those of the children it has reaped.
    return sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found


def quiet(stack: LocalStack) -> None:
    """Waits until relays and jobs have worked off what was measured before: under a tenth of a core for a second, at most two minutes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        before = sum(cpu_seconds(stack).values())
        time.sleep(1)
        if sum(cpu_seconds(stack).values()) - before < 0.1:
            return


def signed(stack: LocalStack, folder: Path, count: int, seed: int) -> list[Outgoing]:
    """Signed episodes on disk."""
    profile = profile_of(stack, SENDER)
    signer = open_signer(profile.key_source())
    generator = Generator(seed)
    persons = [sample_person(one) for one in stack.endpoints["persons"]]
    documents = []
    for number in range(count):
        episode = generator.episode(persons[number % len(persons)], SENDER, "3176")
        path = folder / f"{seed}-{number}.xml"
        path.write_bytes(sign_envelope(episode.content, signer))
        documents.append(outgoing(path))
    return documents


def floor(documents: Sequence[Outgoing]) -> float:
    """Documents/s of one process that hashes, verifies and compresses, and nothing else."""
    contents = [document.path.read_bytes() for document in documents]
    compressor = zstandard.ZstdCompressor(level=1)
    started = time.perf_counter()
    for content in contents:
        hashlib.sha256(content).digest()
        verify_xmldsig(content)
        compressor.compress(content)
    return len(contents) / (time.perf_counter() - started)


async def stream(stack: LocalStack, documents: Sequence[Outgoing]) -> float:
    """Documents/s through the gateway, each with its durable answer."""
    outcomes: list[Outcome] = []
    channel = channel_of(profile_of(stack, SENDER))
    started = time.perf_counter()
    await Submitter(channel, on_outcomes=outcomes.extend).submit(documents)
    seconds = time.perf_counter() - started
    await channel.close(None)
    refused = [outcome.error for outcome in outcomes if outcome.error]
    if refused or len(outcomes) != len(documents):
        raise SystemExit(f"{len(refused)} documents were refused: {refused[:1]}")
    return len(documents) / seconds


async def unary(stack: LocalStack, documents: Sequence[Outgoing]) -> list[float]:
    """Milliseconds of each single submission, one after the other."""
    channel = channel_of(profile_of(stack, SENDER))
    stub = intake_service_pb2_grpc.IntakeServiceStub(channel)
    taken = []
    for document in documents:
        request = intake_service_pb2.SubmitDocumentRequest(document=message(document))
        started = time.perf_counter()
        await stub.SubmitDocument(request, timeout=20)
        taken.append((time.perf_counter() - started) * 1000)
    await channel.close(None)
    return taken


async def grant(stack: LocalStack, person: dict[str, Any]) -> None:
    """The person lets the reader read everything of one year."""
    endpoints = stack.endpoints
    form = {"grant_type": "password", "username": person["account"], "password": person["pin"]}
    answer = await asyncio.to_thread(post, endpoints["citizen"]["token_endpoint"], form, endpoints["ca"])
    token = str(answer["access_token"])
    channel = connect(endpoints["gateway"]["public_grpc"], authority=Path(endpoints["ca"]), token=token)
    kinds = [number for number in document_kind_pb2.DocumentKind.values() if number]
    terms = consent_pb2.ConsentTerms(
        purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT,
        kinds=kinds,
        permission_duration=Duration(seconds=86400),
        grantee=consent_pb2.Grantee(organization=f"organizations/{READER}"),
    )
    request = consent_service_pb2.GrantConsentRequest(request_id="6f1c0a52-93f4-4c8e-9c55-0d3a4d0c7b11", terms=terms)
    await consent_service_pb2_grpc.ConsentServiceStub(channel).GrantConsent(request, timeout=20)
    await channel.close(None)


async def reads(stack: LocalStack, person: dict[str, Any], count: int) -> dict[str, list[float]]:
    """Milliseconds of document and health-book reads, 4 in flight."""
    channel = channel_of(profile_of(stack, READER))
    stub = document_service_pb2_grpc.DocumentServiceStub(channel)
    context = access_context_pb2.AccessContext(
        purpose=access_context_pb2.PURPOSE_OF_USE_TREATMENT, legal_basis=access_context_pb2.LEGAL_BASIS_CONSENT
    )
    listing = document_service_pb2.ListDocumentsRequest(person=person["person"], context=context, page_size=50)
    documents = (await stub.ListDocuments(listing, timeout=20)).documents
    taken: dict[str, list[float]] = {"document": [], "healthbook": []}

    async def timed(name: str, call: Callable[[], Any]) -> None:
        started = time.perf_counter()
        await call()
        taken[name].append((time.perf_counter() - started) * 1000)

    async def worker(share: int) -> None:
        for number in range(share):
            named = documents[number % len(documents)].name
            one = document_service_pb2.GetDocumentRequest(name=named, context=context)
            await timed("document", lambda one=one: stub.GetDocument(one, timeout=20))  # type: ignore[misc] # bound at once
        for _ in range(max(share // 4, 1)):
            book = document_service_pb2.GetHealthBookRequest(person=person["person"], context=context, page_size=50)
            await timed("healthbook", lambda book=book: stub.GetHealthBook(book, timeout=20))  # type: ignore[misc] # bound at once

    await asyncio.gather(*(worker(count // 4) for _ in range(4)))
    await channel.close(None)
    return taken


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile of measured values, no interpolation."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def split(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """CPU milliseconds per operation by process."""
    return {name: round((after[name] - before.get(name, 0.0)) * 1000 / count, 3) for name in after}


async def measure(stack: LocalStack, folder: Path, size: int, repeats: int) -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {}
    await stream(stack, await asyncio.to_thread(signed, stack, folder, 100, 1))
    rates, floors, cpu = [], [], {}
    for repeat in range(repeats):
        documents = await asyncio.to_thread(signed, stack, folder, size, 100 + repeat)
        floors.append(await asyncio.to_thread(floor, documents))
        before = cpu_seconds(stack)
        rates.append(await stream(stack, documents))
        # With what follows each document: log, proof, slips, delivery to the insurer.
        await asyncio.to_thread(quiet, stack)
        cpu = split(before, cpu_seconds(stack), size)
    ratios = [rate / base for rate, base in zip(rates, floors, strict=True)]
    figures["intake.xmldsig.documents_per_s"] = figure(rates, "1/s", size) | {"cpu_ms_per_document": cpu}
    figures["intake.xmldsig.over_floor_1_process"] = figure(ratios, "ratio", size) | {
        "peer": "hash + verify + zstd in one process",
        "peer_raw": [round(base, 1) for base in floors],
    }
    documents = await asyncio.to_thread(signed, stack, folder, 60, 7)
    before = cpu_seconds(stack)
    singles = await unary(stack, documents)
    figures["submit.unary.p50_ms"] = figure([percentile(singles, 0.5)], "ms", 60) | {
        "cpu_ms_per_document": split(before, cpu_seconds(stack), 60)
    }
    figures["submit.unary.p99_ms"] = figure([percentile(singles, 0.99)], "ms", 60)
    person = stack.endpoints["persons"][0]
    await grant(stack, person)
    await asyncio.to_thread(quiet, stack)
    before = cpu_seconds(stack)
    taken = await reads(stack, person, 400)
    used = split(before, cpu_seconds(stack), sum(map(len, taken.values())))
    for name, values in taken.items():
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            figures[f"read.{name}.{label}_ms"] = figure([percentile(values, share)], "ms", len(values))
    figures["read.document.p50_ms"]["cpu_ms_per_read"] = used
    return figures


def figure(raw: Sequence[float], unit: str, size: int) -> dict[str, Any]:
    """One figure: the median of its repeats, with all of them."""
    return {
        "value": round(statistics.median(raw), 3),
        "unit": unit,
        "size": size,
        "raw": [round(one, 3) for one in raw],
    }


def main() -> None:
    """Runs the benchmarks and writes bench/out/figures.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="larger sizes and more repeats")
    full: bool = parser.parse_args().full
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder) / "stack") as stack:
        figures = asyncio.run(measure(stack, Path(folder), 2000 if full else 500, 5 if full else 3))
    figures |= log_figures(full, figure)
    figures |= signature_figures(full, figure)
    figures |= key_figures(full, figure)
    figures |= decision_figures(full, figure)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    OUT.mkdir(exist_ok=True)
    report = {"machine": machine, "figures": figures}
    (OUT / "figures.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    for name, one in figures.items():
        print(f"{name:<40}{one['value']:>12} {one['unit']:<6} {one['raw']}")
        for extra in ("cpu_ms_per_document", "cpu_ms_per_read"):
            if extra in one:
                print(f"{'':<40}CPU ms each: {one[extra]}")


if __name__ == "__main__":
    main()
