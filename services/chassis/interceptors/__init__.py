"""The interceptors in their order, outermost first, and the adapter that puts them around all four kinds of RPC.

observe -> deadline -> workload -> principal -> validate -> status
"""

from __future__ import annotations

from services.chassis.interceptors.adapter import Chain, Inbound, Interceptor

__all__ = ["Chain", "Inbound", "Interceptor"]
