"""A signing key in a PKCS#11 token: a USB token of a licensed authority, an HSM, SoftHSM. The key never leaves it.

Documents are hashed here and only digests go to the token, because tokens are slow and many know no other way (CKM_RSA_PKCS,
CKM_RSA_PKCS_PSS and CKM_ECDSA are what all of them have).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from lienthong.agent.signing.signer import (
    PSS,
    KeyAlgorithm,
    SigningError,
    TokenCertificateMissing,
    TokenKeyMissing,
    TokenPinWrong,
    TokenUnavailable,
)

try:
    import pkcs11
    from pkcs11 import exceptions as faults
except ImportError as missing:  # the extra `pkcs11` is for those who have a token
    raise TokenUnavailable("PKCS#11 needs the extra `pkcs11` of the package") from missing

_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What stands before a SHA-256 digest in a PKCS#1 v1.5 signature (RFC 8017 §9.2)."""

_LOST = (
    faults.SessionHandleInvalid,
    faults.SessionClosed,
    faults.DeviceRemoved,
    faults.DeviceError,
    faults.TokenNotPresent,
    faults.UserNotLoggedIn,
    faults.KeyHandleInvalid,
    faults.ObjectHandleInvalid,
)
_MOST_CERTIFICATES = 8
_P256_BYTES = 32


