"""Lines of the registries' feed, and its cursors."""

from __future__ import annotations

from collections.abc import Sequence

from lienthong.identity.v1 import organization_pb2, registry_feed_service_pb2
from lienthong.type.v1 import period_pb2

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.paging import decode_token, encode_token
from services.identity.convert.scalars import numbers, stamp
from services.identity.errors import CursorInvalid
from services.identity.registers import CareLevel, OrganizationState, RegistryKind, RegistryLine, RegistryPlace

_LEVEL = numbers(CareLevel, organization_pb2.CareLevel, "CARE_LEVEL")
_STATE = numbers(OrganizationState, organization_pb2.OrganizationState, "ORGANIZATION_STATE")
_BOUND = "WatchRegistry"
_LARGEST = 2**63
pb = registry_feed_service_pb2


def place_in(cursor: str) -> RegistryPlace:
    """Where a cursor goes on; no cursor means the beginning. Raises CursorInvalid."""
    try:
        key = decode_token(cursor, _BOUND)
        place = RegistryPlace(int(key[0]), RegistryKind(key[1]), key[2]) if key else RegistryPlace()
    except (InvalidArgument, ValueError, IndexError):
        place = RegistryPlace(-1)
    if not 0 <= place.xid < _LARGEST:
        violation = FieldViolation("cursor", "a cursor of a former answer", "CURSOR_INVALID")
        raise CursorInvalid("the cursor is not one of this feed", violations=(violation,))
    return place


def page_message(lines: Sequence[RegistryLine], place: RegistryPlace, *, more: bool) -> pb.WatchRegistryResponse:
    """An answer; without lines it is a heartbeat."""
    newest = max((line.at for line in lines), default=None)
    return pb.WatchRegistryResponse(
        organizations=[
            pb.RegisteredOrganization(
                organization=f"organizations/{line.key}", state=_STATE[line.state], care_level=_LEVEL[line.care_level]
            )
            for line in lines
            if line.kind is RegistryKind.ORGANIZATION
        ],
        licences=[_licence(line) for line in lines if line.kind is RegistryKind.LICENCE],
        cursor=encode_token((str(place.xid), place.kind.value, place.key), _BOUND),
        change_time=None if newest is None else stamp(newest),
        more=more,
    )


def _licence(line: RegistryLine) -> pb.RegisteredLicence:
    period = period_pb2.Period(
        start_time=stamp(line.licence_from) if line.licence_from else None,
        end_time=stamp(line.licence_until) if line.licence_until else None,
    )
    return pb.RegisteredLicence(
        licence=line.key,
        role=line.role,
        scope=line.scope,
        licence_period=period if line.licence_from or line.licence_until else None,
        organizations=[f"organizations/{code}" for code in line.organizations],
    )
