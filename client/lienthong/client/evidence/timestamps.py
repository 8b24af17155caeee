"""RFC 3161 time-stamp tokens: imprint, signature, authority and purpose (RFC 3161 §2.4.2, RFC 5816)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from lienthong.client.evidence import signed_data
from lienthong.client.evidence.certificates import CertificateRefused, check_chain, find_chain, has_purpose, load
from lienthong.client.evidence.der import SEQUENCE, DerInvalid, read
from lienthong.client.evidence.signed_data import DIGESTS, SignedDataInvalid

_TST_INFO = "1.2.840.113549.1.9.16.1.4"


class TokenRefused(ValueError):
    """A time-stamp does not hold."""


@dataclass(frozen=True)
class Token:
    """A verified time-stamp: the time it states, its authority's certificate, digest name and value of its imprint."""

    time: datetime
    authority: x509.Certificate
    digest: str
    imprint: bytes

    def covers(self, data: bytes) -> bool:
        """Whether it is over exactly these bytes."""
        return hashlib.new(self.digest, data).digest() == self.imprint


def open_token(encoded: bytes, anchors: Iterable[x509.Certificate], known: Iterable[x509.Certificate] = ()) -> Token:
    """Reads and verifies a token; `known` are certificates at hand. Raises TokenRefused."""
    trusted, pool = list(anchors), list(known)
    try:
        signed = signed_data.parse(encoded)
        if signed.content_type != _TST_INFO or signed.content is None:
            raise TokenRefused("not a time-stamp token")
        ders = tuple(one.public_bytes(Encoding.DER) for one in (*pool, *trusted))
        authority = signed_data.verify(signed, signed.content, ders)
        info = read(signed.content).expect(SEQUENCE).children()
        algorithm, imprint = info[2].expect(SEQUENCE).children()
        token = Token(info[4].time(), authority, DIGESTS[algorithm.children()[0].oid()], imprint.content)
        if not has_purpose(authority, ExtendedKeyUsageOID.TIME_STAMPING, critical=True):
            raise TokenRefused("the certificate is not one of a time-stamping authority")
        carried = [load(one) for one in signed.certificates]
        check_chain(find_chain(authority, [*carried, *pool], trusted), trusted, token.time)
    except (SignedDataInvalid, CertificateRefused, DerInvalid, IndexError, KeyError, ValueError) as error:
        raise TokenRefused(str(error) or "not a time-stamp token") from error
    return token
