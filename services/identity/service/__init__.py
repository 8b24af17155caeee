"""The operations of the identity role, one module per noun."""

from __future__ import annotations

from services.identity.service.candidates import MatchingService
from services.identity.service.check_in import CheckInService, WaitingItem, WaitingItems
from services.identity.service.feed import FeedService, Streams
from services.identity.service.filing import FilingService
from services.identity.service.gate import Gate
from services.identity.service.histories import AccessLedger, HistoryService, Reading
from services.identity.service.identification import Identification, IdentificationService, Identified
from services.identity.service.links import LinkService, Wish
from services.identity.service.matching import InFlight, Matcher, MatchRate
from services.identity.service.newborns import Birth, NewbornService
from services.identity.service.organization_import import OrganizationImport
from services.identity.service.organizations import OrganizationService
from services.identity.service.persons import PersonService
from services.identity.service.population import PopulationService
from services.identity.service.practitioners import PractitionerService
from services.identity.service.proposals import ProposalService
from services.identity.service.provisional import Arrival, Line, ProvisionalService, Wanted
from services.identity.service.reviews import ClaimedTask, ReviewService, Sides, Verdict
from services.identity.service.updates import Update, UpdateService

__all__ = [
    "AccessLedger",
    "Arrival",
    "Birth",
    "CheckInService",
    "ClaimedTask",
    "FeedService",
    "FilingService",
    "Gate",
    "HistoryService",
    "Identification",
    "IdentificationService",
    "Identified",
    "InFlight",
    "Line",
    "LinkService",
    "MatchRate",
    "Matcher",
    "MatchingService",
    "NewbornService",
    "OrganizationImport",
    "OrganizationService",
    "PersonService",
    "PopulationService",
    "PractitionerService",
    "ProposalService",
    "ProvisionalService",
    "Reading",
    "ReviewService",
    "Sides",
    "Streams",
    "Update",
    "UpdateService",
    "Verdict",
    "WaitingItem",
    "WaitingItems",
    "Wanted",
    "Wish",
]
