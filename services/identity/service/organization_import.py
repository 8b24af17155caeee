"""Importing a list of facilities: good rows are registered or changed, bad rows reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from services.chassis.clock import Clock
from services.chassis.principal import Principal
from services.identity.ports import NewId, Store, Transaction
from services.identity.registers import Organization, RegistryEvent, RegistryEventKind
from services.identity.service.actors import actor
from services.identity.service.hierarchy import fault
from services.identity.service.organization_list import Listed, RowError, read

MAX_REPORTED = 1000
"""Bad rows that the report names."""


@dataclass(frozen=True)
class ImportReport:
    """What a list did, or would do; `errors` are of the first 1,000 bad rows, `rejected` counts all of them."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    errors: tuple[RowError, ...]


class OrganizationImport:
    """Imports lists. Every row stands for itself: a bad one keeps no good one out, except those that belong to it."""

    def __init__(self, store: Store, clock: Clock, new_id: NewId) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def run(
        self, principal: Principal, content: bytes, request_id: str, digest: bytes, *, validate_only: bool = False
    ) -> ImportReport:
        """Imports a list, or only reports on it. Raises InvalidArgument when it cannot be read as a list. The same list again changes nothing; a
        suspension stays.
        """
        rows, wrong = read(content, self._clock())

        async def look(
            transaction: Transaction,
        ) -> tuple[ImportReport, Sequence[Organization], Sequence[RegistryEvent]]:
            good, orphans = _placed(rows, await transaction.hierarchy())
            known = await transaction.organizations_of({one.organization.code for one in good})
            return self._changes(principal, good, known, [*wrong, *orphans])

        async def work(transaction: Transaction) -> ImportReport:
            async def first_time() -> bytes:
                report, changed, events = await look(transaction)
                await transaction.put_organizations(changed)
                await transaction.add_registry_events(events)
                return json.dumps(asdict(report)).encode()

            scope = f"{actor(principal)}/ImportOrganizations"
            kept = json.loads(await transaction.once(scope, request_id, digest, first_time))
            return ImportReport(**kept | {"errors": tuple(RowError(**one) for one in kept["errors"])})

        if validate_only:
            return (await self._store.write(look))[0]
        return await self._store.write(work)

    def _changes(
        self, principal: Principal, good: Sequence[Listed], known: Mapping[str, Organization], wrong: Sequence[RowError]
    ) -> tuple[ImportReport, Sequence[Organization], Sequence[RegistryEvent]]:
        changed: list[Organization] = []
        events: list[RegistryEvent] = []
        now, by = self._clock(), actor(principal)
        created = 0
        for row in good:
            listed, found = row.organization, known.get(row.organization.code)
            if found is None:
                created += 1
                changed.append(listed)
                events.append(RegistryEvent(listed.name, self._new_id(), RegistryEventKind.REGISTERED, now, by, {}))
            elif not found.same_content(listed):
                differ = [name for name, value in listed.content().items() if value != found.content()[name]]
                detail = {"fields": ",".join(sorted(differ))}
                changed.append(
                    replace(
                        listed,
                        state=found.state,
                        suspension_reason=found.suspension_reason,
                        created_at=found.created_at,
                        version=found.version + 1,
                    )
                )
                events.append(RegistryEvent(listed.name, self._new_id(), RegistryEventKind.CHANGED, now, by, detail))
        lines = sorted({one.line for one in wrong})
        shown = set(lines[:MAX_REPORTED])
        errors = tuple(sorted((one for one in wrong if one.line in shown), key=lambda one: one.line))
        updated = len(changed) - created
        report = ImportReport(created, updated, len(good) - len(changed), len(lines), errors)
        return report, changed, events


def _placed(
    rows: Sequence[Listed], registered: Mapping[str, str | None]
) -> tuple[Sequence[Listed], Sequence[RowError]]:
    """The rows whose parents stand, and what is wrong with those of the others. Who belongs to a bad row that is not registered is bad itself."""
    good = {row.organization.code: row for row in rows}
    wrong: list[RowError] = []
    while True:
        parents = {**registered, **{code: row.organization.parent for code, row in good.items()}}
        heights = _heights(parents)
        bad = {
            code: reason
            for code, row in good.items()
            if (reason := fault(code, row.organization.parent, parents, heights.get(code, 0)))
        }
        if not bad:
            return list(good.values()), wrong
        wrong += [RowError(good[code].line, "parent", reason) for code, reason in bad.items()]
        good = {code: row for code, row in good.items() if code not in bad}


def _heights(parents: Mapping[str, str | None]) -> Mapping[str, int]:
    """Levels below each facility that has any, up to the deepest that is allowed."""
    heights: dict[str, int] = {}
    for code in parents:
        below, above = 0, parents.get(code)
        seen = {code}
        while above is not None and above not in seen:
            seen.add(above)
            below += 1
            if heights.get(above, 0) >= below:
                break
            heights[above] = below
            above = parents.get(above)
    return heights
