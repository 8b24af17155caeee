from services.chassis.migrations import configure
from services.referrals.schema import METADATA

configure(METADATA)
