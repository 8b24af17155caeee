"""Transparency-log primitives and offline verification of receipts (RFC 6962, C2SP signed-note, tlog-checkpoint,
tlog-proof, tlog-policy).

Depends on nothing but `cryptography`. Verifiers need public keys only and never open a connection.
"""
