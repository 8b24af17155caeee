"""Verifiers of the signature formats a document may carry: bytes in, facts or a finding out.

A verifier says what is signed, by which certificate and how, and whether the mathematics holds. Whether the certificate
is to be trusted is not its business. It fetches nothing, and it knows no person.
"""

from services.signing.formats.dispatch import Place, places, verify
from services.signing.formats.facts import Finding, SignatureFacts, SignatureScope, SubIndication

__all__ = ["Finding", "Place", "SignatureFacts", "SignatureScope", "SubIndication", "places", "verify"]
