"""The ledger of accesses to a person's data, checked without the system: chains of lines, and their heads in the transparency log."""

from __future__ import annotations

from lienthong.client.ledger.anchor import AnchorEntry, AnchorMalformed, head_leaf, is_anchor
from lienthong.client.ledger.proof import Anchor, LedgerProof, LedgerProofMalformed, Line
from lienthong.client.ledger.verification import LedgerError, LedgerFault, LedgerReport, verify_anchor, verify_ledger

__all__ = [
    "Anchor",
    "AnchorEntry",
    "AnchorMalformed",
    "LedgerError",
    "LedgerFault",
    "LedgerProof",
    "LedgerProofMalformed",
    "LedgerReport",
    "Line",
    "head_leaf",
    "is_anchor",
    "verify_anchor",
    "verify_ledger",
]
