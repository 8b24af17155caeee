"""`python -m deploy.envoy FOLDER` renders the gateway for Kubernetes into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.envoy.kubernetes import kubernetes
from deploy.envoy.render import render

if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m deploy.envoy FOLDER")
    print(render(kubernetes(), Path(sys.argv[1])))
