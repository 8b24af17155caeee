"""What the interceptors know of the call in hand."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from services.chassis.principal import Principal
from services.chassis.workload import Workload


@dataclass(frozen=True)
class Call:
    """The call in hand. `forwarded` is the metadata that travels on to peers: token and client certificate of the end actor."""

    method: str
    workload: Workload
    principal: Principal
    deadline: datetime
    trace_id: str
    forwarded: tuple[tuple[str, str], ...] = ()


CALL: ContextVar[Call | None] = ContextVar("lienthong_call", default=None)


def current_call() -> Call:
    """The call in hand; LookupError outside of one."""
    call = CALL.get()
    if call is None:
        raise LookupError("no call in hand")
    return call
