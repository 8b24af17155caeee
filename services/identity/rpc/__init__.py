"""The servicers of the identity role: convert, call one operation, convert back."""

from services.identity.rpc.check_in import CheckInServicer
from services.identity.rpc.facts import PersonFactServicer
from services.identity.rpc.organizations import OrganizationServicer
from services.identity.rpc.persons import PersonServicer
from services.identity.rpc.population import PopulationServicer
from services.identity.rpc.practitioners import PractitionerServicer
from services.identity.rpc.registry_feed import RegistryFeedServicer, RegistryStreams
from services.identity.rpc.reviews import PersonLinkServicer
from services.identity.rpc.source_records import SourceRecordServicer

__all__ = [
    "CheckInServicer",
    "OrganizationServicer",
    "PersonFactServicer",
    "PersonLinkServicer",
    "PersonServicer",
    "PopulationServicer",
    "PractitionerServicer",
    "RegistryFeedServicer",
    "RegistryStreams",
    "SourceRecordServicer",
]