class TokenSigner:
    """A key of a token behind the `Signer` port; safe to share between threads, which take turns.

    A session that was lost, because the token was pulled out or the HSM restarted, is opened again once per signature. Every value is
    checked against the certificate before it is given away: a wrong pair of key and certificate, and a faulty token, show at once.
    """

    def __init__(
        self,
        module: Path,
        token: str,
        pin: str,
        *,
        key: str = "",
        key_id: bytes = b"",
        certificate: Path | None = None,
        pss: bool = False,
    ) -> None:
        """Logs in. The key is found by label, id or both, and needs neither where the token holds one.

        Raises TokenUnavailable, TokenPinWrong, TokenKeyMissing or TokenCertificateMissing.
        """
        self._module, self._token, self._pin = module, token, pin
        self._wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
            **({pkcs11.Attribute.LABEL: key} if key else {}),
            **({pkcs11.Attribute.ID: key_id} if key_id else {}),
        }
        self._lock = threading.Lock()
        self._session, self._key = self._open()
        self.certificate, self.chain = self._certificates(certificate, key)
        self._public, self.algorithm = _public_key(self.certificate, pss)

    def sign(self, data: bytes) -> bytes:
        """Signs as the port says. Raises TokenUnavailable, TokenPinWrong, TokenKeyMissing or SigningError."""
        digest = hashlib.sha256(data).digest()
        with self._lock:
            try:
                value = self._value(digest)
            except _LOST:
                self._close()
                self._session, self._key = self._open()
                value = self._again(digest)
            except pkcs11.PKCS11Error as error:
                raise TokenUnavailable(f"token {self._token}: signing failed, {type(error).__name__}") from error
        self._check(value, data)
        return value

    def close(self) -> None:
        """Logs out; the signer cannot be used afterwards."""
        with self._lock:
            self._close()

    def _again(self, digest: bytes) -> bytes:
        try:
            return self._value(digest)
        except pkcs11.PKCS11Error as error:
            raise TokenUnavailable(f"token {self._token}: signing failed, {type(error).__name__}") from error

    def _value(self, digest: bytes) -> bytes:
        if self.algorithm is KeyAlgorithm.RSA:
            return bytes(self._key.sign(_SHA256_DIGEST_INFO + digest, mechanism=pkcs11.Mechanism.RSA_PKCS))
        if self.algorithm is KeyAlgorithm.RSA_PSS:
            parameters = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, 32)
            mechanism = pkcs11.Mechanism.RSA_PKCS_PSS
            return bytes(self._key.sign(digest, mechanism=mechanism, mechanism_param=parameters))
        return bytes(self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    def _check(self, value: bytes, data: bytes) -> None:
        try:
            if isinstance(self._public, rsa.RSAPublicKey):
                pss = self.algorithm is KeyAlgorithm.RSA_PSS
                self._public.verify(value, data, PSS if pss else padding.PKCS1v15(), hashes.SHA256())
                return
            if len(value) != 2 * _P256_BYTES:
                raise InvalidSignature
            r, s = int.from_bytes(value[:_P256_BYTES], "big"), int.from_bytes(value[_P256_BYTES:], "big")
            self._public.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise TokenCertificateMissing(f"token {self._token}: the certificate is not of this key") from error

    def _open(self) -> tuple[Any, Any]:
        try:
            session = _logged_in(_library(self._module).get_token(token_label=self._token), self._pin)
        except (faults.PinIncorrect, faults.PinInvalid, faults.PinLenRange, faults.PinExpired) as error:
            raise TokenPinWrong(f"token {self._token}: the PIN is wrong") from error
        except faults.PinLocked as error:
            raise TokenPinWrong(f"token {self._token}: locked after too many wrong PINs") from error
        except faults.NoSuchToken as error:
            raise TokenUnavailable(f"token {self._token}: not there; is it plugged in?") from error
        except faults.MultipleTokensReturned as error:
            raise TokenUnavailable(f"token {self._token}: more than one has this label") from error
        except pkcs11.PKCS11Error as error:
            raise TokenUnavailable(f"token {self._token}: {type(error).__name__}") from error
        try:
            found = list(session.get_objects(self._wanted))
        except pkcs11.PKCS11Error as error:
            session.close()
            raise TokenUnavailable(f"token {self._token}: {type(error).__name__}") from error
        if len(found) != 1:
            session.close()
            many = "more than one key fits: give label and id" if found else "no such private key"
            raise TokenKeyMissing(f"token {self._token}: {many}")
        return session, found[0]

    def _close(self) -> None:
        try:
            self._session.close()
        except pkcs11.PKCS11Error:
            # A session that is gone already needs no closing.
            return

    def _certificates(self, file: Path | None, label: str) -> tuple[bytes, Sequence[bytes]]:
        if file is not None:
            try:
                found = [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(file.read_bytes())]
            except (OSError, ValueError) as error:
                self._close()
                raise TokenCertificateMissing(f"{file.name}: no certificate in PEM") from error
            return found[0], tuple(found[1:_MOST_CERTIFICATES])
        try:
            in_token = list(self._session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE}))
            own = [one for one in in_token if one[pkcs11.Attribute.ID] == self._key[pkcs11.Attribute.ID]]
            own = own or [one for one in in_token if label and one[pkcs11.Attribute.LABEL] == label]
            values = [bytes(one[pkcs11.Attribute.VALUE]) for one in own]
        except pkcs11.PKCS11Error as error:
            self._close()
            raise TokenUnavailable(f"token {self._token}: {type(error).__name__}") from error
        if len(set(values)) != 1:
            self._close()
            raise TokenCertificateMissing(f"token {self._token}: no certificate of the key, or more than one")
        return values[0], ()


def _library(module: Path) -> Any:
    try:
        return pkcs11.lib(str(module))
    except (RuntimeError, OSError) as error:
        raise TokenUnavailable(f"{module.name}: the PKCS#11 module cannot be loaded") from error


def _logged_in(token: Any, pin: str) -> Any:
    """A session with the user logged in; a program logs in to a token once for all its sessions (PKCS#11 §5.6.8)."""
    try:
        return token.open(user_pin=pin)
    except faults.UserAlreadyLoggedIn:
        return token.open()


def _public_key(certificate: bytes, pss: bool) -> tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, KeyAlgorithm]:
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise TokenCertificateMissing("the certificate of the token's key cannot be read") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return key, KeyAlgorithm.RSA_PSS if pss else KeyAlgorithm.RSA
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, KeyAlgorithm.P256
    raise SigningError("the token's key is neither RSA of at least 2048 bits nor P-256")
