"""The gRPC server of a role: mTLS, the interceptor chain, health, background jobs, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.chassis import log
from services.chassis.clock import Clock
from services.chassis.interceptors import Chain
from services.chassis.interceptors.deadline import Deadline
from services.chassis.interceptors.observe import Observe
from services.chassis.interceptors.principal import Principals
from services.chassis.interceptors.status import Statuses
from services.chassis.interceptors.validate import Validate
from services.chassis.interceptors.workload import Workloads
from services.chassis.principal import TokenVerifier, load_issuers
from services.chassis.settings import ServerSettings
from services.chassis.telemetry import Telemetry
from services.chassis.workload import AccessTable

RpcContext = grpc.aio.ServicerContext[Any, Any]
"""The context of every servicer method."""

_HEALTH = frozenset({"grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch", "grpc.health.v1.Health/List"})
_HEALTH_EVERY = 1.0
_JOB_BACKOFF = (0.5, 30.0)
# The driver can put an error of its own in the place of a cancellation, and a loop may take it for a failure: it is told again.
_CANCELLATIONS, _CANCELLED_WITHIN = 10, 0.5


class AccessIncomplete(Exception):
    """The access table and the registered methods differ; the server does not start."""


class Server:
    """Composes, starts, drains and stops. `health` checks decide whether the role says SERVING. `stopping` is set when the role begins to
    stop: streams without an end of their own end then.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        api: str,
        access: AccessTable,
        telemetry: Telemetry,
        clock: Clock,
        verifier: TokenVerifier | None = None,
    ) -> None:
        self._settings = settings
        self._access = access
        self._api = api
        self._methods: set[str] = set()
        self._jobs: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._checks: list[Callable[[], Awaitable[None]]] = []
        self.stopping = asyncio.Event()
        verifier = verifier or TokenVerifier(load_issuers(settings.token_issuers), settings.token_audience, clock)
        chain = Chain(
            api,
            (
                Observe(telemetry),
                Deadline(),
                Workloads(access, _HEALTH),
                Principals(access, verifier),
                Validate(),
                Statuses(),
            ),
            outside=_HEALTH,
        )
        self._server = grpc.aio.server(
            interceptors=(chain,),
            maximum_concurrent_rpcs=settings.max_concurrent_calls,
            options=(
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.max_ping_strikes", 0),
            ),
        )
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(self, add_to_server: Callable[..., None], servicer: object, descriptor: ServiceDescriptor) -> None:
        """Registers a servicer; each of its methods needs a row in the access table."""
        self._methods |= {f"{descriptor.full_name}/{method.name}" for method in descriptor.methods}
        add_to_server(servicer, self._server)

    def job(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A background loop. An exception is logged by its class, and the loop starts again after a pause that grows to 30 s."""
        self._jobs.append((name, run))

    def health(self, check: Callable[[], Awaitable[None]]) -> None:
        """A check that raises while the role cannot serve."""
        self._checks.append(check)

    async def start(self) -> str:
        """Binds and serves; returns host:port. Raises AccessIncomplete naming every RPC without a row and every row without an RPC."""
        without = sorted(self._methods ^ self._access.keys())
        if without:
            raise AccessIncomplete("access table and methods differ: " + ", ".join(without))
        settings = self._settings
        credentials = grpc.ssl_server_credentials(
            [(settings.private_key.read_bytes(), settings.certificate.read_bytes())],
            root_certificates=settings.authority.read_bytes(),
            require_client_auth=True,
        )
        host = settings.listen.rpartition(":")[0]
        port = self._server.add_secure_port(settings.listen, credentials)
        await self._server.start()
        self._tasks = [asyncio.create_task(_for_ever(name, run), name=name) for name, run in self._jobs]
        self._tasks.append(asyncio.create_task(self._watch_health(), name="health"))
        address = f"{host}:{port}"
        log.event("serving", api=self._api, address=address)
        if settings.ready_file is not None:
            partial = settings.ready_file.with_suffix(".part")
            partial.write_text(address, "utf-8")
            partial.replace(settings.ready_file)
        return address

    async def stop(self) -> None:
        """Says NOT_SERVING, lets the gateway notice, finishes what is in hand, ends the jobs."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_seconds)
        self.stopping.set()
        await self._server.stop(self._settings.grace_seconds)
        remaining = set(self._tasks)
        for _ in range(_CANCELLATIONS):
            for task in remaining:
                task.cancel()
            if remaining:
                _, remaining = await asyncio.wait(remaining, timeout=_CANCELLED_WITHIN)
        if remaining:
            log.event("jobs_left", level="error", jobs=", ".join(sorted(task.get_name() for task in remaining)))

    async def _watch_health(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_HEALTH_EVERY * 3):
                    for check in self._checks:
                        await check()
                serving = health_pb2.HealthCheckResponse.SERVING
            except Exception:  # noqa: BLE001 - whatever fails means not serving
                serving = health_pb2.HealthCheckResponse.NOT_SERVING
            await self._health.set("", serving)
            await asyncio.sleep(_HEALTH_EVERY)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    pause = _JOB_BACKOFF[0]
    while True:
        started = asyncio.get_running_loop().time()
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - a job must not end the process
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The driver can put an error of its own in the place of a cancellation; the server is stopping all the same.
                return
            log.event("job_failed", level="error", job=name, error=type(error).__name__)
        lasted = asyncio.get_running_loop().time() - started
        pause = _JOB_BACKOFF[0] if lasted > _JOB_BACKOFF[1] else min(pause * 2, _JOB_BACKOFF[1])
        await asyncio.sleep(pause)
