"""The throw-away certificates are what real ones are like, checked by others than who made them."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from deploy.local.pki import DOCUMENT_SIGNING, Pair, Pki, SigningPair
from deploy.local.tokens import TokenIssuer
from services.chassis.clock import FrozenClock
from services.chassis.principal import (
    PrincipalKind,
    TokenExpired,
    TokenForeign,
    TokenInvalid,
    TokenNotBound,
    TokenVerifier,
    load_issuers,
)
from services.chassis.workload import TRUST_DOMAIN
from tests.fixtures.identities import Identities


@pytest.fixture
def own(tmp_path: Path) -> Pki:
    """One of the test's own, so that it may look at every file."""
    return Pki(tmp_path / "pki")


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_role_has_one_identity_and_the_names_it_answers_to(own: Pki) -> None:
    certificate = load(own.workload("identity").certificate)
    assert names(certificate).get_values_for_type(x509.UniformResourceIdentifier) == [TRUST_DOMAIN + "identity"]
    assert names(certificate).get_values_for_type(x509.DNSName) == ["identity.lienthong.internal", "localhost"]
    assert [str(one) for one in names(certificate).get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert usages(certificate) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_facility_is_a_client_only(own: Pki) -> None:
    certificate = load(own.facility("01001").certificate)
    assert names(certificate).get_values_for_type(x509.UniformResourceIdentifier) == [TRUST_DOMAIN + "facility/01001"]
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.content_commitment) == (True, False)


def test_a_certificate_that_was_handed_out_stays_what_it_is(own: Pki) -> None:
    first = own.facility("01001")
    content = first.certificate.read_bytes()
    assert own.facility("01001") == first
    assert own.facility("01001", workload="identity") != first
    assert own.workload("identity") == own.workload("identity")
    signers = [own.signer("01001"), own.signer("01001")]
    assert signers[0].keystore != signers[1].keystore
    assert first.certificate.read_bytes() == content


def handshake(server: Pair, client: Pair | None, authority: Path, host: str) -> str:
    """The peer's URI as the server saw it, over real TLS 1.3; raises ssl.SSLError."""
    accept = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accept.load_cert_chain(server.certificate, server.private_key)
    accept.load_verify_locations(authority)
    accept.verify_mode = ssl.CERT_REQUIRED
    offer = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    offer.load_verify_locations(authority)
    if client is not None:
        offer.load_cert_chain(client.certificate, client.private_key)
    left, right = socket.socketpair()
    seen: list[str] = []

    def serve() -> None:
        try:
            with accept.wrap_socket(left, server_side=True) as secured:
                found = secured.getpeercert() or {}
                seen.extend(value for kind, value in found["subjectAltName"] if kind == "URI")  # type: ignore[misc,str-unpack] # typeshed's union
                secured.sendall(b"1")
        except ssl.SSLError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with offer.wrap_socket(right, server_hostname=host) as secured:
            if secured.recv(1) != b"1":
                raise ssl.SSLError("refused")
    finally:
        thread.join(5)
    return seen[0]


def test_roles_and_facilities_shake_hands(own: Pki, tmp_path: Path) -> None:
    role, facility = own.workload("records"), own.facility("01001")
    assert handshake(role, facility, own.authority, "records.lienthong.internal") == TRUST_DOMAIN + "facility/01001"
    assert handshake(role, own.workload("gateway"), own.authority, "127.0.0.1") == TRUST_DOMAIN + "gateway"
    with pytest.raises(ssl.SSLError):
        handshake(role, facility, own.authority, "identity.lienthong.internal")
    with pytest.raises(ssl.SSLError):
        handshake(role, None, own.authority, "localhost")
    with pytest.raises(ssl.SSLError):
        handshake(role, Pki(tmp_path / "other").facility("01001"), own.authority, "localhost")
    with pytest.raises(ssl.SSLError):
        handshake(facility, role, own.authority, "localhost")


def trusted(own: Pki, signer: SigningPair, at: datetime) -> bool:
    """Whether the library builds a path to the root; its rules for web servers' names do not concern signers."""
    policies = {"ee_policy": ExtensionPolicy.permit_all(), "ca_policy": ExtensionPolicy.webpki_defaults_ca()}
    builder = PolicyBuilder().store(Store([own.signing_root.certificate])).time(at).extension_policies(**policies)
    try:
        chain = (
            builder.build_client_verifier().verify(load(signer.certificate), [own.signing_authority.certificate]).chain
        )
    except VerificationError:
        return False
    return len(chain) == 3


def described(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else "other"


@pytest.mark.parametrize(("algorithm", "key"), [("rsa", "RSA 2048"), ("p256", "EC secp256r1")])
def test_signing_certificates(own: Pki, algorithm: str, key: str) -> None:
    signer = own.signer("01001", algorithm=algorithm)
    certificate = load(signer.certificate)
    assert described(certificate) == key
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.digital_signature, usage.value.content_commitment) == (True, True, True)
    assert (usage.value.key_cert_sign, usage.value.key_encipherment) == (False, False)
    assert usages(certificate) == {DOCUMENT_SIGNING}
    assert certificate.subject.rfc4514_string() == "CN=Facility 01001,C=VN"
    assert signer.certificate_der == certificate.public_bytes(Encoding.DER)
    assert trusted(own, signer, datetime.now(UTC))


