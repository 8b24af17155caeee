"""Canonical forms of what people write: names, identifiers, phones, dates. Pure and versioned.

`RULES_VERSION` goes up with every change that can alter a canonical value; stored keys and said-digests depend on it.
"""

from __future__ import annotations

RULES_VERSION = 1

NORMALISER_VERSION = "names-3"
"""Name of the normaliser, as answers and stored keys name it; a new name means that block keys are made anew."""
