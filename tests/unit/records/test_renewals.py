"""Archive time-stamps: made in time, over everything, by many documents together; and verified by whoever has the keys."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from lienthong.client.evidence import EvidenceError, verify_package
from lienthong.client.evidence.container import unpack
from lienthong.client.evidence.record import Record, plan
from lienthong.client.evidence.timestamps import open_token
from lienthong.client.tlog.proof import TlogProof

from deploy.local.pki import Pki
from services.chassis.principal import Principal, PrincipalKind
from services.records.convert.evidence import verdict_messages
from services.records.convert.intake import answer_message
from services.records.convert.package import AsicPackage
from services.records.convert.peers import verdict_in
from services.records.formats.asic import Member, manifest, record_names
from services.records.formats.xml130 import Xml130Format
from services.records.model import Accepted, AccessContext, Permission
from services.records.ports import TimestampUnavailable
from services.records.proof import AlgorithmRule, ArchiveStamp, TimestampedCheckpoint
from services.records.service.documents import ALL_KINDS, DocumentService
from services.records.service.packages import PackageService
from services.records.service.renewals import NoDigestLasts, Renewals, protected_until
from services.records.service.verdicts import VerdictService
from services.records.signatures import SignatureForm
from tests.fakes.evidence_packages import World
from tests.fakes.records_memory import MemoryStore
from tests.fakes.records_ports import RULES, FakeConsent, FakeSigning
from tests.fakes.records_samples import FACILITY, answers
from tests.unit.records.conftest import no_span

DAY, YEAR = timedelta(days=1), timedelta(days=365)
MARGIN = 90 * DAY


class Tsa:
    """OpenSSL's time-stamping authority behind the port."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stamps = 0
        self.down = False

    async def stamp(self, data: bytes, digest: str) -> ArchiveStamp:
        if self.down:
            raise TimestampUnavailable("UNREACHABLE")
        self.stamps += 1
        token = self.world.timestamp(data, digest)
        opened = open_token(token, self.world.trust.timestamp_authorities)
        # As an authority with a certificate of ten years.
        return ArchiveStamp(token, opened.time, f"ecdsa-p256-{digest}", 0, self.world.now + 10 * YEAR)


class House:
    def __init__(self, world: World) -> None:
        self.world, self.clock = world, world.clock
        self.store, self.signing, self.tsa = MemoryStore(), FakeSigning(), Tsa(world)
        self.consent = FakeConsent(permissions=(Permission(ALL_KINDS),))
        form = AsicPackage(world.seal)
        documents = DocumentService(self.store, self.consent, no_span, 6, self.clock)
        self.packages = PackageService(documents, self.store, self.signing, form)
        self.job = Renewals(
            store=self.store,
            packages=self.packages,
            form=form,
            signing=self.signing,
            authority=self.tsa,
            formats={"XML130": Xml130Format()},
            clock=self.clock,
            margin=MARGIN,
        )

    async def keep(self, seed: int) -> Accepted:
        """A signed document with its evidence, in the log under a time-stamped checkpoint."""
        world = self.world
        document = world.signed((SignatureForm.CMS_DETACHED,), seed)
        pieces = world.pieces()
        verdict = verdict_in(world.verdict(document, pieces))
        incoming = replace(document.incoming, document_id=f"d{seed}")
        document = replace(document, incoming=incoming, verdict=verdict, verified_at=world.now)
        (done,) = await self.store.store([document], [], answers(world.clock).finish)
        self.signing.pieces.update({one.sha256: one for one in pieces.values()})
        self.signing.verdicts[incoming.document_id] = verdict
        proof, checkpoint = world.logged(answer_message(done.answer).receipt.entry)
        place = (FACILITY, document.id)
        await self.store.place({place: TlogProof.parse(proof).index})
        await self.store.prove({place: proof}, world.now)
        self.signing.checkpoint = TimestampedCheckpoint(checkpoint, world.timestamp(checkpoint.encode()), proof)
        return document

    async def package(self, of: Accepted) -> bytes:
        reader = Principal(PrincipalKind.FACILITY, "facility:79001", facility="79001")
        content, _ = await self.packages.get(reader, of.id, AccessContext(1, 1))
        return content

    async def verified(self, of: Accepted) -> list[tuple[int, str]]:
        self.signing.checkpoint = None
        report = verify_package(await self.package(of), self.world.trust, now=self.clock() + DAY)
        return [(one.number, one.digest) for one in report.renewals]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(Pki(tmp_path_factory.mktemp("pki")))


@pytest.fixture
def house(shared: World) -> House:
    shared.clock = type(shared.clock)(shared.now)
    return House(shared)


async def test_nothing_is_renewed_before_its_time(house: House) -> None:
    one = await house.keep(1)
    assert await house.job.once() == 0
    house.clock.advance(YEAR - MARGIN - DAY)
    assert await house.job.once() == 0
    assert await house.verified(one) == []
    assert house.tsa.stamps == 0


async def test_documents_share_one_time_stamp_and_each_package_verifies_alone(house: House) -> None:
    documents = [await house.keep(seed) for seed in (1, 2, 3)]
    house.signing.checkpoint = None
    house.clock.advance(YEAR - MARGIN + DAY)
    assert await house.job.once() == 3
    assert house.tsa.stamps == 1
    assert await house.job.once() == 0
    for one in documents:
        assert await house.verified(one) == [(1, "sha256")]
        record, later = await VerdictService(house.store).list(FACILITY, one.id)
        assert [message.occasion for message in verdict_messages(record, later)] == ["RECEIVED", "RESEALED"]
    assert house.signing.cases[-1].existed_at == house.world.now
    (kept,) = await house.store.renewals(FACILITY, documents[0].id)
    assert kept.protected_until == house.world.now + 10 * YEAR


