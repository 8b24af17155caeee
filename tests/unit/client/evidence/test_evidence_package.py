"""Evidence packages verify with public keys alone, and every mutation of them fails by name."""

from __future__ import annotations

import io
import json
import random
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from lienthong.client.evidence import EvidenceError, EvidenceReport, EvidenceTrust, verify_package
from lienthong.client.evidence.container import MANIFEST, SEAL, unpack
from lienthong.signing.v1 import verdict_pb2

from deploy.local.pki import Pki
from services.records.formats.asic import Member, pack
from services.records.proof import Occasion
from services.records.signatures import SignatureForm
from tests.fakes.evidence_packages import MINUTE, World, recorded, sha256
from tests.fakes.records_samples import episode
from tests.fixtures.debian import openssl

CMS, BATCH, PART = SignatureForm.CMS_DETACHED, SignatureForm.BATCH, SignatureForm.XADES_DETACHED


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(Pki(tmp_path_factory.mktemp("pki")))


@pytest.fixture(scope="module")
def package(world: World) -> bytes:
    return world.package(CMS, PART, BATCH)


@pytest.fixture
def members(package: bytes) -> dict[str, bytes]:
    return unpack(package)


def verify(package: bytes, world: World, trust: EvidenceTrust | None = None) -> EvidenceReport:
    return verify_package(package, trust or world.trust, now=world.now + MINUTE)


def refused(package: bytes, world: World, trust: EvidenceTrust | None = None) -> str:
    with pytest.raises(EvidenceError) as error:
        verify(package, world, trust)
    return error.value.reason


def test_a_package_verifies_with_public_keys_alone(package: bytes, world: World) -> None:
    report = verify(package, world)
    assert report.receipt.document_checked
    assert report.receipt.leaf_index == 2
    assert report.existed_at is not None
    assert report.sealed_at == world.now
    assert [line.occasion for line in report.verdicts] == ["RECEIVED"]
    assert [(one.form, one.part, one.rechecked) for one in report.signatures] == [
        ("CMS_DETACHED", "", True),
        ("CMS_DETACHED", "XML13", True),
        ("BATCH", "", True),
    ]
    assert report.pieces == 4
    words = str(report)
    assert "verified again" in words
    assert "TOTAL_PASSED" in words


def test_revocation_by_ocsp_and_a_package_without_a_checkpoint(world: World) -> None:
    report = verify(world.package(by_ocsp=True, stamped=False), world)
    assert report.existed_at is None


