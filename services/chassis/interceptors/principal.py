"""principal: who acts. The token is verified here again, whatever the gateway did, and bound to the certificate the gateway saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.chassis.call import CALL, Call
from services.chassis.deadline import remaining
from services.chassis.errors import DomainError
from services.chassis.interceptors.adapter import Inbound, Proceed
from services.chassis.principal import (
    BOUND,
    NOBODY,
    Principal,
    PrincipalNotAllowed,
    TokenInvalid,
    TokenMissing,
    TokenNotBound,
    TokenVerifier,
)
from services.chassis.workload import FORWARDERS, AccessTable, Workload, WorkloadInvalid

AUTHORIZATION = "authorization"
CLIENT_CERTIFICATE = "x-forwarded-client-cert"


class Principals:
    """Establishes the principal and applies the access table."""

    skips_outside = True

    def __init__(self, access: AccessTable, verifier: TokenVerifier) -> None:
        self._access = access
        self._verifier = verifier

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Refuses, or proceeds with the call in hand."""
        try:
            inbound.principal = self._principal(inbound)
            if not self._access[inbound.method].allowed(inbound.workload, inbound.principal.kind):
                if inbound.principal is NOBODY:
                    raise TokenMissing("the call needs an access token")
                raise PrincipalNotAllowed("this kind of principal may not call this method")
        except DomainError as error:
            await inbound.refuse(error)
            return
        ends = datetime.now(UTC) + min(remaining(), timedelta(days=1))
        call = Call(inbound.method, inbound.workload, inbound.principal, ends, inbound.trace_id, inbound.forwarded)
        token = CALL.set(call)
        try:
            await proceed()
        finally:
            CALL.reset(token)

    def _principal(self, inbound: Inbound) -> Principal:
        authorization = inbound.metadata.get(AUTHORIZATION, "")
        if not authorization:
            return NOBODY
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenInvalid("the authorization header is not a bearer token")
        header = inbound.metadata.get(CLIENT_CERTIFICATE, "") if inbound.workload in FORWARDERS else ""
        certificate, workload = _forwarded(header)
        principal = self._verifier.verify(token, certificate)
        if principal.kind in BOUND and workload != Workload("facility", principal.facility):
            raise TokenNotBound("the access token names another facility than the certificate of this connection")
        forwarded = [(AUTHORIZATION, authorization)]
        if header:
            forwarded.append((CLIENT_CERTIFICATE, header))
        inbound.forwarded = tuple(forwarded)
        return principal


def _forwarded(header: str) -> tuple[str | None, Workload | None]:
    """Hash and URI of Envoy's `x-forwarded-client-cert`; an element that stands twice is refused, as is more than one certificate."""
    if not header:
        return None, None
    if "," in header:
        raise TokenInvalid("more than one forwarded client certificate")
    elements: dict[str, str] = {}
    for element in header.split(";"):
        name, _, value = element.partition("=")
        if name in elements:
            raise TokenInvalid("the forwarded client certificate is malformed")
        elements[name] = value
    try:
        workload = Workload.parse(elements["URI"]) if "URI" in elements else None
    except WorkloadInvalid:
        raise TokenInvalid("the forwarded client certificate names no workload") from None
    return elements.get("Hash"), workload
