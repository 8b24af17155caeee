"""Sample data: seeded, valid, realistic episodes in the national XML format, and broken ones on demand.

Every person here is fictitious, drawn from frequency tables; facilities are invented.
"""

from lienthong.samples.broken import KINDS as BROKEN_KINDS
from lienthong.samples.facilities import BY_CODE, FACILITIES, CareLevel, Facility
from lienthong.samples.generator import Episode, Generator
from lienthong.samples.people import Address, Person

__all__ = [
    "BROKEN_KINDS",
    "BY_CODE",
    "FACILITIES",
    "Address",
    "CareLevel",
    "Episode",
    "Facility",
    "Generator",
    "Person",
]
