"""Trusted lists of ETSI TS 119 612: what a signed list says, once its signature holds. Pure: it fetches nothing.

Read are the canonical bytes that were signed, never the file. Of the services only certification authorities and
time-stamping authorities count, and of their identities only certificates of authorities."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from lxml import etree

from services.signing import certificates
from services.signing.formats.facts import Finding, SignatureFacts
from services.signing.formats.markup import parse_document
from services.signing.formats.xmldsig import Holder, verify_xmldsig
from services.signing.model import AuthorityPurpose
from services.signing.policy import SignaturePolicy

LARGEST_LIST = 8 * 1024 * 1024
"""Longest list that is looked at, in bytes."""
MOST_SERVICES = 2000
CLOCK_SKEW = timedelta(minutes=5)

_TSL = "{http://uri.etsi.org/02231/v2#}"
_TYPES = "http://uri.etsi.org/TrstSvc/Svctype/"
_STATUSES = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"
_PURPOSES = {
    _TYPES + "CA/QC": AuthorityPurpose.SIGNING,
    _TYPES + "CA/PKC": AuthorityPurpose.SIGNING,
    _TYPES + "NationalRootCA-QC": AuthorityPurpose.SIGNING,
    _TYPES + "TSA": AuthorityPurpose.TIMESTAMPING,
    _TYPES + "TSA/QTST": AuthorityPurpose.TIMESTAMPING,
    _TYPES + "TSA/TSS-QC": AuthorityPurpose.TIMESTAMPING,
}
_GRANTED = frozenset({_STATUSES + "granted", _STATUSES + "recognisedatnationallevel"})
_WITHDRAWN = frozenset({_STATUSES + "withdrawn", _STATUSES + "deprecatedatnationallevel"})
_VERSIONS = frozenset({"5", "6"})


class TrustedListRefused(Exception):
    """A list that proves nothing; `reason` is a stable UPPER_SNAKE name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ListedAuthority:
    """An authority on a list, trusted until `withdrawn_at`; None for no end."""

    certificate: x509.Certificate
    purpose: AuthorityPurpose
    withdrawn_at: datetime | None


@dataclass(frozen=True)
class TrustedList:
    """What a list says of itself and of authorities; `sha256` is that of the file."""

    territory: str
    sequence: int
    issued_at: datetime
    next_update: datetime
    sha256: str
    authorities: Sequence[ListedAuthority]


def read_trusted_list(
    content: bytes, operators: Sequence[x509.Certificate], policy: SignaturePolicy, now: datetime
) -> TrustedList:
    """Reads a list that one of the scheme operators signed; raises TrustedListRefused."""
    if len(content) > LARGEST_LIST:
        raise TrustedListRefused("TOO_LARGE")
    try:
        facts = verify_xmldsig(content, Holder.TRUST_LIST)
        _check_operator(facts, operators, policy, now)
        root = parse_document(facts.covered)
    except Finding as finding:
        raise TrustedListRefused(finding.reason) from finding
    try:
        return _read(root, content, now)
    except (ValueError, binascii.Error) as error:
        raise TrustedListRefused("CONTENT_UNREADABLE") from error


def _check_operator(
    facts: SignatureFacts, operators: Sequence[x509.Certificate], policy: SignaturePolicy, now: datetime
) -> None:
    """Signed with a certificate that is registered as such; its path does not matter (TS 119 612 §5.7.1)."""
    for operator in operators:
        if certificates.encoded(operator) == facts.signer_certificate_der:
            certificates.check_time(operator, now)
            starts = operator.not_valid_before_utc
            policy.check_algorithm(facts.algorithm, certificates.key_size(operator), now, starts)
            policy.check_algorithm(facts.digest_algorithm, 0, now, starts)
            return
    raise TrustedListRefused("OPERATOR_UNKNOWN")


def _read(root: etree._Element, content: bytes, now: datetime) -> TrustedList:
    scheme = _one(root, "SchemeInformation")
    if _text(scheme, "TSLVersionIdentifier") not in _VERSIONS:
        raise TrustedListRefused("VERSION_UNSUPPORTED")
    issued_at = _time(_text(scheme, "ListIssueDateTime"))
    next_update = _time(_text(_one(scheme, "NextUpdate"), "dateTime"))
    if issued_at > now + CLOCK_SKEW:
        raise TrustedListRefused("NOT_YET_ISSUED")
    if next_update <= now:
        raise TrustedListRefused("OUT_OF_DATE")
    territory = _text(scheme, "SchemeTerritory")
    sequence = int(_text(scheme, "TSLSequenceNumber"))
    if not 2 <= len(territory) <= 16 or not territory.isascii() or not 1 <= sequence < 2**31:
        raise TrustedListRefused("CONTENT_UNREADABLE")
    listed = tuple(_services(root))
    return TrustedList(territory, sequence, issued_at, next_update, hashlib.sha256(content).hexdigest(), listed)


def _services(root: etree._Element) -> Iterator[ListedAuthority]:
    for number, service in enumerate(root.iter(f"{_TSL}ServiceInformation")):
        if number >= MOST_SERVICES:
            raise TrustedListRefused("TOO_MANY_SERVICES")
        purpose = _PURPOSES.get(_text(service, "ServiceTypeIdentifier"))
        status = _text(service, "ServiceStatus")
        if purpose is None or status not in _GRANTED | _WITHDRAWN:
            continue
        since = _time(_text(service, "StatusStartingTime"))
        for element in service.iter(f"{_TSL}X509Certificate"):
            certificate = certificates.load(base64.b64decode("".join((element.text or "").split()), validate=True))
            if certificates.is_authority(certificate):
                yield ListedAuthority(certificate, purpose, since if status in _WITHDRAWN else None)


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(f"{_TSL}{name}")
    if len(found) != 1:
        raise TrustedListRefused("CONTENT_UNREADABLE")
    return found[0]


def _text(parent: etree._Element, name: str) -> str:
    return (_one(parent, name).text or "").strip()


def _time(text: str) -> datetime:
    """A time in UTC, as lists have them (TS 119 612 §5.1.3)."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