def test_the_keystore_opens_with_its_passphrase(own: Pki) -> None:
    signer = own.signer("01001", algorithm="p256")
    opened = pkcs12.load_pkcs12(signer.keystore.read_bytes(), signer.passphrase_file.read_bytes())
    assert opened.cert is not None
    assert opened.cert.certificate == load(signer.certificate)
    assert [one.certificate for one in opened.additional_certs] == [own.signing_authority.certificate]
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(signer.keystore.read_bytes(), b"wrong")


def test_bad_signers_are_bad_in_one_way_each(own: Pki) -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    expired = own.signer("01001", starts=now - 9 * day, ends=now - day)
    early = own.signer("01001", starts=now + day, ends=now + 9 * day)
    forged = own.signer("01001", authority=own.look_alike())
    assert [trusted(own, expired, at) for at in (now - 5 * day, now)] == [True, False]
    assert [trusted(own, early, at) for at in (now, now + 5 * day)] == [False, True]
    assert not trusted(own, forged, now)
    assert load(forged.certificate).issuer == own.signing_authority.certificate.subject
    assert described(load(own.signer("01001", algorithm="rsa1024").certificate)) == "RSA 1024"
    assert usages(load(own.signer("01001", usage=ExtendedKeyUsageOID.CLIENT_AUTH).certificate)) == {
        ExtendedKeyUsageOID.CLIENT_AUTH
    }


def test_secrets_are_closed_to_others(own: Pki) -> None:
    own.workload("identity")
    own.signer("01001")
    own.ed25519("log")
    TokenIssuer("https://tokens.test").save(own.folder / "issuer.jwk")
    assert stat.S_IMODE(own.folder.stat().st_mode) == 0o700
    for path in own.folder.iterdir():
        if path.suffix not in (".crt", ".pem") or b"PRIVATE" in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_named_key_is_made_once(own: Pki) -> None:
    content = own.ed25519("log").read_bytes()
    assert own.ed25519("log").read_bytes() == content
    assert own.ed25519("promise").read_bytes() != content


def test_a_revocation_list_names_who_was_revoked(own: Pki) -> None:
    revoked = load(own.signer("01001").certificate)
    crl = x509.load_der_x509_crl(own.signing_authority.revocation_list(7, [revoked]))
    assert crl.is_signature_valid(own.signing_authority.key.public_key())
    assert crl.get_revoked_certificate_by_serial_number(revoked.serial_number) is not None
    assert crl.get_revoked_certificate_by_serial_number(revoked.serial_number + 1) is None


@pytest.fixture
def verifier(identities: Identities, frozen_clock: FrozenClock) -> TokenVerifier:
    return TokenVerifier(load_issuers(identities.issuers_file), "lienthong", frozen_clock)


def test_good_tokens_are_good(identities: Identities, verifier: TokenVerifier) -> None:
    tokens = identities.tokens
    certificate = identities.metadata(None, "01001")[0][1].split(";")[0].removeprefix("Hash=")
    assert verifier.verify(tokens.facility("01001"), certificate).facility == "01001"
    practitioner = verifier.verify(tokens.practitioner("01001", licence="7"), certificate)
    assert (practitioner.facility, practitioner.licence, practitioner.role) == ("01001", "7", "doctor")
    assert verifier.verify(tokens.citizen("persons/1"), None).person == "persons/1"
    kinds = [PrincipalKind.ADMIN, PrincipalKind.STEWARD, PrincipalKind.AUDITOR, PrincipalKind.MINISTRY]
    made = [tokens.admin(), tokens.steward(), tokens.auditor(), tokens.ministry()]
    assert [verifier.verify(one, None).kind for one in made] == kinds


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("expired", TokenExpired),
        ("not_yet_valid", TokenExpired),
        ("too_long", TokenInvalid),
        ("foreign_issuer", TokenForeign),
        ("forged", TokenInvalid),
        ("altered", TokenInvalid),
        ("wrong_audience", TokenForeign),
        ("unbound", TokenNotBound),
    ],
)
def test_bad_tokens_are_refused_by_name(
    identities: Identities, verifier: TokenVerifier, fault: str, error: type[Exception]
) -> None:
    certificate = identities.metadata(None, "01001")[0][1].split(";")[0].removeprefix("Hash=")
    with pytest.raises(error):
        verifier.verify(getattr(identities.tokens, fault)("01001"), certificate)


def test_a_token_bound_to_another_certificate_is_refused(identities: Identities, verifier: TokenVerifier) -> None:
    certificate = identities.metadata(None, "01001")[0][1].split(";")[0].removeprefix("Hash=")
    with pytest.raises(TokenNotBound):
        verifier.verify(identities.tokens.bound_to("79002", "01001"), certificate)


def test_an_issuer_keeps_its_key_in_a_file(tmp_path: Path) -> None:
    issuer = TokenIssuer("https://tokens.test")
    again = TokenIssuer.load("https://tokens.test", issuer.save(tmp_path / "issuer.jwk"))
    assert again.jwks == issuer.jwks
    # The private part of a key is its member "d".
    assert [sorted(key) for key in issuer.jwks["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]]
