"""Who calls, as far as the records role asks."""

from __future__ import annotations

from services.chassis.call import Call


def calling_facility(call: Call) -> str:
    """The facility of a principal that the access table let through; facilities and practitioners always have one."""
    if call.principal.facility is None:
        raise LookupError("a principal without facility")
    return call.principal.facility
