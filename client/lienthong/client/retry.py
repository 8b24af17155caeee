"""The one retry policy (architecture §7): UNAVAILABLE only, 4 attempts, exponential with jitter."""

from __future__ import annotations

import json

SERVICE_CONFIG = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""gRPC service config. Safe for every method: reads change nothing, and every write is idempotent."""