def test_standard_tools_agree_about_the_seal(package: bytes, world: World, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.testzip() is None
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.extra) == ("mimetype", zipfile.ZIP_STORED, b"")
        archive.extractall(tmp_path)
    # Magic numbers are read at fixed places (ETSI EN 319 162-1 annex A.1).
    assert package[30:38] == b"mimetype"
    assert package[38 : 38 + 31] == b"application/vnd.etsi.asic-e+zip"
    root = tmp_path / "root.pem"
    root.write_bytes(world.pki.signing_root.pem)
    command = [openssl(), "cms", "-verify", "-binary", "-inform", "DER", "-in", str(tmp_path / SEAL)]
    command += ["-content", str(tmp_path / MANIFEST), "-CAfile", str(root), "-purpose", "any", "-out", "/dev/null"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (tmp_path / MANIFEST).write_bytes((tmp_path / MANIFEST).read_bytes() + b" ")
    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode != 0


def test_a_changed_byte_in_any_member_is_found(members: dict[str, bytes], world: World) -> None:
    seen = set()
    for name, content in members.items():
        place = len(content) // 2
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        altered = pack([Member(one, "", changed if one == name else kept) for one, kept in members.items()])
        expected = "SEAL_INVALID" if name in (MANIFEST, SEAL) else "MEMBER_ALTERED"
        assert refused(altered, world) == expected, name
        seen.add(name)
    assert len(seen) > 12


def test_a_member_that_is_taken_away_or_put_in(members: dict[str, bytes], world: World) -> None:
    for name in members:
        left = [Member(one, "", kept) for one, kept in members.items() if one != name]
        expected = {SEAL: "SEAL_INVALID"}.get(name, "MEMBER_MISSING")
        assert refused(pack(left), world) == expected, name
    stray = [Member(one, "", kept) for one, kept in members.items()]
    assert refused(pack([*stray, Member("evidence/stray.cer", "", b"x")]), world) == "MEMBER_UNLISTED"
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = pack([*stray, stray[0]])
    assert refused(twice, world) == "MEMBER_UNLISTED"


def edit(members: dict[str, bytes], name: str, change: Callable[[Any], object]) -> dict[str, bytes]:
    value = json.loads(members[name])
    change(value)
    return {**members, name: json.dumps(value).encode()}


def signature(number: int = 0, **changes: Any) -> Callable[[Any], None]:
    return lambda value: value["verdict"]["signatures"][number].update(changes)


def test_what_only_the_sealer_could_change_is_found_too(members: dict[str, bytes], world: World) -> None:
    """The seal is right in all of these: the other proofs do not rest on it."""
    verdict = "verdicts/1.json"
    crl = next(name for name in members if name.endswith(".crl"))
    other = episode(9).content
    cases: dict[str, tuple[str, dict[str, bytes]]] = {
        "another document": ("RECEIPT_INVALID", {**members, "document.xml": other}),
        "another salt": ("RECEIPT_INVALID", edit(members, "receipt.json", lambda v: v.update(salt="A" * 43 + "="))),
        "no proof": ("CHECKPOINT_INVALID", edit(members, "receipt.json", lambda v: v.update(tlog_proof=None))),
        "no receipt": ("MEMBER_MALFORMED", {**members, "receipt.json": b"\xff"}),
        "an indication": (
            "VERDICT_MISMATCH",
            edit(members, verdict, lambda v: v["verdict"].update(indication="INDICATION_INDETERMINATE")),
        ),
        "an occasion": ("VERDICT_MISMATCH", edit(members, verdict, lambda v: v.update(occasion="RESEALED"))),
        "a control time": (
            "VERDICT_MISMATCH",
            edit(members, verdict, lambda v: v["verdict"].update(control_time="2020-01-01T00:00:00Z")),
        ),
        "a time of making": (
            "VERDICT_MISMATCH",
            edit(members, verdict, lambda v: v.update(create_time="2020-01-01T00:00:00Z")),
        ),
        "a signer": (
            "VERDICT_MISMATCH",
            edit(
                members,
                verdict,
                lambda v: [one.update(signer_certificate_sha256="0" * 64) for one in v["verdict"]["signatures"]],
            ),
        ),
        "no signature time": ("VERDICT_MISMATCH", edit(members, verdict, signature(best_signature_time=None))),
        "a signature time before the certificate": (
            "CHAIN_INVALID",
            edit(members, verdict, signature(best_signature_time="2020-01-01T00:00:00Z")),
        ),
        "a chain cut short": ("CHAIN_INVALID", edit(members, verdict, signature(chain_sha256=[]))),
        "an unknown piece": ("EVIDENCE_MISSING", edit(members, verdict, signature(evidence_sha256=["0" * 64]))),
        "not a verdict": ("MEMBER_MALFORMED", {**members, verdict: b'{"verdict": 3}'}),
        "a revocation time": (
            "REVOCATION_INVALID",
            edit(
                members,
                verdict,
                lambda v: v["verdict"]["signatures"][0]["revocation"].update(this_update="2020-01-01T00:00:00Z"),
            ),
        ),
        "a revocation source": (
            "REVOCATION_INVALID",
            edit(members, verdict, lambda v: v["verdict"]["signatures"][0]["revocation"].update(source="OCSP")),
        ),
        "no revocation": ("REVOCATION_INVALID", edit(members, verdict, signature(revocation=None))),
        "no revocation list": ("EVIDENCE_MISSING", {n: c for n, c in members.items() if n != crl}),
        "another list under the name": ("EVIDENCE_ALTERED", {**members, crl: members[crl] + b"x"}),
        "a piece with no name": ("MEMBER_MALFORMED", {**members, "evidence/x.cer": b"x"}),
        "a signature": ("SIGNATURE_INVALID", {**members, "signatures/1.p7s": members["signatures/2.p7s"]}),
        "a batch place": (
            "SIGNATURE_INVALID",
            edit(members, "signatures.json", lambda v: v[2]["batch"].update(index=0)),
        ),
        "a part": ("SIGNATURE_INVALID", edit(members, "signatures.json", lambda v: v[1].update(part="XML1"))),
        "signatures that are no list": ("MEMBER_MALFORMED", {**members, "signatures.json": b"3"}),
        "a signature that is not listed": ("MEMBER_MALFORMED", {**members, "signatures/9.p7s": b"x"}),
        "a missing signature": ("MEMBER_MISSING", {n: c for n, c in members.items() if n != "signatures/1.p7s"}),
        "a checkpoint": (
            "CHECKPOINT_INVALID",
            {**members, "log/checkpoint.txt": members["log/checkpoint.txt"].replace(b"\n4\n", b"\n5\n")},
        ),
        "a checkpoint proof": ("CHECKPOINT_INVALID", {**members, "log/checkpoint.tlog-proof": b"x"}),
        "a token over something else": ("TIMESTAMP_INVALID", {**members, "log/checkpoint.tst": world.timestamp(b"x")}),
        "no token": ("MEMBER_MISSING", {n: c for n, c in members.items() if n != "log/checkpoint.tst"}),
        "no verdict": ("MEMBER_MISSING", {n: c for n, c in members.items() if n != verdict}),
    }
    for what, (reason, changed) in cases.items():
        assert changed != members, what
        assert refused(world.sealed(changed), world) == reason, what
    verify(world.sealed(members), world)


def test_keys_that_are_not_trusted(package: bytes, world: World, tmp_path: Path) -> None:
    stranger = World(Pki(tmp_path / "stranger"))
    trust, other = world.trust, stranger.trust
    assert refused(package, world, replace(trust, seals=other.seals)) == "SEAL_UNTRUSTED"
    # Whoever signs documents under the same authority cannot seal.
    assert refused(package, world, replace(trust, seals=other.authorities)) == "SEAL_UNTRUSTED"
    assert refused(package, world, replace(trust, receipts=other.receipts)) == "RECEIPT_INVALID"
    assert refused(package, world, replace(trust, authorities=other.authorities)) == "CHAIN_INVALID"
    assert refused(package, world, replace(trust, timestamp_authorities=other.authorities)) == "TIMESTAMP_INVALID"
    # A signer's authority is none for time-stamps.
    assert refused(package, world, replace(trust, timestamp_authorities=trust.authorities)) == "TIMESTAMP_INVALID"
    with pytest.raises(EvidenceError) as early:
        verify_package(package, trust, now=world.now - timedelta(days=1))
    assert early.value.reason == "SEAL_UNTRUSTED"


def test_a_later_verdict_stands_beside_the_first(world: World) -> None:
    document = world.signed((CMS,))
    pieces = world.pieces()
    first = world.verdict(document, pieces)
    failed = type(first)()
    failed.CopyFrom(first)
    failed.indication = verdict_pb2.INDICATION_INDETERMINATE
    failed.reason = "KEY_COMPROMISED"
    failed.signatures[0].indication = verdict_pb2.INDICATION_INDETERMINATE
    later = [recorded(2, Occasion.KEY_COMPROMISED, world.now + MINUTE, failed)]
    contents = world.contents(document, first, tuple(pieces.values()), later=later)
    report = verify(world.build(contents), world)
    assert [(line.occasion, line.indication) for line in report.verdicts] == [
        ("RECEIVED", "TOTAL_PASSED"),
        ("KEY_COMPROMISED", "INDETERMINATE"),
    ]
    backwards = [recorded(2, Occasion.KEY_COMPROMISED, world.now - MINUTE, failed)]
    contents = world.contents(document, first, tuple(pieces.values()), later=backwards)
    assert refused(world.build(contents), world) == "VERDICT_MISMATCH"


def test_a_certificate_that_was_revoked_before_its_signature(tmp_path: Path) -> None:
    world = World(Pki(tmp_path / "pki"))
    document, serial = world.signed((CMS,)), world.signer_serial
    world.pki.publish(2, {serial: (world.now, "keyCompromise")})
    pieces = world.pieces()
    verdict = world.verdict(document, pieces)
    # The verdict passes over the revocation that its own evidence states ...
    contents = world.contents(document, verdict, tuple(pieces.values()))
    assert refused(world.build(contents), world) == "REVOCATION_INVALID"
    # ... or states it and passes all the same.
    revoked = verdict.signatures[0].revocation
    revoked.revocation_time.FromDatetime(world.revoked_at(pieces["revocation"]))
    contents = world.contents(document, verdict, tuple(pieces.values()))
    assert refused(world.build(contents), world) == "REVOCATION_INVALID"
    # Before it was revoked, its signature was good.
    verdict.signatures[0].best_signature_time.FromDatetime(
        world.revoked_at(pieces["revocation"]) - timedelta(seconds=1)
    )
    contents = world.contents(document, verdict, tuple(pieces.values()))
    verify(world.build(contents), world)


def test_junk_is_refused_by_name_whatever_it_is(package: bytes, world: World) -> None:
    chance = random.Random(7)
    cut = len(package)
    for attempt in range(150):
        changed = bytearray(package)
        if attempt % 3 == 0:
            changed = changed[: chance.randrange(cut)]
        for _ in range(1 + attempt % 4):
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            verify(bytes(changed), world)
        except EvidenceError as error:
            assert error.reason
    assert refused(b"", world) == "CONTAINER_INVALID"
    assert refused(pack([]), world) == "MEMBER_MISSING"


def test_members_of_junk_under_a_right_seal(members: dict[str, bytes], world: World) -> None:
    chance = random.Random(11)
    names = [name for name in members if name not in (MANIFEST, SEAL)]
    for attempt in range(120):
        name = names[attempt % len(names)]
        content = bytearray(members[name])
        for _ in range(1 + attempt % 5):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            verify(world.sealed({**members, name: bytes(content)}), world)
        except EvidenceError as error:
            assert error.reason


def test_a_bomb_is_not_unpacked(world: World) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), b"application/vnd.etsi.asic-e+zip")
        archive.writestr("bomb", b"0" * (65 * 1024 * 1024), zipfile.ZIP_DEFLATED)
    assert refused(made.getvalue(), world) == "CONTAINER_INVALID"


def test_the_trust_is_read_from_files(package: bytes, world: World, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    trust = world.trust
    (tmp_path / "trust.policy").write_text(trust.receipts.encode())
    files = {"authorities": trust.authorities, "timestamps": trust.timestamp_authorities, "seals": trust.seals}
    for name, certificates in files.items():
        content = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        (tmp_path / f"{name}.pem").write_bytes(content)
    assert EvidenceTrust.load(tmp_path) == trust
    assert len(sha256(package)) == 64
    verify(package, world, EvidenceTrust.load(tmp_path))
