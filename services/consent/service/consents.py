"""Asking for, granting, refusing and withdrawing consent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.chassis.clock import Clock
from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.principal import Principal, PrincipalKind
from services.consent.codes import BY_CODE
from services.consent.errors import (
    ConsentNotFound,
    ConsentRequestClosed,
    ConsentRequestNotFound,
    NotARecipient,
    NotThePerson,
    TermsNotAllowed,
)
from services.consent.model import (
    Channel,
    Consent,
    ConsentRequest,
    Evidence,
    RequestState,
    Terms,
)
from services.consent.ports import AppApproved, AppRefused, IdApp, Store
from services.consent.recipients import LONGEST_GROUND, ConsentEvent, Recipient, events_of
from services.consent.service.agreements import Agreements, Giver, asked_of, evidence_of, person_of
from services.consent.service.codes import Codes
from services.consent.service.persons import acts_for
from services.consent.terms import check_terms, one_for_each_source

# How often a request is polled: the lease of a poll is also the time to the next one.
_POLL_EVERY = timedelta(seconds=2)
_CLAIM = 50


class ConsentService:
    """Use cases around consents. `new_id` mints UUIDv7; `app` is the national ID app."""

    def __init__(
        self,
        store: Store,
        app: IdApp,
        codes: Codes,
        agreements: Agreements,
        clock: Clock,
        new_id: Callable[[], UUID],
    ) -> None:
        self._store = store
        self._app = app
        self._codes = codes
        self._agreements = agreements
        self._clock = clock
        self._new_id = new_id

    async def request(
        self, principal: Principal, person: UUID, terms: Terms, id: UUID, channel: Channel = Channel.NATIONAL_ID_APP
    ) -> tuple[ConsentRequest, str]:
        """Asks a person, or the guardian where one must agree; the caller's facility must be the grantee. `id` comes from the caller's request id,
        so a retry finds the first. Beside the request the code that a kiosk is to show, once."""
        check_terms(terms, "terms")
        if terms.organization != principal.facility:
            raise TermsNotAllowed(
                "a facility asks for itself",
                violations=(
                    FieldViolation("terms.grantee.organization", "the calling facility", "GRANTEE_NOT_CALLER"),
                ),
            )
        known = await self._store.request(id)
        if known is not None:
            return known, ""
        needed = await self._agreements.needed(person)
        now = self._clock()
        draft = ConsentRequest(
            id=id,
            person=person,
            organization=principal.facility or "",
            terms=terms,
            binding_message=f"LT-{secrets.randbelow(10**6):06d}",
            created_at=now,
            expires_at=self._agreements.life(needed, now),
            asked=needed.guardians[0] if needed.guardian else None,
            required=needed.required,
            ends_by=needed.until,
        )
        code = ""
        if channel in BY_CODE:
            asked, code = await self._codes.ask(draft, channel)
        else:
            asked = replace(draft, app_request=await self._app.ask(draft))
        await self._store.add_request(asked)
        return asked, code

    async def get_request(self, principal: Principal, id: UUID) -> ConsentRequest:
        """A request, for the facility that asked, the person and their guardians."""
        found = await self._store.request(id)
        ours = found is not None and (
            found.organization == principal.facility or await self._acts_for(principal, found.person)
        )
        if found is None or not ours:
            raise ConsentRequestNotFound("no such request")
        return found

    async def list_requests(
        self, principal: Principal, person: UUID, before: UUID | None, limit: int
    ) -> Sequence[ConsentRequest]:
        """Requests put to the calling person or their ward under any of the entries, newest first; a facility gets those that it made itself."""
        if principal.kind in {PrincipalKind.FACILITY, PrincipalKind.PRACTITIONER}:
            entries = (await self._store.entries(person)).all
            return await self._store.requests(entries, before, limit, organization=principal.facility or "")
        return await self._store.requests(await self._entries(principal, person), before, limit)

    async def grant_request(
        self, principal: Principal, request: UUID, id: UUID, kiosk_code: str = ""
    ) -> Sequence[Consent]:
        """Grants a request as it was asked; one consent for each source. One by KIOSK_QR only with the code that was scanned. Raises CodeWrong."""
        found = await self._store.request(request)
        giver = None if found is None else await self._agreements.giver(principal, found.person)
        if found is None or giver is None:
            raise ConsentRequestNotFound("no such request")
        self._codes.check_scanned(found, kiosk_code)
        channel = Channel.KIOSK_QR if kiosk_code else Channel.DIRECT
        return await self._grant(found, evidence_of(giver.role, channel), id, giver)

    async def confirm_code(self, principal: Principal, request: UUID, code: str, id: UUID) -> Sequence[Consent]:
        """Grants a request by SMS_CODE for who told the code to the facility; one consent for each source. Raises what `Codes.check_told` does."""
        found = await self._codes.check_told(principal, request, code)
        evidence = replace(evidence_of(found.asked_as, Channel.SMS_CODE), witness=principal.licence or "")
        return await self._grant(found, evidence, id)

    async def grant_terms(
        self, principal: Principal, terms: Terms, id: UUID, person: UUID | None = None
    ) -> Sequence[Consent]:
        """Grants unasked, for the caller or as the guardian of a person; one consent for each source. Raises NotTheGuardian."""
        check_terms(terms, "terms")
        whose = person_of(principal) if person is None else person
        giver = await self._agreements.giver_for(principal, whose)
        needed = await self._agreements.needed(whose)
        granted = Consent(
            id,
            whose,
            terms,
            evidence_of(giver.role),
            self._clock(),
            required=needed.required,
            granted_as=giver.role,
            granted_by=giver.person,
            ends_by=needed.until,
        )
        return await self._store.grant(one_for_each_source(granted), None)

    async def deny(self, principal: Principal, request: UUID) -> ConsentRequest:
        """Refuses a request. Refusing twice is the same; refusing what was granted or has lapsed is ConsentRequestClosed."""
        found = await self._store.request(request)
        if found is None or await self._agreements.giver(principal, found.person) is None:
            raise ConsentRequestNotFound("no such request")
        return await self._close(found, RequestState.DENIED)

    async def revoke(self, principal: Principal, id: UUID) -> Consent:
        """Withdraws a consent, as the person or as a guardian; holds from the next decision on. Withdrawing twice gives the first answer."""
        found = await self._store.consent(id)
        giver = None if found is None else await self._agreements.giver(principal, found.person)
        if found is None or giver is None:
            raise ConsentNotFound("no such consent")
        revoked = await self._store.revoke(id, [found.person], self._clock(), by=giver.person)
        if revoked is None:
            raise ConsentNotFound("no such consent")
        return revoked

    async def get(self, principal: Principal, id: UUID) -> Consent:
        """A consent, for the person, their guardians and the facility it is granted to."""
        found = await self._store.consent(id)
        ours = found is not None and (
            (principal.facility is not None and found.terms.organization == principal.facility)
            or await self._acts_for(principal, found.person)
        )
        if found is None or not ours:
            raise ConsentNotFound("no such consent")
        return found

    async def list(self, principal: Principal, person: UUID, before: UUID | None, limit: int) -> Sequence[Consent]:
        """The consents of the calling person or their ward under all the entries, newest first."""
        return await self._store.consents(await self._entries(principal, person), before, limit)

    async def uses(self, consents: Sequence[Consent]) -> Mapping[UUID, int]:
        """Reads that the frequency of each counts by now."""
        return await self._store.uses(consents, self._clock())

    async def of_requests(self, requests: Sequence[ConsentRequest]) -> Mapping[UUID, Sequence[Consent]]:
        """The consents that came of requests, by request."""
        granted = [one for one in requests if one.consent is not None]
        return {one.id: await self._store.consents_of_request(one.id, [one.person]) for one in granted}

    async def events(self, principal: Principal, id: UUID) -> Sequence[ConsentEvent]:
        """What happened to a consent, oldest first, for whoever may see the consent."""
        return events_of(await self.get(principal, id))

    async def recipients(self, principal: Principal, id: UUID, after: str, limit: int) -> Sequence[Recipient]:
        """Who was given data on the ground of a consent, by facility code, for the person and their guardians."""
        found = await self._store.consent(id)
        if found is None or not await self._acts_for(principal, found.person):
            raise ConsentNotFound("no such consent")
        return await self._store.recipients(found, after, limit)

    async def acknowledge_erasure(self, principal: Principal, id: UUID, retained_under: str) -> Recipient:
        """Keeps that the calling facility has erased what it was given. Saying it twice gives the first answer."""
        if len(retained_under) > LONGEST_GROUND:
            raise InvalidArgument.of(
                FieldViolation("retained_under", f"at most {LONGEST_GROUND} characters", "TOO_LONG")
            )
        facility = principal.facility or ""
        found = await self._store.consent(id)
        mine = None if found is None else await self._recipient(found, facility)
        if found is None or mine is None:
            raise NotARecipient("nothing was given on the ground of such a consent")
        await self._store.acknowledge_erasure(found, facility, principal.licence or "", retained_under, self._clock())
        return await self._recipient(found, facility) or mine

    async def _recipient(self, consent: Consent, facility: str) -> Recipient | None:
        found = await self._store.recipients(consent, "", 1, organization=facility)
        return found[0] if found else None

    async def collect_answers(self) -> int:
        """Polls the app for every request that is due; returns how many were answered. Each request stands alone: one that fails is left
        for the next round."""
        answered = 0
        for request in await self._store.claim_pending(self._clock(), _POLL_EVERY, _CLAIM):
            answer = await self._app.poll(request)
            if isinstance(answer, AppApproved):
                evidence = evidence_of(request.asked_as, Channel.NATIONAL_ID_APP, answer.assertion, answer.acr)
                await self._grant(request, evidence, self._new_id())
                answered += 1
            elif isinstance(answer, AppRefused):
                await self._close(request, answer.state)
                answered += 1
        return answered

    async def _grant(
        self, request: ConsentRequest, evidence: Evidence, id: UUID, giver: Giver | None = None
    ) -> Sequence[Consent]:
        """Grants what was asked, by default as who was asked."""
        now = self._clock()
        state = request.state(now)
        if state in (RequestState.DENIED, RequestState.EXPIRED):
            raise ConsentRequestClosed("the request is closed", metadata={"state": state.value})
        giver = giver or asked_of(request)
        consent = Consent(
            id,
            request.person,
            request.terms,
            evidence,
            now,
            request=request.id,
            required=request.required,
            granted_as=giver.role,
            granted_by=giver.person,
            ends_by=request.ends_by,
        )
        return await self._store.grant(one_for_each_source(consent), request.id)

    async def _close(self, request: ConsentRequest, answer: RequestState) -> ConsentRequest:
        now = self._clock()
        if request.state(now) is RequestState.EXPIRED and answer is not RequestState.EXPIRED:
            raise ConsentRequestClosed("the request has lapsed", metadata={"state": RequestState.EXPIRED.value})
        closed = await self._store.close_request(request.id, answer, now)
        if closed is None:
            raise ConsentRequestNotFound("no such request")
        if closed.answer is not answer:
            state = closed.state(now).value
            raise ConsentRequestClosed("the request was answered before", metadata={"state": state})
        return closed

    async def _entries(self, principal: Principal, person: UUID) -> tuple[UUID, ...]:
        if not await self._acts_for(principal, person):
            raise NotThePerson("only the person concerned and their guardians may do this")
        return (await self._store.entries(person)).all

    async def _acts_for(self, principal: Principal, person: UUID) -> bool:
        return await acts_for(self._store, principal, person, self._clock())
