"""The servicers of the signing role, one module per API: convert, call one operation, convert back."""

from services.signing.rpc.log import LogAppendServicer, LogServicer
from services.signing.rpc.trust import TrustServicer
from services.signing.rpc.verification import ValidationServicer, VerificationServicer

__all__ = ["LogAppendServicer", "LogServicer", "TrustServicer", "ValidationServicer", "VerificationServicer"]
