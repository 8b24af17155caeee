"""The operations of the identity role, one module per noun."""

from __future__ import annotations

from services.identity.service.feed import FeedService
from services.identity.service.filing import FilingService
from services.identity.service.identification import Identification, IdentificationService, Identified
from services.identity.service.links import LinkService
from services.identity.service.newborns import Birth, NewbornService
from services.identity.service.organizations import OrganizationService
from services.identity.service.persons import PersonService
from services.identity.service.practitioners import PractitionerService
from services.identity.service.provisional import Arrival, Line, ProvisionalService, Wanted
from services.identity.service.updates import Update, UpdateService

__all__ = [
    "Arrival",
    "Birth",
    "FeedService",
    "FilingService",
    "Identification",
    "IdentificationService",
    "Identified",
    "Line",
    "LinkService",
    "NewbornService",
    "OrganizationService",
    "PersonService",
    "PractitionerService",
    "ProvisionalService",
    "Update",
    "UpdateService",
    "Wanted",
]
