"""Who agrees as who, to what text, and agreeing to a consent that awaits it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal, PrincipalKind
from services.consent.errors import ConsentNotFound, ConsentRequestClosed, ConsentRevoked, NotTheGuardian, NotThePerson
from services.consent.guardians import Needed
from services.consent.model import (
    REQUEST_LIFE,
    Agreement,
    AgreementRole,
    Channel,
    Consent,
    ConsentRequest,
    ConsentState,
    Evidence,
)
from services.consent.ports import Store
from services.consent.service.guardians import GuardianshipService
from services.consent.service.persons import is_guardian, is_person

CONSENT_TEXT_VERSION = "vi-2026-11"
CONSENT_TEXT = (
    "Tôi đồng ý cho cơ sở được nêu tên xem dữ liệu sức khỏe của tôi, là dữ liệu cá nhân nhạy cảm, đúng mục đích, loại dữ liệu và thời hạn"
    " đã chọn. Tôi có thể rút lại sự đồng ý này bất cứ lúc nào; việc rút lại có hiệu lực ngay với các lần xem sau."
)
"""What the person is told (Law 91/2025 art. 9: health data are sensitive, and the person must know it); version and hash are kept."""
GUARDIAN_TEXT_VERSION = "vi-2026-11-guardian"
GUARDIAN_TEXT = (
    "Tôi là cha, mẹ hoặc người giám hộ và đồng ý cho cơ sở được nêu tên xem dữ liệu sức khỏe của người mà tôi đại diện, là dữ liệu cá nhân"
    " nhạy cảm, đúng mục đích, loại dữ liệu và thời hạn đã chọn. Trẻ em từ đủ 7 tuổi cũng phải đồng ý. Tôi có thể rút lại sự đồng ý này bất cứ"
    " lúc nào; việc rút lại có hiệu lực ngay với các lần xem sau."
)
"""What a guardian is told."""
TEXTS: Mapping[AgreementRole, tuple[str, str]] = {
    AgreementRole.SELF: (CONSENT_TEXT_VERSION, CONSENT_TEXT),
    AgreementRole.GUARDIAN: (GUARDIAN_TEXT_VERSION, GUARDIAN_TEXT),
}


@dataclass(frozen=True)
class Giver:
    """Who agrees, and as who."""

    role: AgreementRole
    person: UUID


def evidence_of(role: AgreementRole, channel: Channel = Channel.DIRECT, assertion: str = "", acr: str = "") -> Evidence:
    """The evidence of agreeing in a role to the text of today."""
    version, text = TEXTS[role]
    return Evidence(channel, version, hashlib.sha256(text.encode()).hexdigest(), assertion, acr)


def asked_of(request: ConsentRequest) -> Giver:
    """Who agrees where a request's own channel was answered: the one who was asked."""
    return Giver(request.asked_as, request.asked or request.person)


def person_of(principal: Principal) -> UUID:
    """The calling citizen's person id. Raises NotThePerson for anybody else."""
    if principal.kind is not PrincipalKind.CITIZEN or not principal.person:
        raise NotThePerson("only the person concerned may do this")
    return UUID(principal.person.removeprefix("persons/"))


class Agreements:
    """Whose agreement the law asks for is looked up when a person is asked or grants unasked, and kept with the request or consent; whether a guardian
    still is one is looked up whenever it matters.
    """

    def __init__(self, store: Store, guardianships: GuardianshipService, clock: Clock) -> None:
        self._store = store
        self._guardianships = guardianships
        self._clock = clock

    async def needed(self, person: UUID) -> Needed:
        """Whose agreement a permission of this person needs now. Raises AgeUnknown, NoGuardian, PersonUnknown, PeerUnavailable."""
        return await self._guardianships.needed(person)

    def life(self, needed: Needed, now: datetime) -> datetime:
        """Until when a request may be answered."""
        end = now + REQUEST_LIFE
        return end if needed.until is None else min(end, needed.until)

    async def giver(self, principal: Principal, person: UUID) -> Giver | None:
        """As who the caller may agree for a person: as themself, or as a guardian in office. None for anybody else."""
        own = person_of(principal)
        if await is_person(self._store, principal, person):
            return Giver(AgreementRole.SELF, person)
        if await is_guardian(self._store, principal, person, self._clock()):
            return Giver(AgreementRole.GUARDIAN, own)
        return None

    async def giver_for(self, principal: Principal, person: UUID) -> Giver:
        """The same. Raises NotTheGuardian."""
        giver = await self.giver(principal, person)
        if giver is None:
            raise NotTheGuardian("only the person concerned and their guardians may do this")
        return giver

    async def agree(self, principal: Principal, id: UUID) -> Consent:
        """Agrees to a consent that awaits it, as the child or as a guardian. Where nothing is awaited from the caller nothing changes. Raises
        ConsentNotFound, ConsentRevoked, and ConsentRequestClosed where it has ended.
        """
        found = await self._store.consent(id)
        giver = None if found is None else await self.giver(principal, found.person)
        if found is None or giver is None:
            raise ConsentNotFound("no such consent")
        now = self._clock()
        state = found.state(now)
        if state is ConsentState.REVOKED:
            raise ConsentRevoked("the consent was withdrawn before")
        if giver.role in {one.role for one in found.agreements}:
            return found
        if state is ConsentState.EXPIRED:
            raise ConsentRequestClosed("the consent has ended", metadata={"state": state.value})
        if giver.role not in found.required:
            return found
        agreed = await self._store.agree(found, Agreement(giver.role, giver.person, now, evidence_of(giver.role)))
        if agreed is None:
            raise ConsentNotFound("no such consent")
        return agreed
