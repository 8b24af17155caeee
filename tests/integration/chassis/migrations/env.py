from services.chassis.migrations import configure
from tests.integration.chassis.schema import METADATA

configure(METADATA)
