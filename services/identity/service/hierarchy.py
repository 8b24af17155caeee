"""Which facility belongs to which: no circle, and not too deep."""

from __future__ import annotations

from collections.abc import Mapping

from services.identity.registers import MAX_DEPTH

UNKNOWN = "PARENT_UNKNOWN"
IS_SELF = "PARENT_IS_SELF"
CIRCULAR = "PARENT_CIRCULAR"
TOO_DEEP = "HIERARCHY_TOO_DEEP"


def fault(code: str, parent: str | None, parents: Mapping[str, str | None], below: int = 0) -> str:
    """The reason why a facility cannot belong to `parent`; empty when it can. `parents` are those of all facilities, `below` is how many levels hang
    under it.
    """
    if parent is None:
        return ""
    if parent == code:
        return IS_SELF
    if parent not in parents:
        return UNKNOWN
    above: str | None = parent
    seen: set[str] = set()
    while above is not None:
        if above == code or above in seen:
            return CIRCULAR
        seen.add(above)
        above = parents.get(above)
    return TOO_DEEP if len(seen) + 1 + below > MAX_DEPTH else ""


def height(code: str, parents: Mapping[str, str | None]) -> int:
    """How many levels hang under a facility."""
    children: dict[str, list[str]] = {}
    for child, parent in parents.items():
        if parent is not None:
            children.setdefault(parent, []).append(child)
    levels, below = 0, children.get(code, [])
    while below and levels < MAX_DEPTH:
        levels += 1
        below = [grandchild for child in below for grandchild in children.get(child, ())]
    return levels
