"""workload: who is on the other end of this connection, and may anybody come through it to this method."""

from __future__ import annotations

from collections import OrderedDict

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from services.chassis.errors import DomainError, Kind
from services.chassis.interceptors.adapter import Context, Inbound, Proceed
from services.chassis.workload import AccessTable, Workload, WorkloadInvalid

_CACHE_SIZE = 256


class WorkloadNotAllowed(DomainError):
    """The certificate's identity may not call this method."""

    kind = Kind.DENIED
    reason = "WORKLOAD_NOT_ALLOWED"


class Workloads:
    """Reads the SPIFFE id of the peer's certificate; exactly one URI name, or nobody."""

    def __init__(self, access: AccessTable, open_methods: frozenset[str] = frozenset()) -> None:
        self._access = access
        self._open = open_methods
        self._known: OrderedDict[bytes, Workload] = OrderedDict()

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Refuses what no row allows."""
        try:
            inbound.workload = self._workload(inbound.context)
        except (WorkloadInvalid, ValueError):
            await inbound.refuse(WorkloadNotAllowed("the client certificate names no workload of this system"))
            return
        if inbound.method not in self._open:
            row = self._access.get(inbound.method)
            if row is None or not row.workload_allowed(inbound.workload):
                await inbound.refuse(WorkloadNotAllowed("this workload may not call this method"))
                return
        await proceed()

    def _workload(self, context: Context) -> Workload:
        certificates = context.auth_context().get("x509_pem_cert") or ()
        if not certificates:
            raise WorkloadInvalid("no client certificate")
        pem = bytes(next(iter(certificates)))
        known = self._known.get(pem)
        if known is None:
            known = Workload.parse(_uri(x509.load_pem_x509_certificate(pem)))
            self._known[pem] = known
            if len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)
        return known


def _uri(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        raise WorkloadInvalid("no subject alternative name") from None
    if not isinstance(names, x509.SubjectAlternativeName):
        raise WorkloadInvalid("no subject alternative name")
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise WorkloadInvalid("not exactly one URI name")
    return uris[0]
