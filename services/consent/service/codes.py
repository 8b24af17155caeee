"""Asking by a code, and being told it."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.principal import Principal
from services.consent.codes import CODE_LIFE, MOST_WRONG, Blind, Sms, code_hash, is_code, new_code, sms_text
from services.consent.errors import ChannelNotAllowed, CodeWrong, ConsentRequestClosed, ConsentRequestNotFound
from services.consent.model import Channel, ConsentRequest, RequestState
from services.consent.person_facts import PersonFacts
from services.consent.ports import Store


class Codes:
    """Makes and checks codes. What is kept of one is a keyed hash; the code itself is given once, to the kiosk or to the phone."""

    def __init__(self, store: Store, facts: PersonFacts, sms: Sms, blind: Blind, clock: Clock) -> None:
        self._store = store
        self._facts = facts
        self._sms = sms
        self._blind = blind
        self._clock = clock

    async def ask(self, draft: ConsentRequest, channel: Channel) -> tuple[ConsentRequest, str]:
        """The request as it is to be kept, and for KIOSK_QR the code to show. For SMS_CODE it is sent to the phone that is registered for who is
        asked. Raises ChannelNotAllowed where there is none, SmsUnavailable, PeerUnavailable.
        """
        code = new_code(channel)
        end = min(draft.expires_at, draft.created_at + CODE_LIFE)
        asked = replace(draft, channel=channel, expires_at=end, code=code_hash(self._blind, draft.id, code))
        if channel is Channel.KIOSK_QR:
            return asked, code
        known = await self._facts.of(draft.asked or draft.person, with_phone=True)
        if not known.phone:
            raise ChannelNotAllowed("no phone is registered", metadata={"why": "NO_PHONE"})
        await self._sms.send(known.phone, sms_text(code, draft.binding_message), draft.id)
        return asked, ""

    def check_scanned(self, request: ConsentRequest, code: str) -> None:
        """Raises CodeWrong unless that is what the kiosk showed for a request by KIOSK_QR; a code for any other request is wrong too."""
        by_kiosk = request.channel is Channel.KIOSK_QR
        if by_kiosk != bool(code) or (by_kiosk and not is_code(self._blind, request.id, code, request.code)):
            raise CodeWrong("the code is not the one that the kiosk showed")

    async def check_told(self, principal: Principal, id: UUID, code: str) -> ConsentRequest:
        """The request by SMS_CODE of the calling facility that this code answers. Five wrong ones close it. Raises ConsentRequestNotFound,
        ConsentRequestClosed, CodeWrong.
        """
        found = await self._store.request(id)
        if found is None or found.organization != principal.facility or found.channel is not Channel.SMS_CODE:
            raise ConsentRequestNotFound("no such request")
        now = self._clock()
        state = found.state(now)
        if state in (RequestState.DENIED, RequestState.EXPIRED):
            raise ConsentRequestClosed("the request is closed", metadata={"state": state.value})
        if not is_code(self._blind, found.id, code, found.code):
            wrong = await self._store.count_wrong_code(id, MOST_WRONG, now)
            left = max(MOST_WRONG - wrong, 0)
            raise CodeWrong("the code is not the one that was sent", metadata={"attempts_left": str(left)})
        return found
