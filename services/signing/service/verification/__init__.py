"""Judging signatures: facts from `formats`, trust from the list, time from proofs, and a verdict that says why."""

from services.signing.service.verification.service import LARGEST_BATCH, VerificationService

__all__ = ["LARGEST_BATCH", "VerificationService"]
