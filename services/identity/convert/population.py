"""Loads of a population."""

from __future__ import annotations

from lienthong.identity.v1 import population_service_pb2

from services.chassis.errors import InvalidArgument
from services.identity import model
from services.identity.convert.scalars import assurance_in, demographics_in, identifiers_in, stamp
from services.identity.population import PopulationEntry, PopulationLoad, RowFault


def source_in(name: str) -> str:
    """The source of a resource name."""
    collection, _, source = name.partition("/")
    if collection != "populationLoads" or not source:
        raise model.invalid("name", "populationLoads/{source}", "NAME_INVALID")
    return source


def entry_in(message: population_service_pb2.PopulationEntry) -> PopulationEntry:
    """A row; what cannot be read of it is among its faults, so that the other rows are loaded."""
    faults: list[tuple[str, str]] = []
    identifiers: tuple[model.Identifier, ...] = ()
    demographics, assurance = model.Demographics(), model.Assurance.TYPED
    try:
        identifiers = identifiers_in(message.identifiers, "identifiers")
    except InvalidArgument as error:
        faults += [(one.field, one.reason) for one in error.violations]
    try:
        demographics = demographics_in(message.demographics, "demographics")
    except InvalidArgument as error:
        faults += [(one.field, one.reason) for one in error.violations]
    try:
        assurance = assurance_in(message.assurance)
    except InvalidArgument as error:
        faults += [(one.field, one.reason) for one in error.violations]
    return PopulationEntry(message.row, identifiers, demographics, assurance, tuple(faults))


def load_message(load: PopulationLoad) -> population_service_pb2.PopulationLoad:
    """A load in proto."""
    return population_service_pb2.PopulationLoad(
        name=load.name,
        parts_loaded=load.parts,
        next_part=load.parts,
        entry_count=load.entries,
        created_count=load.created,
        known_count=load.known,
        rejected_count=load.rejected,
        conflict_count=load.conflicts,
        create_time=stamp(load.created_at),
        update_time=stamp(load.updated_at),
    )


def fault_message(fault: RowFault) -> population_service_pb2.PopulationLoadError:
    """A bad row in proto."""
    return population_service_pb2.PopulationLoadError(row=fault.row, field=fault.field, reason=fault.reason)
