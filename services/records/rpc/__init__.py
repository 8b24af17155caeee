"""The servicers of the records role: convert, call one operation, convert back."""

from services.records.rpc.documents import DocumentServicer
from services.records.rpc.erasure import ErasureServicer
from services.records.rpc.evidence import EvidenceServicer
from services.records.rpc.export import ExportServicer
from services.records.rpc.intake import IntakeServicer

__all__ = ["DocumentServicer", "ErasureServicer", "EvidenceServicer", "ExportServicer", "IntakeServicer"]
