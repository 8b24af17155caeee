"""Loopback ports that stay ours: nobody else gets them while the stack runs, also while a role that died is away."""

from __future__ import annotations

import socket
from contextlib import ExitStack

HOST = "127.0.0.1"


class Ports:
    """Reserved ports. A socket stays bound to each without listening, which keeps other programs away but not a child
    of ours that binds it with SO_REUSEADDR, as every server here does.
    """

    def __init__(self) -> None:
        self._held = ExitStack()

    def reserve(self) -> str:
        """A free address, `127.0.0.1:port`."""
        holder = self._held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        # Bound first and made reusable afterwards, so that it can't be given the port of another stack's holder.
        holder.bind((HOST, 0))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return f"{HOST}:{holder.getsockname()[1]}"

    def release(self) -> None:
        """Gives all of them back."""
        self._held.close()
