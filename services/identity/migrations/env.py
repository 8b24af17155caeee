from services.chassis.migrations import configure
from services.identity.schema import METADATA

configure(METADATA)
