"""A monitor of the transparency log: it follows the log through the public API, keeps what it has verified, and holds receipts against it.

Whoever has receipts can run one; it needs public keys only. Every alarm has a stable name (`Alarm`).
"""
