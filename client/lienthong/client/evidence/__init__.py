"""Offline verification of evidence packages: ASiC-E containers with all that proves a document years later.

Depends on `cryptography` and the generated messages. Verifiers need public keys only and never open a connection.
"""

from lienthong.client.evidence.errors import EvidenceError
from lienthong.client.evidence.export import ExportReport, is_export, verify_export
from lienthong.client.evidence.package import EvidenceReport, EvidenceTrust, verify_package

__all__ = [
    "EvidenceError",
    "EvidenceReport",
    "EvidenceTrust",
    "ExportReport",
    "is_export",
    "verify_export",
    "verify_package",
]
