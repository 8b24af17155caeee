"""Signatures with a facility's key: XMLDSig inside CHUKYDONVI and detached CMS (CAdES-B), over a key that a `Signer`
holds.
"""

from __future__ import annotations

from lienthong.agent.signing.signer import (
    DocumentUnsignable,
    KeyAlgorithm,
    KeystoreInvalid,
    Pkcs12Signer,
    Signer,
    SigningError,
)

__all__ = ["DocumentUnsignable", "KeyAlgorithm", "KeystoreInvalid", "Pkcs12Signer", "Signer", "SigningError"]
