"""The signing role: trust store, signature verdicts, transparency log and its checkpoints.

It owns the list of certification authorities, the facilities' registered signing certificates, revocation data and the append-only log with
the key that signs its checkpoints. It never stores a document, never knows a person, and never fetches anything from an address that a
submission names.
"""
