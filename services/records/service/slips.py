"""Papers inside accepted documents on their way to the referrals role: the payload of their events."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from uuid import UUID

from services.records.formats.document import FollowUpSlip, ReferralSlip
from services.records.model import Accepted


@dataclass(frozen=True)
class Slip:
    """One paper with where it stands and whom it is about."""

    document: UUID
    person: UUID
    facility: str
    paper: ReferralSlip | FollowUpSlip


def slips_of(document: Accepted) -> list[Slip]:
    """The papers of a document. A held one has none: they leave when its person is known."""
    if document.filing.held:
        return []
    papers = (document.parsed.referral, document.parsed.follow_up)
    return [
        Slip(document.id, document.filing.person, document.incoming.facility, paper)
        for paper in papers
        if paper is not None
    ]


def slip_to_json(slip: Slip) -> bytes:
    """Serialises for the outbox, where it lies sealed."""
    members: dict[str, Any] = {
        "document": str(slip.document),
        "person": str(slip.person),
        "facility": slip.facility,
        "type": "referral" if isinstance(slip.paper, ReferralSlip) else "follow_up",
        "paper": asdict(slip.paper),
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"), default=date.isoformat).encode()


def slip_from_json(payload: bytes) -> Slip:
    """Reads what `slip_to_json` wrote."""
    members = json.loads(payload)
    paper = members["paper"]
    read: ReferralSlip | FollowUpSlip
    if members["type"] == "referral":
        for name in ("previous_facilities", "secondary_diagnoses"):
            paper[name] = tuple(paper[name])
        read = ReferralSlip(**{**paper, "signed_on": date.fromisoformat(paper["signed_on"])})
    else:
        read = FollowUpSlip(**{**paper, "appointed_on": date.fromisoformat(paper["appointed_on"])})
    return Slip(UUID(members["document"]), UUID(members["person"]), members["facility"], read)
