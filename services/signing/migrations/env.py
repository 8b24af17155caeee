from services.chassis.migrations import configure
from services.signing.schema import METADATA

configure(METADATA)
