"""Administering trust: authorities, signing certificates, revocation lists."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from services.chassis.clock import Clock
from services.chassis.errors import DomainError, FieldViolation, InvalidArgument
from services.chassis.paging import decode_token, encode_token, page_limit
from services.chassis.principal import Principal, PrincipalKind
from services.signing import certificates
from services.signing.errors import (
    CertificateAlgorithm,
    CertificateNotAuthority,
    CertificateOutOfBounds,
    CertificateUnreadable,
    CertificateUntrusted,
    RevocationListRefused,
    SignerCertificateExists,
    SignerCertificateNotFound,
)
from services.signing.formats.facts import Finding, SubIndication
from services.signing.model import (
    Authority,
    AuthorityKind,
    AuthorityPurpose,
    RevocationList,
    RevokedCertificate,
    SignerCertificate,
    SignerRole,
    SignerState,
    TrustSnapshot,
    WantedAuthority,
    WantedSigner,
)
from services.signing.ports import TrustStore

_PAGE = "trust"
_FACILITY = "signer_certificate.facility"
_LONGEST_LICENCE = 64
_LONGEST_ADDRESS = 512
LARGEST_LIST = 16 * 1024 * 1024
_ERRORS: dict[SubIndication, type[DomainError]] = {
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: CertificateUnreadable,
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: CertificateAlgorithm,
    SubIndication.OUT_OF_BOUNDS_NO_POE: CertificateOutOfBounds,
}


class TrustService:
    """Use cases of the trust list. Every write is idempotent by nature: a certificate is its own name."""

    def __init__(self, store: TrustStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add_authority(self, wanted: WantedAuthority) -> Authority:
        """Puts an authority on the list; an intermediate needs a registered root of the same purpose above it."""
        now = self._clock()
        wrong = [
            FieldViolation(f"trust_anchor.{field}", "an http or https URL of at most 512 characters", "ADDRESS_INVALID")
            for field, address in (
                ("revocation_list_uri", wanted.revocation_list_uri),
                ("ocsp_uri", wanted.ocsp_uri),
            )
            if address and not _address(address)
        ]
        if wrong:
            raise InvalidArgument.of(*wrong)
        try:
            certificate = certificates.load(wanted.certificate)
            if not certificates.is_authority(certificate):
                raise CertificateNotAuthority("the certificate is not a certification authority")
            certificates.check_algorithms(certificate)
            certificates.check_time(certificate, now)
            if wanted.kind is AuthorityKind.INTERMEDIATE:
                snapshot = await self._store.snapshot()
                certificates.find_path(certificate, *_parsed(snapshot, wanted.purpose), now)
            elif certificate.subject != certificate.issuer:
                raise CertificateNotAuthority("a root is issued by itself")
        except Finding as finding:
            raise _error(finding, "trust_anchor.certificate") from finding
        authority = Authority(
            fingerprint=certificates.fingerprint(certificate),
            kind=wanted.kind,
            certificate=wanted.certificate,
            created_at=now,
            expires_at=certificate.not_valid_after_utc,
            purpose=wanted.purpose,
            revocation_list_uri=wanted.revocation_list_uri,
            ocsp_uri=wanted.ocsp_uri,
            sunset_at=wanted.sunset_at,
        )
        return await self._store.add_authority(authority)

    async def authorities(self, page_size: int, page_token: str) -> tuple[Sequence[Authority], str]:
        """A page of authorities and the token of the next."""
        limit = page_limit(page_size)
        after = decode_token(page_token, _PAGE)
        found = await self._store.authorities(after[0] if after else "", limit + 1)
        token = encode_token((found[limit - 1].fingerprint,), _PAGE) if len(found) > limit else ""
        return found[:limit], token

    async def register_signer(self, wanted: WantedSigner) -> SignerCertificate:
        """Registers a certificate for a facility or for a practitioner there; it must be trusted and valid now."""
        wrong = []
        if len(wanted.facility) != 5 or not wanted.facility.isascii() or not wanted.facility.isalnum():
            wrong.append(FieldViolation(_FACILITY, "a facility code of 5 characters", "FACILITY_INVALID"))
        practitioner = wanted.role is SignerRole.PRACTITIONER
        if practitioner != bool(wanted.licence) or len(wanted.licence) > _LONGEST_LICENCE:
            text = f"1 to {_LONGEST_LICENCE} characters for a practitioner, empty for a facility"
            wrong.append(FieldViolation("signer_certificate.practitioner_licence", text, "LICENCE_INVALID"))
        if wrong:
            raise InvalidArgument.of(*wrong)
        now = self._clock()
        try:
            certificate = certificates.load(wanted.certificate)
            certificates.check_algorithms(certificate)
            certificates.check_purpose(certificate)
            certificates.check_time(certificate, now)
            snapshot = await self._store.snapshot()
            certificates.find_path(certificate, *_parsed(snapshot, AuthorityPurpose.SIGNING), now)
        except Finding as finding:
            raise _error(finding, "signer_certificate.certificate") from finding
        registration = SignerCertificate(
            certificates.fingerprint(certificate),
            wanted.facility,
            wanted.certificate,
            SignerState.ACTIVE,
            now,
            certificate.not_valid_after_utc,
            wanted.role,
            wanted.licence,
        )
        kept = await self._store.add_signer(registration)
        if (kept.facility, kept.role, kept.licence) != (wanted.facility, wanted.role, wanted.licence):
            raise SignerCertificateExists("the certificate is registered for another facility or practitioner")
        return kept

    async def signers(
        self,
        principal: Principal,
        facility: str,
        page_size: int,
        page_token: str,
        state: SignerState | None = None,
    ) -> tuple[Sequence[SignerCertificate], str]:
        """A page of signing certificates; a facility sees its own only."""
        every = principal.kind in (PrincipalKind.ADMIN, PrincipalKind.WORKLOAD)
        shown = facility if every else principal.facility or ""
        bound = f"{shown}|{state.value}" if state else shown
        limit = page_limit(page_size)
        after = decode_token(page_token, bound)
        found = await self._store.signers(shown, after[0] if after else "", limit + 1, state)
        token = encode_token((found[limit - 1].fingerprint,), bound) if len(found) > limit else ""
        return found[:limit], token

    async def suspend_signer(self, name: str) -> SignerCertificate:
        """Suspends a certificate at once; suspending twice is the same."""
        return _found(await self._store.suspend_signer(_fingerprint(name), self._clock()))

    async def report_compromise(self, name: str, since: datetime) -> SignerCertificate:
        """Marks a key compromised since a time, which is not in the future; of several reports the earliest time counts."""
        if since > self._clock():
            raise InvalidArgument.of(FieldViolation("compromise_time", "not in the future", "TIME_IN_FUTURE"))
        return _found(await self._store.compromise_signer(_fingerprint(name), since))

    async def import_revocations(self, der: bytes) -> tuple[RevocationList, int]:
        """Imports a CRL; its signature is checked against the registered authorities before anything of it is believed."""
        wanted, entries = await self._read_list(der)
        if not await self._store.replace_revocations(wanted, entries):
            raise RevocationListRefused("the list at hand has a number at least as high")
        return wanted, len(entries)

    async def refresh_revocations(self, der: bytes) -> bool:
        """As `import_revocations`, for a list that was fetched: False when the one at hand has a number at least as high."""
        return await self._store.replace_revocations(*await self._read_list(der))

    async def _read_list(self, der: bytes) -> tuple[RevocationList, Sequence[RevokedCertificate]]:
        if len(der) > LARGEST_LIST:
            raise InvalidArgument.of(FieldViolation("revocation_list", "at most 16 MiB", "TOO_LARGE"))
        # A list of a hundred thousand lines takes a worker thread, not the loop.
        return await asyncio.to_thread(self._parse_list, der, await self._store.snapshot())

    @classmethod
    def _parse_list(cls, der: bytes, snapshot: TrustSnapshot) -> tuple[RevocationList, Sequence[RevokedCertificate]]:
        try:
            parsed = x509.load_der_x509_crl(der)
            number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            critical = [one.oid for one in parsed.extensions if one.critical]
            entries = [_entry(line) for line in parsed]
            issuer = cls._issuer(parsed, snapshot)
            this_update, next_update = parsed.last_update_utc, parsed.next_update_utc
        except (
            *(ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound),
            *(x509.DuplicateExtension, x509.InvalidVersion),
        ):
            raise RevocationListRefused("not a DER revocation list with a number") from None
        if critical:
            # A delta list or one for some certificates only (RFC 5280 §5.2.4, §5.2.5) would make the others look good.
            raise RevocationListRefused("not a complete list: it has a critical extension")
        if issuer is None or next_update is None:
            raise RevocationListRefused("not signed by a registered authority, or without a next update")
        return RevocationList(issuer, number, this_update, next_update, der), entries

    @staticmethod
    def _issuer(parsed: x509.CertificateRevocationList, snapshot: TrustSnapshot) -> str | None:
        for authority in snapshot.authorities:
            certificate = x509.load_der_x509_certificate(authority.certificate)
            if certificate.subject != parsed.issuer:
                continue
            try:
                if parsed.is_signature_valid(certificate.public_key()):  # type: ignore[arg-type] # authorities hold signing keys only
                    return authority.fingerprint
            except (TypeError, ValueError):
                continue
        return None


def _fingerprint(name: str) -> str:
    collection, _, fingerprint = name.partition("/")
    return fingerprint if collection == "signerCertificates" else ""


def _found(signer: SignerCertificate | None) -> SignerCertificate:
    if signer is None:
        raise SignerCertificateNotFound("no such certificate")
    return signer


def _address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and parts.scheme in ("http", "https") and len(text) <= _LONGEST_ADDRESS and parts.username is None


def _parsed(
    snapshot: TrustSnapshot, purpose: AuthorityPurpose
) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    loaded = [
        (one.kind, x509.load_der_x509_certificate(one.certificate))
        for one in snapshot.authorities
        if one.purpose is purpose
    ]
    roots = [certificate for kind, certificate in loaded if kind is AuthorityKind.ROOT]
    return roots, [certificate for kind, certificate in loaded if kind is AuthorityKind.INTERMEDIATE]


def _entry(line: x509.RevokedCertificate) -> RevokedCertificate:
    reason, invalid_since = "unspecified", None
    for extension in line.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason.value
        elif isinstance(extension.value, x509.InvalidityDate):
            invalid_since = extension.value.invalidity_date_utc
    return RevokedCertificate(f"{line.serial_number:x}", line.revocation_date_utc, reason, invalid_since)


def _error(finding: Finding, field: str) -> DomainError:
    error = _ERRORS.get(finding.sub_indication, CertificateUntrusted)
    return error(finding.text, violations=(FieldViolation(field, finding.text, finding.reason),))
