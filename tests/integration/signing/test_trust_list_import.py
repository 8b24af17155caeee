"""Trusted lists of ETSI TS 119 612, signed by xmlsec1 and signxml, imported into PostgreSQL."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree
from signxml import algorithms
from signxml.xades.xades import XAdESSigner

from deploy.local.pki import Authority, Pki
from services.chassis.database import Database
from services.signing import certificates
from services.signing.errors import TrustListRefused
from services.signing.model import AuthorityKind, AuthorityPurpose
from services.signing.postgres import PostgresTrustStore
from services.signing.service.trust_list import TrustListService
from tests.fixtures.database import DatabaseFor
from tests.fixtures.debian import xmlsec1
from tests.integration.signing.trust_world import DAY, HOUR, NOW, TrustWorld, certificate_of, facts_of, shipped

TSL = "http://uri.etsi.org/02231/v2#"
TYPES, STATUSES = "http://uri.etsi.org/TrstSvc/Svctype/", "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"
Service = tuple[Authority, str, str]
TEMPLATE = (
    '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>'
    '<CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
    '<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><Reference URI=""><Transforms>'
    '<Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
    '<Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></Transforms>'
    '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/></Reference></SignedInfo>'
    "<SignatureValue/><KeyInfo><X509Data><X509Certificate/></X509Data></KeyInfo></Signature>"
)


def text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def listing(
    services: list[Service],
    sequence: int = 7,
    issued: datetime = NOW - DAY,
    due: datetime = NOW + 30 * DAY,
    since: datetime = NOW - DAY,
    version: str = "5",
) -> str:
    entries = "".join(
        f"<TSPService><ServiceInformation><ServiceTypeIdentifier>{kind}</ServiceTypeIdentifier>"
        f"<ServiceDigitalIdentity><DigitalId><X509Certificate>{base64.b64encode(authority.der).decode()}"
        f"</X509Certificate></DigitalId></ServiceDigitalIdentity><ServiceStatus>{STATUSES}{status}</ServiceStatus>"
        f"<StatusStartingTime>{text(since)}</StatusStartingTime></ServiceInformation></TSPService>"
        for authority, kind, status in services
    )
    return (
        f'<TrustServiceStatusList xmlns="{TSL}" TSLTag="http://uri.etsi.org/19612/TSLTag"><SchemeInformation>'
        f"<TSLVersionIdentifier>{version}</TSLVersionIdentifier><TSLSequenceNumber>{sequence}</TSLSequenceNumber>"
        f"<SchemeTerritory>VN</SchemeTerritory><ListIssueDateTime>{text(issued)}</ListIssueDateTime>"
        f"<NextUpdate><dateTime>{text(due)}</dateTime></NextUpdate></SchemeInformation><TrustServiceProviderList>"
        f"<TrustServiceProvider><TSPServices>{entries}</TSPServices></TrustServiceProvider></TrustServiceProviderList>"
        f"</TrustServiceStatusList>"
    )


class Operator:
    """A scheme operator: a key, a certificate, and two independent tools to sign with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = rsa.generate_private_key(65537, 2048)
        issuer = Authority("Ministry of lists")
        self.certificate = issuer.issue("Scheme operator", self.key, [])
        (folder / "key.pem").write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "crt.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def by_xmlsec(self, content: str) -> bytes:
        made = content.replace("</TrustServiceStatusList>", f"{TEMPLATE}</TrustServiceStatusList>")
        (self.folder / "template.xml").write_text(made, "utf-8")
        keys = f"{self.folder}/key.pem,{self.folder}/crt.pem"
        command = [xmlsec1(), "--sign", "--privkey-pem", keys, "--output", "out.xml", "template.xml"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=30)
        return (self.folder / "out.xml").read_bytes()

    def by_signxml(self, content: str) -> bytes:
        signer = XAdESSigner(c14n_algorithm=algorithms.CanonicalizationMethod.CANONICAL_XML_1_0)
        pem = self.certificate.public_bytes(Encoding.PEM).decode()
        root = etree.fromstring(content.encode())
        return etree.tostring(signer.sign(root, key=self.key, cert=pem, always_add_key_value=False))


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture
async def store(database_for: DatabaseFor) -> object:
    async with Database(database_for("signing")) as database:
        yield PostgresTrustStore(database)


@pytest.fixture
def service(store: PostgresTrustStore, operator: Operator) -> TrustListService:
    return TrustListService(store, [operator.certificate], shipped(), lambda: NOW)


