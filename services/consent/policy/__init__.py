"""The access policy: an engine made for this, and versioned files of rules. Default deny, forbid beats permit, no rule sees another's result."""

from __future__ import annotations

from services.consent.policy.engine import PolicyUnknown, policies, policy_at, policy_named, rule_on
from services.consent.policy.language import Policy, PolicyUnreadable

__all__ = ["Policy", "PolicyUnknown", "PolicyUnreadable", "policies", "policy_at", "policy_named", "rule_on"]
