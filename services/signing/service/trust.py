"""Administering trust: authorities, signing certificates, revocation lists."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

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
    RevocationList,
    RevokedCertificate,
    SignerCertificate,
    SignerState,
    TrustSnapshot,
)
from services.signing.ports import TrustStore

_PAGE = "trust"
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

    async def add_authority(self, kind: AuthorityKind, der: bytes) -> Authority:
        """Puts an authority on the list; an intermediate needs a registered root above it."""
        now = self._clock()
        try:
            certificate = certificates.load(der)
            if not certificates.is_authority(certificate):
                raise CertificateNotAuthority("the certificate is not a certification authority")
            certificates.check_algorithms(certificate)
            certificates.check_time(certificate, now)
            if kind is AuthorityKind.INTERMEDIATE:
                certificates.find_path(certificate, *_parsed(await self._store.snapshot()), now)
            elif certificate.subject != certificate.issuer:
                raise CertificateNotAuthority("a root is issued by itself")
        except Finding as finding:
            raise _error(finding, "trust_anchor.certificate") from finding
        fingerprint = certificates.fingerprint(certificate)
        return await self._store.add_authority(Authority(fingerprint, kind, der, now, certificate.not_valid_after_utc))

    async def authorities(self, page_size: int, page_token: str) -> tuple[Sequence[Authority], str]:
        """A page of authorities and the token of the next."""
        limit = page_limit(page_size)
        after = decode_token(page_token, _PAGE)
        found = await self._store.authorities(after[0] if after else "", limit + 1)
        token = encode_token((found[limit - 1].fingerprint,), _PAGE) if len(found) > limit else ""
        return found[:limit], token

    async def register_signer(self, facility: str, der: bytes) -> SignerCertificate:
        """Registers a facility's certificate, which must be trusted and valid now."""
        if len(facility) != 5 or not facility.isascii() or not facility.isalnum():
            raise InvalidArgument.of(
                FieldViolation("signer_certificate.facility", "a facility code of 5 characters", "FACILITY_INVALID")
            )
        now = self._clock()
        try:
            certificate = certificates.load(der)
            certificates.check_algorithms(certificate)
            certificates.check_purpose(certificate)
            certificates.check_time(certificate, now)
            certificates.find_path(certificate, *_parsed(await self._store.snapshot()), now)
        except Finding as finding:
            raise _error(finding, "signer_certificate.certificate") from finding
        wanted = SignerCertificate(
            certificates.fingerprint(certificate),
            facility,
            der,
            SignerState.ACTIVE,
            now,
            certificate.not_valid_after_utc,
        )
        kept = await self._store.add_signer(wanted)
        if kept.facility != facility:
            raise SignerCertificateExists("the certificate is registered for another facility")
        return kept

    async def signers(
        self, principal: Principal, facility: str, page_size: int, page_token: str
    ) -> tuple[Sequence[SignerCertificate], str]:
        """A page of signing certificates; a facility sees its own only."""
        shown = facility if principal.kind is PrincipalKind.ADMIN else principal.facility or ""
        limit = page_limit(page_size)
        after = decode_token(page_token, shown)
        found = await self._store.signers(shown, after[0] if after else "", limit + 1)
        token = encode_token((found[limit - 1].fingerprint,), shown) if len(found) > limit else ""
        return found[:limit], token

    async def suspend_signer(self, name: str) -> SignerCertificate:
        """Suspends a certificate at once; suspending twice is the same."""
        collection, _, fingerprint = name.partition("/")
        found = await self._store.suspend_signer(fingerprint) if collection == "signerCertificates" else None
        if found is None:
            raise SignerCertificateNotFound("no such certificate")
        return found

    async def import_revocations(self, der: bytes) -> tuple[RevocationList, int]:
        """Imports a CRL; its signature is checked against the registered authorities before anything of it is believed."""
        if len(der) > LARGEST_LIST:
            raise InvalidArgument.of(FieldViolation("revocation_list", "at most 16 MiB", "TOO_LARGE"))
        try:
            parsed = x509.load_der_x509_crl(der)
            number = parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (ValueError, x509.ExtensionNotFound):
            raise RevocationListRefused("not a DER revocation list with a number") from None
        issuer = self._issuer(parsed, await self._store.snapshot())
        if issuer is None or parsed.next_update_utc is None:
            raise RevocationListRefused("not signed by a registered authority, or without a next update")
        entries = [_entry(line) for line in parsed]
        wanted = RevocationList(issuer, number, parsed.last_update_utc, parsed.next_update_utc, der)
        if not await self._store.replace_revocations(wanted, entries):
            raise RevocationListRefused("the list at hand has a number at least as high")
        return wanted, len(entries)

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


def _parsed(snapshot: TrustSnapshot) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    loaded = [(one.kind, x509.load_der_x509_certificate(one.certificate)) for one in snapshot.authorities]
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