@pytest.mark.parametrize("tool", ["by_xmlsec", "by_signxml"])
async def test_granted_becomes_trusted_and_withdrawn_ends(
    service: TrustListService, store: PostgresTrustStore, operator: Operator, pki: Pki, tool: str
) -> None:
    sign: Callable[[str], bytes] = getattr(operator, tool)
    issuer, other = pki.signing_authority, Authority("Another authority")
    services = [(issuer, TYPES + "CA/QC", "granted"), (pki.time_root, TYPES + "TSA/QTST", "granted")]
    unit = Authority("A unit by itself")
    unit.certificate = pki.time_root.issue("A unit by itself", unit.key, [])
    ignored = [
        (other, TYPES + "ACA", "granted"),
        (other, TYPES + "CA/QC", "undersupervision"),
        (unit, TYPES + "TSA/QTST", "granted"),
    ]
    imported = await service.import_list(sign(listing([*services, *ignored])))
    assert (imported.sequence, imported.territory, len(imported.named(withdrawn=False))) == (7, "VN", 2)
    found = {one.fingerprint: one for one in (await store.snapshot()).authorities}
    signing, timing = (found[certificates.fingerprint(one.certificate)] for one in (issuer, pki.time_root))
    assert (signing.kind, signing.purpose, signing.sunset_at) == (AuthorityKind.ROOT, AuthorityPurpose.SIGNING, None)
    assert timing.purpose is AuthorityPurpose.TIMESTAMPING
    assert len(found) == 2

    at = NOW - HOUR
    ended = listing([(issuer, TYPES + "CA/QC", "withdrawn")], sequence=8, since=at)
    assert (await service.import_list(sign(ended))).named(withdrawn=True) == [signing.fingerprint]
    snapshot = await store.snapshot()
    assert {one.sunset_at for one in snapshot.authorities if one.fingerprint == signing.fingerprint} == {at}

    world = TrustWorld(pki)
    world.authorities = list(snapshot.authorities)
    pair = pki.signer("01001", label=f"listed-{tool}", algorithm="p256", starts=NOW - 5 * DAY)
    world.register(pair)
    facts = [facts_of(pair)]
    assert world.judge(facts).reason == "AUTHORITY_SUNSET"
    assert world.judge(facts, existed=at - HOUR).acceptable
    assert certificate_of(pair).issuer == issuer.certificate.subject


async def test_an_older_number_is_refused_and_the_same_list_is_not(
    service: TrustListService, operator: Operator, pki: Pki
) -> None:
    granted = [(pki.signing_authority, TYPES + "CA/QC", "granted")]
    first = operator.by_xmlsec(listing(granted, sequence=7))
    await service.import_list(first)
    await service.import_list(first)
    for sequence, changed in ((6, granted), (7, [])):
        assert await reason(service, operator.by_xmlsec(listing(changed, sequence=sequence))) == "SEQUENCE_OLD"
    await service.import_list(operator.by_xmlsec(listing([], sequence=8)))


async def reason(service: TrustListService, content: bytes) -> str:
    with pytest.raises(TrustListRefused) as caught:
        await service.import_list(content)
    return caught.value.violations[0].reason


async def test_what_is_refused(
    service: TrustListService, store: PostgresTrustStore, operator: Operator, pki: Pki, tmp_path: Path
) -> None:
    granted = [(pki.signing_authority, TYPES + "CA/QC", "granted")]
    good = operator.by_xmlsec(listing(granted))
    tail = b"</TrustServiceStatusList>"
    unsigned = listing(granted).encode()
    moved = good.replace(b"<Signature xmlns", b"<X><Signature xmlns").replace(b"</Signature>", b"</Signature></X>")
    cases = {
        "DIGEST_MISMATCH": good.replace(b"<TSLSequenceNumber>7", b"<TSLSequenceNumber>9"),
        "OPERATOR_UNKNOWN": Operator(tmp_path).by_xmlsec(listing(granted)),
        "SIGNATURE_MISSING": unsigned,
        "SIGNATURE_MISPLACED": moved,
        "XML_MALFORMED": b"not a list",
        "OUT_OF_DATE": operator.by_xmlsec(listing(granted, due=NOW - HOUR)),
        "NOT_YET_ISSUED": operator.by_xmlsec(listing(granted, issued=NOW + DAY)),
        "VERSION_UNSUPPORTED": operator.by_xmlsec(listing(granted, version="4")),
        "CONTENT_UNREADABLE": operator.by_xmlsec(listing(granted).replace(">VN<", ">V<")),
        "DTD_FORBIDDEN": good.replace(b"<TrustServiceStatusList", b"<!DOCTYPE x><TrustServiceStatusList", 1),
    }
    for expected, content in cases.items():
        assert (await reason(service, content)).startswith(expected)
    after = good.replace(tail, b"<X/>" + tail)
    assert await reason(service, after) == "SIGNATURE_MISPLACED"
    assert await store.version() == 0
    expired = TrustListService(store, [operator.certificate], shipped(), lambda: NOW + 400 * DAY)
    late = operator.by_xmlsec(listing(granted, due=NOW + 500 * DAY))
    assert await reason(expired, late) == "CERTIFICATE_EXPIRED"
    nobody = TrustListService(store, [], shipped(), lambda: NOW)
    assert await reason(nobody, good) == "OPERATOR_UNKNOWN"


async def test_weak_authorities_are_left_out(
    service: TrustListService, store: PostgresTrustStore, operator: Operator, pki: Pki
) -> None:
    weak = Authority("Weak")
    weak.key = ec.generate_private_key(ec.BrainpoolP256R1())
    builder = x509.CertificateBuilder().subject_name(weak.name).issuer_name(weak.name)
    builder = builder.public_key(weak.key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + timedelta(days=9))
    for extension in weak.certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    weak.certificate = builder.sign(pki.signing_root.key, hashes.SHA256())
    imported = await service.import_list(operator.by_xmlsec(listing([(weak, TYPES + "CA/QC", "granted")])))
    assert imported.authorities == ()
    assert not (await store.snapshot()).authorities
