"""A throw-away public-key infrastructure: certificates of workloads and facilities, and a separate hierarchy for document signatures."""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.chassis.workload import TRUST_DOMAIN

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""Extended key usage for document signing (RFC 9336)."""
_LIFE = timedelta(days=365)
_EARLY = timedelta(hours=1)
"""How long before now certificates begin: tests hold them against a moment of their own, minutes ago on a slow machine."""
_OPENSSL_TIME = "%y%m%d%H%M%SZ"
_SIGNING_ROOT = "Throw-away national root"
_SIGNING_AUTHORITY = "Throw-away document signing CA"
_TIME_ROOT = "Throw-away time-stamp root"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """Certificate and key files (PEM); the certificate file holds the chain when there is one."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True)
class SigningPair:
    """A signing certificate: PEM files, and the same as PKCS#12 with its passphrase file."""

    certificate: Path
    private_key: Path
    keystore: Path
    passphrase_file: Path

    @property
    def certificate_der(self) -> bytes:
        """The certificate, DER."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(serialization.Encoding.DER)


class Authority:
    """A certification authority with its key in memory."""

    def __init__(self, name: str, issuer: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        parent = issuer or self
        self.issued: list[x509.Certificate] = []
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(parent.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            # Older than any certificate it issues, those that expired for a test included.
            .not_valid_before(now - 2 * _LIFE)
            .not_valid_after(now + 10 * _LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None if issuer is None else 0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), critical=False)
            .sign(parent.key, hashes.SHA256())
        )

    @property
    def der(self) -> bytes:
        """The certificate, DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        common_name: str,
        key: PrivateKey | ed25519.Ed25519PrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        *,
        starts: datetime | None = None,
        ends: datetime | None = None,
    ) -> x509.Certificate:
        """A certificate of this authority."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(starts or now - _EARLY)
            .not_valid_after(ends or now + _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self.key, hashes.SHA256())
        self.issued.append(certificate)
        return certificate

    def index(self, revoked: dict[int, tuple[datetime, str]] | None = None) -> str:
        """What it issued, as the index file of `openssl ocsp`; `revoked` maps serial numbers to time and reason."""
        lines = []
        for one in self.issued:
            ended = (revoked or {}).get(one.serial_number)
            state = f"{'R' if ended else 'V'}\t{one.not_valid_after_utc:{_OPENSSL_TIME}}\t"
            when = f"{ended[0]:{_OPENSSL_TIME}},{ended[1]}" if ended else ""
            lines.append(
                f"{state}{when}\t{one.serial_number:0{_even(one.serial_number)}X}\tunknown\t/CN={one.serial_number:x}\n"
            )
        return "".join(lines)

    def revocation_list(self, number: int, revoked: list[x509.Certificate], at: datetime | None = None) -> bytes:
        """A CRL, DER, valid for a week (RFC 5280 §5)."""
        now = at or datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - _EARLY)
            .next_update(now + timedelta(days=7))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for certificate in revoked:
            entry = (
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now - _EARLY)
            )
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Pki:
    """All keys of one stack under one folder, mode 0700; private keys, keystores and passphrases have mode 0600.

    A workload and a facility have one certificate each, however often it is asked for; a signer is new every time.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.workload_authority = Authority("Lien Thong throw-away workload CA")
        self.signing_root = Authority(_SIGNING_ROOT)
        self.signing_authority = Authority(_SIGNING_AUTHORITY, self.signing_root)
        self.time_root = Authority(_TIME_ROOT)
        self.authority = folder / "ca.pem"
        self.authority.write_bytes(self.workload_authority.pem)
        self._pairs: dict[str, Pair] = {}
        self._stems: dict[str, int] = {}

    def look_alike(self) -> Authority:
        """An authority of the same name as the one that issues signing certificates, under a root of the same name, and
        with other keys: what a forger would make.
        """
        return Authority(_SIGNING_AUTHORITY, Authority(_SIGNING_ROOT))

    def workload(self, role: str) -> Pair:
        """Certificate of a role: server and client, SPIFFE id, and the names it answers to."""
        names = [
            x509.UniformResourceIdentifier(TRUST_DOMAIN + role),
            x509.DNSName(f"{role}.lienthong.internal"),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._tls(f"workload-{role}", role, names, usages)

    def facility(self, code: str, workload: str = "") -> Pair:
        """Client certificate of a facility; `workload` overrides the path of its SPIFFE id, for tests."""
        path = workload or f"facility/{code}"
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(TRUST_DOMAIN + path)]
        stem = f"facility-{code}" + (f"-as-{workload.replace('/', '-')}" if workload else "")
        return self._tls(stem, f"facility {code}", names, [ExtendedKeyUsageOID.CLIENT_AUTH])

    def server(self, name: str) -> Pair:
        """Server certificate for loopback, without a workload identity."""
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self._tls(f"server-{name}", name, names, [ExtendedKeyUsageOID.SERVER_AUTH])

    def signer(
        self,
        code: str,
        *,
        algorithm: str = "rsa",
        label: str = "",
        authority: Authority | None = None,
        starts: datetime | None = None,
        ends: datetime | None = None,
        usage: x509.ObjectIdentifier = DOCUMENT_SIGNING,
    ) -> SigningPair:
        """Signing certificate of a facility. Algorithms: `rsa` (2048), `rsa1024`, `p256`, `p384`. The rest makes bad ones for tests."""
        key = signing_key(algorithm)
        issuer = authority or self.signing_authority
        usages: list[tuple[x509.ExtensionType, bool]] = [
            (_usage(digital_signature=True, content_commitment=True), True),
            (x509.ExtendedKeyUsage([usage]), False),
        ]
        certificate = issuer.issue(f"Facility {code}", key, usages, starts=starts, ends=ends)
        stem = self._unused(f"signer-{code}-{label or algorithm}")
        pair = self._write(stem, certificate, key)
        passphrase = secrets.token_urlsafe(18).encode()
        encryption = serialization.BestAvailableEncryption(passphrase)
        stored = pkcs12.serialize_key_and_certificates(
            stem.encode(), key, certificate, [issuer.certificate], encryption
        )
        return SigningPair(
            pair.certificate,
            pair.private_key,
            _private(self.folder / f"{stem}.p12", stored),
            _private(self.folder / f"{stem}.passphrase", passphrase),
        )

    def public_authorities(self) -> Path:
        """Folder for `deploy.local.authorities`: an OCSP responder of the signing authority, a time-stamping authority under a root of its
        own, and the lists `root.crl` and `issuer.crl`. Call `publish` after later issues and revocations."""
        folder = self.folder / "authorities"
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (folder / "ocsp.crt").exists():
            signs = (_usage(digital_signature=True), True)
            for stem, authority, purpose in (
                ("ocsp", self.signing_authority, ExtendedKeyUsageOID.OCSP_SIGNING),
                ("tsa", self.time_root, ExtendedKeyUsageOID.TIME_STAMPING),
            ):
                key = ec.generate_private_key(ec.SECP256R1())
                usages = [signs, (x509.ExtendedKeyUsage([purpose]), True)]
                certificate = authority.issue(f"Throw-away {stem}", key, usages)
                (folder / f"{stem}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
                _private(folder / f"{stem}.key", _pkcs8(key))
            (folder / "issuer.crt").write_bytes(self.signing_authority.pem)
            (folder / "time-root.crt").write_bytes(self.time_root.pem)
        self.publish(1, {})
        return folder

    def publish(self, number: int, revoked: dict[int, tuple[datetime, str]]) -> None:
        """Writes the OCSP index and the lists anew; `revoked` maps serial numbers of signers to time and reason of OpenSSL."""
        folder = self.folder / "authorities"
        gone = [one for one in self.signing_authority.issued if one.serial_number in revoked]
        contents = {
            "index.txt": self.signing_authority.index(revoked).encode(),
            "issuer.crl": self.signing_authority.revocation_list(number, gone),
            "root.crl": self.signing_root.revocation_list(number, []),
        }
        for name, content in contents.items():
            partial = folder / f"{name}.part"
            partial.write_bytes(content)
            partial.replace(folder / name)

    def seal(self) -> Pair:
        """Key and certificate of the system's seal over evidence packages; the file holds the chain above it."""
        if "seal" not in self._pairs:
            key = signing_key("p256")
            extensions: list[tuple[x509.ExtensionType, bool]] = [
                (_usage(digital_signature=True, content_commitment=True), True),
                (x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), False),
            ]
            certificate = self.signing_authority.issue("Lien Thong evidence seal", key, extensions)
            pair = self._write("seal", certificate, key)
            with pair.certificate.open("ab") as file:
                file.write(self.signing_authority.pem)
            self._pairs["seal"] = pair
        return self._pairs["seal"]

    def evidence_roots(self) -> dict[str, bytes]:
        """Public keys for verifying evidence packages, PEM by file name: roots of signers and of time-stamps, and the seal's
        own certificate, because its issuer issues others too.
        """
        seal = x509.load_pem_x509_certificates(self.seal().certificate.read_bytes())[0]
        return {
            "authorities": self.signing_root.pem,
            "timestamps": self.time_root.pem,
            "seals": seal.public_bytes(serialization.Encoding.PEM),
        }

    def ed25519(self, name: str) -> Path:
        """A private Ed25519 key, PEM (PKCS#8): one for each name."""
        path = self.folder / f"{name}.pem"
        return path if path.exists() else _private(path, _pkcs8(ed25519.Ed25519PrivateKey.generate()))

    def _tls(
        self, stem: str, common_name: str, names: list[x509.GeneralName], usages: list[x509.ObjectIdentifier]
    ) -> Pair:
        if stem not in self._pairs:
            key = ec.generate_private_key(ec.SECP256R1())
            extensions: list[tuple[x509.ExtensionType, bool]] = [
                (_usage(digital_signature=True), True),
                (x509.ExtendedKeyUsage(usages), False),
                (x509.SubjectAlternativeName(names), False),
            ]
            self._pairs[stem] = self._write(stem, self.workload_authority.issue(common_name, key, extensions), key)
        return self._pairs[stem]

    def _unused(self, stem: str) -> str:
        """The stem, with a number from the second time on: files that were handed out stay what they are."""
        self._stems[stem] = self._stems.get(stem, 0) + 1
        return stem if self._stems[stem] == 1 else f"{stem}-{self._stems[stem]}"

    def _write(self, stem: str, certificate: x509.Certificate, key: PrivateKey) -> Pair:
        path = self.folder / f"{stem}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return Pair(path, _private(self.folder / f"{stem}.key", _pkcs8(key)))


def signing_key(algorithm: str) -> PrivateKey:
    """A key by name."""
    if algorithm.startswith("rsa"):
        return rsa.generate_private_key(65537, int(algorithm.removeprefix("rsa") or "2048"))
    return ec.generate_private_key(ec.SECP384R1() if algorithm == "p384" else ec.SECP256R1())


def _pkcs8(key: PrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption())


def _private(path: Path, content: bytes) -> Path:
    """Writes a secret; the file is closed to others from its first moment, and no other file is ever overwritten."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


def _even(serial: int) -> int:
    """Digits of a serial number in whole octets, as OpenSSL writes them."""
    return (serial.bit_length() + 7) // 8 * 2


def _name(common_name: str) -> x509.Name:
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "VN")
    return x509.Name([country, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
