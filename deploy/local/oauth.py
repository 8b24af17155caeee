"""A simulator of the platform's authorization server, and what it shares with the ID app's.

Two issuers, each with a key of its own, so that the facilities' can never make an officer:

    {base}/facility   client_credentials for a facility's client certificate (RFC 8705); `licence` and `role` ask for a
                      token of a practitioner for whom the facility vouches, `acr` and `auth_time` say how and when it
                      authenticated them
    {base}/operator   client_credentials for administrator, steward, auditor and ministry, by client id and secret
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from cryptography import x509

from deploy.local.tokens import LIFE, TokenIssuer
from services.chassis.principal import PrincipalKind
from services.chassis.workload import TRUST_DOMAIN

Form = Mapping[str, str]
_ROLES = frozenset({"doctor", "nurse", "pharmacist", "clerk"})
_LONGEST_LICENCE = 50
_LONGEST_ACR = 200
_LONGEST_TIME = 12


class Facilities:
    """The facilities' issuer."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints."""
        return [
            web.get("/facility/.well-known/openid-configuration", self.configuration),
            web.get("/facility/jwks", self.jwks),
            web.post("/facility/token", self.token),
        ]

    async def configuration(self, _: web.Request) -> web.Response:
        """Discovery document."""
        return discovery(
            self._issuer.issuer,
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=["tls_client_auth"],
            tls_client_certificate_bound_access_tokens=True,
        )

    async def jwks(self, _: web.Request) -> web.Response:
        """Public keys."""
        return web.json_response(self._issuer.jwks)

    async def token(self, request: web.Request) -> web.Response:
        """A token bound to the client certificate of this connection."""
        form = await read_form(request)
        if form.get("grant_type") != "client_credentials":
            return refusal("unsupported_grant_type")
        certificate = _client_certificate(request)
        facility = _facility(certificate) if certificate else ""
        if certificate is None or not facility:
            return refusal("invalid_client", 401)
        licence = form.get("licence", "")
        if not licence:
            return granted(
                self._issuer.mint(
                    PrincipalKind.FACILITY, f"facility:{facility}", certificate=certificate, facility=facility
                )
            )
        role = form.get("role", "doctor")
        acr, auth_time = form.get("acr", ""), form.get("auth_time", "0")
        said = len(licence) <= _LONGEST_LICENCE and len(acr) <= _LONGEST_ACR
        if not said or role not in _ROLES or not (auth_time.isdecimal() and len(auth_time) <= _LONGEST_TIME):
            return refusal("invalid_request")
        return granted(
            self._issuer.mint(
                PrincipalKind.PRACTITIONER,
                f"facility:{facility}:{hashlib.sha256(licence.encode()).hexdigest()[:16]}",
                certificate=certificate,
                facility=facility,
                licence=licence,
                role=role,
                acr=acr,
                auth_time=int(auth_time),
            )
        )


class Operators:
    """The officers' issuer. `clients` maps a client id to its secret and the kind of principal it is."""

    def __init__(self, issuer: TokenIssuer, clients: Mapping[str, tuple[str, str]]) -> None:
        self._issuer = issuer
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        """Its endpoints."""
        return [
            web.get("/operator/.well-known/openid-configuration", self.configuration),
            web.get("/operator/jwks", self.jwks),
            web.post("/operator/token", self.token),
        ]

    async def configuration(self, _: web.Request) -> web.Response:
        """Discovery document."""
        return discovery(
            self._issuer.issuer,
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=["client_secret_post"],
        )

    async def jwks(self, _: web.Request) -> web.Response:
        """Public keys."""
        return web.json_response(self._issuer.jwks)

    async def token(self, request: web.Request) -> web.Response:
        """A token for client id and secret."""
        form = await read_form(request)
        if form.get("grant_type") != "client_credentials":
            return refusal("unsupported_grant_type")
        client = form.get("client_id", "")
        secret, kind = self._clients.get(client, ("", ""))
        if not secret or not hmac.compare_digest(secret.encode(), form.get("client_secret", "").encode()):
            return refusal("invalid_client", 401)
        return granted(self._issuer.mint(PrincipalKind(kind), client))


def discovery(issuer: str, **more: Any) -> web.Response:
    """A discovery document (RFC 8414); issuers here all have `token` and `jwks` below them."""
    return web.json_response(
        {"issuer": issuer, "token_endpoint": f"{issuer}/token", "jwks_uri": f"{issuer}/jwks", **more}
    )


async def read_form(request: web.Request) -> Form:
    """The form's text fields; files are left out."""
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def refusal(error: str, status: int = 400) -> web.Response:
    """An OAuth error (RFC 6749 §5.2)."""
    return web.json_response({"error": error}, status=status, headers={"cache-control": "no-store"})


def granted(token: str, **more: str) -> web.Response:
    """An OAuth token answer (RFC 6749 §5.1)."""
    fields = {"access_token": token, "token_type": "Bearer", "expires_in": int(LIFE.total_seconds()), **more}
    return web.json_response(fields, headers={"cache-control": "no-store"})


def _client_certificate(request: web.Request) -> bytes | None:
    """The client certificate that the TLS layer verified, PEM."""
    connection = request.transport.get_extra_info("ssl_object") if request.transport else None
    der = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLObject) else None
    return ssl.DER_cert_to_PEM_cert(der).encode() if der else None


def _facility(pem: bytes) -> str:
    """The facility code of a certificate's one SPIFFE id; empty for any other certificate."""
    try:
        extensions = x509.load_pem_x509_certificate(pem).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    prefix = TRUST_DOMAIN + "facility/"
    return uris[0].removeprefix(prefix) if len(uris) == 1 and uris[0].startswith(prefix) else ""
