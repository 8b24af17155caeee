"""How tests reach a running stack as one of its facilities."""

from __future__ import annotations

from pathlib import Path

import grpc
from lienthong.agent.profile import load_profile
from lienthong.agent.signing.opening import open_signer
from lienthong.agent.signing.xmldsig import sign_envelope
from lienthong.agent.submission import Outgoing, outgoing
from lienthong.agent.tokens import ClientCredentials
from lienthong.client.channel import connect
from lienthong.samples.generator import Generator

from deploy.local.seed import sample_person
from deploy.local.suite import LocalStack


def channel_of(stack: LocalStack, facility: str) -> grpc.aio.Channel:
    (path,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == facility]
    profile = load_profile(Path(path))
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


def signed_documents(stack: LocalStack, folder: Path, facility: str, count: int, seed: int) -> list[Outgoing]:
    """Signed episodes on disk; ids are ours, so that a document can be told from its retry."""
    (path,) = [one["profile"] for one in stack.endpoints["facilities"] if one["code"] == facility]
    profile = load_profile(Path(path))
    signer = open_signer(profile.key_source())
    generator = Generator(seed)
    persons = [sample_person(one) for one in stack.endpoints["persons"]]
    documents = []
    for number in range(count):
        episode = generator.episode(persons[number % len(persons)], facility, "3176")
        file = folder / f"d{seed}-{number}.xml"
        file.write_bytes(sign_envelope(episode.content, signer))
        documents.append(outgoing(file))
    return documents
