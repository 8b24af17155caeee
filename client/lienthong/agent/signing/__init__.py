"""Signatures with a facility's or a practitioner's key, over a key that a `Signer` holds: XMLDSig and XAdES, CMS (CAdES), JWS (JAdES) and
PAdES.
"""

from __future__ import annotations

from lienthong.agent.signing.signer import (
    DocumentUnsignable,
    KeyAlgorithm,
    KeystoreInvalid,
    Pkcs12Signer,
    Signer,
    SigningError,
    TokenCertificateMissing,
    TokenKeyMissing,
    TokenPinWrong,
    TokenUnavailable,
)

__all__ = [
    "DocumentUnsignable",
    "KeyAlgorithm",
    "KeystoreInvalid",
    "Pkcs12Signer",
    "Signer",
    "SigningError",
    "TokenCertificateMissing",
    "TokenKeyMissing",
    "TokenPinWrong",
    "TokenUnavailable",
]