async def test_a_renewal_protects_the_ones_before_it(house: House) -> None:
    one = await house.keep(1)
    house.signing.checkpoint = None
    house.clock.advance(YEAR)
    assert await house.job.once() == 1
    assert await house.store.end_protection(datetime.max.replace(tzinfo=UTC), house.clock(), 10) == 1
    # SHA-256 is about to end: the next one is over SHA-512.
    house.signing.rules = tuple(
        AlgorithmRule(rule.name, 0, house.clock() + MARGIN if rule.name == "sha256" else None) for rule in RULES
    )
    assert await house.job.once() == 1
    assert await house.verified(one) == [(1, "sha256"), (2, "sha512")]


async def test_every_change_of_a_renewal_is_found(house: House) -> None:
    one = await house.keep(1)
    house.signing.checkpoint = None
    house.clock.advance(YEAR)
    await house.job.once()
    other = await house.keep(2)
    house.signing.checkpoint = None
    house.clock.advance(YEAR)
    await house.job.once()
    members = unpack(await house.package(one))
    stranger = unpack(await house.package(other))
    listing, record = "META-INF/ASiCEvidenceRecordManifest1.xml", "META-INF/evidencerecord1.ers"
    cases = {
        "another document's record": {**members, record: stranger[record]},
        "another document's renewal": {**members, record: stranger[record], listing: stranger[listing]},
        "a listing without a file": {
            **members,
            listing: members[listing].replace(b"verdicts/1.json", b"verdicts/7.json"),
        },
        "no record": {name: content for name, content in members.items() if name != record},
        "no listing": {name: content for name, content in members.items() if name != listing},
        "a second without a first": {
            (name.replace("Manifest1", "Manifest2").replace("record1", "record2")): content
            for name, content in members.items()
        },
        "a record that is none": {**members, record: b"\x30\x00"},
        "a later verdict that was changed": {**members, "verdicts/1.json": members["verdicts/1.json"] + b" "},
    }
    for what, changed in cases.items():
        with pytest.raises(EvidenceError) as refused:
            verify_package(house.world.sealed(changed), house.world.trust, now=house.clock() + DAY)
        assert refused.value.reason in ("RENEWAL_INVALID", "MEMBER_MISSING"), what
    verify_package(house.world.sealed(members), house.world.trust, now=house.clock() + DAY)


async def test_a_renewal_that_protects_too_little_or_something_else(house: House) -> None:
    one = await house.keep(1)
    house.signing.checkpoint = None
    members = {
        name: content for name, content in unpack(await house.package(one)).items() if not name.startswith("META-INF/")
    }
    names = record_names(1)

    def renewed(covered: list[str], over: bytes = b"") -> bytes:
        listing = manifest([Member(name, "", members[name]) for name in covered], names[1], "application/ers")
        top, (tree,) = plan([[hashlib.sha256(members[name]).digest() for name in covered]], "sha256")
        record = Record("sha256", tree, house.world.timestamp(over or top)).encode()
        return house.world.sealed({**members, names[0]: listing, names[1]: record})

    def reason(package: bytes) -> str:
        with pytest.raises(EvidenceError) as refused:
            verify_package(package, house.world.trust, now=house.clock() + DAY)
        return refused.value.reason

    report = verify_package(renewed(list(members)), house.world.trust, now=house.clock() + DAY)
    assert len(report.renewals) == 1
    for left_out in ("document.xml", "receipt.json", "verdicts/1.json", "signatures.json"):
        assert reason(renewed([name for name in members if name != left_out])) == "RENEWAL_INVALID"
    assert reason(renewed(list(members), b"something else")) == "RENEWAL_INVALID"


async def test_an_authority_that_is_down_loses_nothing(house: House) -> None:
    one = await house.keep(1)
    house.signing.checkpoint = None
    house.clock.advance(YEAR)
    house.tsa.down = True
    with pytest.raises(TimestampUnavailable):
        await house.job.once()
    house.tsa.down = False
    assert await house.job.once() == 1
    assert await house.verified(one) == [(1, "sha256")]


async def test_a_policy_that_lets_nothing_last_is_told(house: House) -> None:
    await house.keep(1)
    house.clock.advance(YEAR)
    house.signing.rules = (AlgorithmRule("sha256", 0, house.clock()), AlgorithmRule("sha512", 0, house.clock()))
    with pytest.raises(NoDigestLasts):
        await house.job.once()
    house.signing.rules = (*RULES[:3], AlgorithmRule("ecdsa-p256-sha256", 0, house.clock() + DAY))
    with pytest.raises(NoDigestLasts):
        await house.job.once()


def test_a_protection_ends_with_the_first_thing_that_ends(shared: World) -> None:
    now = shared.now
    stamp = ArchiveStamp(b"", now, "rsa-pkcs1v15-sha256", 2048, now + 9 * YEAR)
    rules = (
        AlgorithmRule("sha256", 0, None),
        AlgorithmRule("rsa-pkcs1v15-sha256", 2048, now + 4 * YEAR),
        AlgorithmRule("rsa-pkcs1v15-sha256", 3072, None),
    )
    assert protected_until(stamp, "sha256", rules) == now + 4 * YEAR
    assert protected_until(replace(stamp, key_bits=3072), "sha256", rules) == now + 9 * YEAR
    assert protected_until(replace(stamp, algorithm="md5"), "sha256", rules) < now
    assert isinstance(shared.pki.time_root.certificate, x509.Certificate)
