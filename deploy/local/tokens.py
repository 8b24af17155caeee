"""Access tokens as the platform's authorization server issues them (RFC 9068), for the simulator and for tests."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from joserfc import jws
from joserfc.jwk import ECKey

from services.chassis.principal import PrincipalKind

AUDIENCE = "lienthong"
LIFE = timedelta(minutes=10)


class TokenIssuer:
    """An issuer with one ES256 key."""

    def __init__(self, issuer: str, key: ECKey | None = None) -> None:
        self.issuer = issuer
        self._key = key or ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)

    @classmethod
    def load(cls, issuer: str, path: Path) -> TokenIssuer:
        """With the private key of a file that `save` wrote."""
        return cls(issuer, ECKey.import_key(json.loads(path.read_text("utf-8"))))

    def save(self, path: Path) -> Path:
        """Writes the private key (JWK), mode 0600."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._key.as_dict(private=True)), "utf-8")
        return path

    @property
    def jwks(self) -> dict[str, Any]:
        """The public key set."""
        return {"keys": [self._key.as_dict(private=False)]}

    def trusted_for(self, *kinds: PrincipalKind) -> dict[str, Any]:
        """This issuer's entry in the services' `token_issuers` file."""
        return {"jwks": self.jwks, "kinds": [kind.value for kind in kinds]}

    def mint(
        self,
        kind: PrincipalKind,
        subject: str,
        *,
        certificate: bytes | None = None,
        audience: str = AUDIENCE,
        at: datetime | None = None,
        life: timedelta = LIFE,
        **claims: str | int | list[str],
    ) -> str:
        """An access token; `certificate` (PEM) binds it to that client certificate (RFC 8705). Claims that are empty
        are left out.
        """
        now = at or datetime.now(UTC)
        content: dict[str, Any] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
            "jti": str(uuid4()),
            "kind": kind.value,
            **{name: value for name, value in claims.items() if value},
        }
        if certificate is not None:
            content["cnf"] = {"x5t#S256": thumbprint(certificate)}
        return self.sign("at+jwt", content)

    def sign(self, typ: str, claims: dict[str, Any]) -> str:
        """A compact JWT of any type."""
        protected = {"typ": typ, "alg": "ES256", "kid": str(self._key.kid)}
        return jws.serialize_compact(protected, json.dumps(claims).encode(), self._key, algorithms=["ES256"])


def thumbprint(certificate: bytes) -> str:
    """`x5t#S256` of a PEM certificate: unpadded base64url of the SHA-256 of its DER."""
    digest = x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256())
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
