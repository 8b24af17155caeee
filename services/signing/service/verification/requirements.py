"""The verdict on a document: its signatures, and whose the policy asks for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.signing.model import (
    BuildingBlock,
    Check,
    CheckState,
    Indication,
    SignatureVerdict,
    SignedDocument,
    SignerRole,
    Verdict,
    acceptable,
    worst,
)
from services.signing.policy import RoleRequirement, SignaturePolicy

ROLE_MISSING = "ROLE_MISSING"


def document_verdict(
    document: SignedDocument, signatures: Sequence[SignatureVerdict], policy: SignaturePolicy, trust_version: int
) -> Verdict:
    """The verdict from those of all signatures, at least one.

    The worst signature of a role that the policy asks for decides. A signature that is broken decides too, whoever made
    it: bytes differ from what was signed. What is only open or not accepted in a role that nobody asks for is told with
    that signature, and in the requirements.
    """
    rules = policy.required(document.kinds, document.received_at)
    decisive = worst([one for one in signatures if _counts(one, rules)] or signatures)
    lines = [(rule, _fulfilled(rule, signatures)) for rule in rules]
    missing = any(not fulfilled and rule.refuses for rule, fulfilled in lines)
    indication, sub, reason = decisive.indication, decisive.sub_indication, decisive.reason
    if acceptable(decisive) and missing:
        indication, sub, reason = Indication.INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", ROLE_MISSING
    return Verdict(
        signatures=tuple(signatures),
        indication=indication,
        sub_indication=sub,
        reason=reason,
        control_time=document.received_at,
        trust_version=trust_version,
        acceptable=acceptable(decisive) and not missing,
        policy_version=policy.version,
        requirements=tuple(_line(rule, fulfilled) for rule, fulfilled in lines),
        grace_period_end=_latest([one.grace_period_end for one in signatures]),
    )


def _counts(signature: SignatureVerdict, rules: Sequence[RoleRequirement]) -> bool:
    """Whether a signature may decide: one whose signer is not known may be anybody's."""
    broken = signature.indication in (Indication.TOTAL_FAILED, Indication.NO_SIGNATURE_FOUND)
    asked: set[SignerRole | None] = {rule.role for rule in rules if rule.refuses}
    return broken or signature.role is None or signature.role in asked


def _fulfilled(rule: RoleRequirement, signatures: Sequence[SignatureVerdict]) -> bool:
    parts = {"", rule.part}
    return any(one.role is rule.role and one.part in parts and acceptable(one) for one in signatures)


def _line(rule: RoleRequirement, fulfilled: bool) -> Check:
    if fulfilled:
        return Check(BuildingBlock.ACCEPTANCE_VALIDATION, CheckState.OK)
    state = CheckState.NOT_OK if rule.refuses else CheckState.WARNING
    return Check(BuildingBlock.ACCEPTANCE_VALIDATION, state, f"{ROLE_MISSING}_{rule.role.value}")


def _latest(times: Sequence[datetime | None]) -> datetime | None:
    return max((time for time in times if time is not None), default=None)
