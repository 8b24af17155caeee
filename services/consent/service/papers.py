"""Recording a consent that was signed on paper."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal
from services.consent.errors import NotTheGuardian, TermsNotAllowed
from services.consent.guardians import Needed
from services.consent.model import Agreement, AgreementRole, Channel, Consent, Evidence
from services.consent.papers import OLDEST, Paper, PaperStore
from services.consent.ports import Store
from services.consent.service.agreements import TEXTS, Agreements, Giver, evidence_of
from services.consent.terms import check_terms, one_for_each_source


class PaperAndConsentStore(Store, PaperStore, Protocol):
    """What recording a paper needs."""


class PaperService:
    """The practitioner who saw it signed vouches; the scan is kept as evidence before the consent it proves."""

    def __init__(self, store: PaperAndConsentStore, agreements: Agreements, clock: Clock) -> None:
        self._store = store
        self._agreements = agreements
        self._clock = clock

    async def record(self, principal: Principal, paper: Paper, id: UUID) -> Sequence[Consent]:
        """Records a paper for the practitioner's own facility; one consent for each source, counted from the signature. A retry finds the first.
        Raises InvalidArgument, TermsNotAllowed, NotTheGuardian, AgeUnknown, NoGuardian.
        """
        check_terms(paper.terms, "terms")
        if paper.terms.organization != principal.facility:
            field = FieldViolation("terms.grantee.organization", "the calling facility", "GRANTEE_NOT_CALLER")
            raise TermsNotAllowed("a facility records what it was granted itself", violations=(field,))
        now = self._clock()
        if not now - OLDEST <= paper.signed_at <= now:
            wanted = f"at most {OLDEST.days} days ago, not in the future"
            raise InvalidArgument.of(FieldViolation("sign_time", wanted, "TIME_OUT_OF_RANGE"))
        needed = await self._agreements.needed(paper.person)
        giver = _signer(paper, needed)
        digest = hashlib.sha256(paper.scan).hexdigest()
        evidence = _evidence(giver.role, paper, digest, principal.licence or "")
        await self._store.keep_scan(paper.person, digest, paper.scan, now)
        consent = Consent(
            id,
            paper.person,
            paper.terms,
            evidence,
            paper.signed_at,
            required=needed.required,
            granted_as=giver.role,
            granted_by=giver.person,
            ends_by=needed.until,
        )
        granted = await self._store.grant(one_for_each_source(consent), None)
        if giver.role is AgreementRole.SELF or not paper.child_signed:
            return granted
        child = replace(evidence_of(AgreementRole.SELF, Channel.SIGNED_PAPER, digest), witness=principal.licence or "")
        agreement = Agreement(AgreementRole.SELF, paper.person, paper.signed_at, child)
        return [await self._store.agree(one, agreement) or one for one in granted]


def _signer(paper: Paper, needed: Needed) -> Giver:
    """Who signed, as who."""
    if not needed.guardian:
        if paper.guardian is not None or paper.child_signed:
            raise InvalidArgument.of(FieldViolation("guardian", "only for who cannot agree alone", "GUARDIAN_UNFIT"))
        return Giver(AgreementRole.SELF, paper.person)
    if paper.guardian is None:
        raise InvalidArgument.of(FieldViolation("guardian", "who signed for the person", "GUARDIAN_MISSING"))
    if paper.guardian not in needed.guardians:
        raise NotTheGuardian("who signed is no guardian of the person")
    if paper.child_signed and AgreementRole.SELF not in needed.required:
        raise InvalidArgument.of(FieldViolation("child_signed", "from seven years on", "CHILD_TOO_YOUNG"))
    return Giver(AgreementRole.GUARDIAN, paper.guardian)


def _evidence(role: AgreementRole, paper: Paper, digest: str, licence: str) -> Evidence:
    """The evidence of the text that was printed. Raises InvalidArgument where it is not the one for who signed."""
    evidence = evidence_of(role, Channel.SIGNED_PAPER, digest)
    if paper.text_version != TEXTS[role][0]:
        raise InvalidArgument.of(FieldViolation("text_version", TEXTS[role][0], "TEXT_VERSION_UNKNOWN"))
    return replace(evidence, witness=licence)
