"""status: a domain error becomes its rich status, a bug becomes INTERNAL with an incident id and nothing else."""

from __future__ import annotations

import grpc

from services.chassis.errors import DomainError
from services.chassis.interceptors.adapter import Inbound, Proceed
from services.chassis.status import incident


class Statuses:
    """Innermost: sees what the handler raised."""

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Translates; cancellation and timeouts pass through."""
        try:
            await proceed()
        except DomainError as error:
            await inbound.refuse(error)
        except (grpc.aio.AbortError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - the funnel for bugs
            await inbound.refuse(incident(error, inbound.trace_id))
