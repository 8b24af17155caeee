"""Parties outside that the log talks to over HTTP: witnesses and a time-stamp authority."""

from __future__ import annotations

from services.signing.peers.timestamp import HttpTimestampAuthority
from services.signing.peers.witness import HttpWitness

__all__ = ["HttpTimestampAuthority", "HttpWitness"]
