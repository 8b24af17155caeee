"""validate: REQUIRED fields, read from the contract's descriptors (AIP-203); all that are missing are named at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.message import Message

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.interceptors.adapter import Inbound, Proceed

Check = Callable[[Message, str, list[FieldViolation]], None]


class Validate:
    """Checks every request message, of streams one by one."""

    skips_outside = True

    async def around(self, inbound: Inbound, proceed: Proceed) -> None:
        """Refuses an incomplete request."""
        if inbound.streams_requests:
            inbound.request = _each(inbound.request)
        else:
            try:
                check(inbound.request)
            except InvalidArgument as error:
                await inbound.refuse(error)
                return
        await proceed()


async def _each(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
    async for request in requests:
        check(request)
        yield request


_CHECKS: dict[str, Check | None] = {}
_MASK = "google.protobuf.FieldMask"


def check(message: Message) -> None:
    """Raises InvalidArgument naming every REQUIRED field that is not set."""
    find = _check_for(message.DESCRIPTOR)
    if find is None:
        return
    missing: list[FieldViolation] = []
    find(message, "", missing)
    if missing:
        raise InvalidArgument.of(*missing)


def _check_for(descriptor: Any) -> Check | None:
    """The check of a message type, built once; None when nothing in it can be missing."""
    name = descriptor.full_name
    if name in _CHECKS:
        return _CHECKS[name]
    _CHECKS[name] = None  # ends the recursion of types that hold themselves
    steps = [step for step in map(_step, descriptor.fields) if step is not None]

    def find(message: Message, path: str, missing: list[FieldViolation]) -> None:
        for step in steps:
            step(message, path, missing)

    mask = descriptor.fields_by_name.get("update_mask")
    partial = mask is not None and mask.message_type is not None and mask.message_type.full_name == _MASK
    _CHECKS[name] = (_masked(find) if partial else find) if steps else None
    return _CHECKS[name]


def _masked(find: Check) -> Check:
    """The check of an update (AIP-134): of the resource only those fields have to be set that are to change."""

    def masked(message: Any, path: str, missing: list[FieldViolation]) -> None:
        all_missing: list[FieldViolation] = []
        find(message, path, all_missing)
        paths = tuple(message.update_mask.paths)
        for one in all_missing:
            _, dot, inside = one.field.removeprefix(path).partition(".")
            if not dot or any(f"{inside}.".startswith(f"{changing}.") for changing in paths):
                missing.append(one)

    return masked


def _step(field: Any) -> Check | None:
    behaviours = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    required = field_behavior_pb2.REQUIRED in behaviours
    inner = _check_for(field.message_type) if field.message_type is not None else None
    if not required and inner is None:
        return None
    name = field.name
    repeated = field.is_repeated
    whole = field.message_type is not None and not repeated

    def step(message: Message, path: str, missing: list[FieldViolation]) -> None:
        present: Any = message.HasField(name) if whole else getattr(message, name)
        if not present:
            if required:
                missing.append(FieldViolation(path + name, "is required", "REQUIRED"))
            return
        if inner is None:
            return
        if repeated:
            for place, item in enumerate(getattr(message, name)):
                inner(item, f"{path}{name}[{place}].", missing)
        else:
            inner(getattr(message, name), f"{path}{name}.", missing)

    return step
