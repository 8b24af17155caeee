"""The operations of the records role."""

from services.records.service.documents import DocumentService
from services.records.service.intake import IntakeService
from services.records.service.submissions import SubmissionService

__all__ = ["DocumentService", "IntakeService", "SubmissionService"]
