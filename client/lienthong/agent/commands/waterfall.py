"""A candidate of a review in text: both sides of every field, and how the score came about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from lienthong.identity.v1 import person_link_pb2, person_service_pb2

_BITS_A_SIGN = 2.0
_WIDEST = 24


def candidate_lines(candidate: person_link_pb2.ReviewCandidate) -> Sequence[str]:
    """The candidate, the waterfall from the odds before anything was compared down to the score, and both sides."""
    lines = [f"candidate {candidate.person}  {candidate.score:+.1f} bits"]
    steps = list(candidate.evidence)
    wide = max((len(step.field) for step in steps), default=0)
    for step, total in zip(steps, accumulate(step.bits for step in steps), strict=True):
        agreement = ""
        if step.agreement:
            agreement = person_service_pb2.FieldAgreement.Name(step.agreement).removeprefix("FIELD_AGREEMENT_")
        line = f"  {step.field:<{wide}}  {step.bits:+6.1f}  {total:+6.1f}  {agreement:<12}  {_bar(step.bits)}"
        lines.append(line.rstrip())
    names = max((len(field.field) for field in candidate.fields), default=0)
    for field in candidate.fields:
        sign = "=" if field.subject_value == field.candidate_value else "|"
        lines.append(f"  {field.field:<{names}}  {field.subject_value or '-'}  {sign}  {field.candidate_value or '-'}")
    return lines


def _bar(bits: float) -> str:
    """One sign for every two bits, at most 24."""
    return ("+" if bits > 0 else "-") * min(_WIDEST, round(abs(bits) / _BITS_A_SIGN))
