from services.chassis.migrations import configure
from services.consent.schema import METADATA

configure(METADATA)
