from services.chassis.migrations import configure
from services.records.schema import METADATA

configure(METADATA)
