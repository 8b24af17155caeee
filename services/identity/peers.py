"""The other roles as the identity role sees them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import grpc
from google.type import date_pb2
from lienthong.consent.v1 import (
    access_ledger_service_pb2,
    access_ledger_service_pb2_grpc,
    consent_pb2,
    consent_service_pb2,
    consent_service_pb2_grpc,
    decision_pb2,
    decision_service_pb2,
    decision_service_pb2_grpc,
    treatment_relation_service_pb2,
    treatment_relation_service_pb2_grpc,
)
from lienthong.referrals.v1 import (
    appointment_pb2,
    appointment_service_pb2,
    appointment_service_pb2_grpc,
    referral_pb2,
    referral_service_pb2,
    referral_service_pb2_grpc,
)
from lienthong.type.v1 import access_context_pb2, document_kind_pb2, period_pb2

from services.chassis.peers import call_peer
from services.identity.check_ins import CHECK_IN_HOLDS, KeptCheckIn
from services.identity.convert.scalars import stamp
from services.identity.disclosure import Ground, Ruling, Wanted
from services.identity.service import Reading, WaitingItem
from services.identity.service.newborns import HANOI

_TIMEOUT = 5.0
_KIOSK_TIMEOUT = 2.0
"""Seconds: somebody stands at the kiosk."""
_WAITING = 50
_APPOINTMENT, _REFERRAL = "APPOINTMENT_STATE_", "REFERRAL_STATE_"
_LARGEST_PAGE = 500
_QUERIES = 100
"""Queries of one Decide."""
_PURPOSE = access_context_pb2.PurposeOfUse
_BASIS = access_context_pb2.LegalBasis
_CONTEXTS = {
    Ground.OWN_DATA: (_PURPOSE.PURPOSE_OF_USE_PATIENT_REQUEST, _BASIS.LEGAL_BASIS_OWN_DATA),
    Ground.TREATMENT: (_PURPOSE.PURPOSE_OF_USE_TREATMENT, _BASIS.LEGAL_BASIS_LAW_19_1_DD),
    Ground.REGISTER: (_PURPOSE.PURPOSE_OF_USE_OPERATIONS, _BASIS.LEGAL_BASIS_LAW_19_1_DD),
}
_MOST_PAGES = 100


class GrpcAccessLedger:
    """`AccessLedger` over gRPC. This role asks for itself: a steward has no business on a citizen's ledger."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = access_ledger_service_pb2_grpc.AccessLedgerServiceStub(channel)

    async def readings(self, person: UUID, since: datetime, until: datetime, limit: int) -> Sequence[Reading]:
        """Permitted accesses within a time. The ledger is read from its newest line until the beginning of that time, 50,000 lines at most."""
        found: list[Reading] = []
        token = ""
        for _ in range(_MOST_PAGES):
            request = access_ledger_service_pb2.ListAccessesRequest(
                person=f"persons/{person}", page_size=_LARGEST_PAGE, page_token=token
            )
            answer = await call_peer(self._stub.ListAccesses, request, timeout=_TIMEOUT, name="consent", forward=False)
            times = [line.access_time.ToDatetime(tzinfo=UTC) for line in answer.accesses]
            found += [
                _reading(person, line, at)
                for line, at in zip(answer.accesses, times, strict=True)
                if line.person == request.person and since <= at <= until and line.effect == decision_pb2.EFFECT_PERMIT
            ]
            token = answer.next_page_token
            # Lines stand in the order of their numbers, and the clocks of processes differ by seconds, not by pages.
            if not token or len(found) >= limit or (times and times[-1] < since):
                return found[:limit]
        return found[:limit]


def _reading(person: UUID, line: access_ledger_service_pb2.Access, at: datetime) -> Reading:
    return Reading(
        UUID(line.name.removeprefix("accesses/")), person, at, line.organization.removeprefix("organizations/")
    )


class GrpcDecisions:
    """`Decisions` over gRPC; the caller's token travels along, so each decision is about the end actor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = decision_service_pb2_grpc.DecisionServiceStub(channel)

    async def decide(self, method: str, wanted: Sequence[Wanted]) -> Sequence[Ruling]:
        """One call for every hundred persons. Who somebody is stands in check-in papers, so that is the kind asked for."""
        rulings: list[Ruling] = []
        for start in range(0, len(wanted), _QUERIES):
            queries = [_query(method, one) for one in wanted[start : start + _QUERIES]]
            request = decision_service_pb2.DecideRequest(queries=queries)
            answer = await call_peer(self._stub.Decide, request, timeout=_TIMEOUT, name="consent")
            rulings += [_ruling(one) for _, one in zip(queries, answer.decisions, strict=True)]
        return rulings


def _query(method: str, wanted: Wanted) -> decision_service_pb2.DecisionQuery:
    purpose, basis = _CONTEXTS[wanted.ground]
    return decision_service_pb2.DecisionQuery(
        person=f"persons/{wanted.person}",
        context=access_context_pb2.AccessContext(purpose=purpose, legal_basis=basis),
        kinds=[document_kind_pb2.DOCUMENT_KIND_CHECK_IN],
        method=method,
        resources=[f"persons/{wanted.person}"],
        evidence=[
            decision_service_pb2.TreatmentEvidence(type=one.type, resource=one.resource) for one in wanted.evidence
        ],
    )


def _ruling(decision: decision_pb2.Decision) -> Ruling:
    return Ruling(
        decision.name,
        decision.effect == decision_pb2.EFFECT_PERMIT,
        tuple(change.code for change in decision.would_change),
    )


class GrpcCheckIns:
    """Telling the decision point of check-ins; this role tells for itself, whoever's call it is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = treatment_relation_service_pb2_grpc.TreatmentRelationServiceStub(channel)

    async def tell(self, check_ins: Sequence[KeptCheckIn]) -> None:
        """One call, at most 200 check-ins."""
        request = treatment_relation_service_pb2.RecordTreatmentRelationsRequest(
            relations=[
                treatment_relation_service_pb2.TreatmentRelation(
                    type="CHECK_IN",
                    resource=one.name,
                    person=f"persons/{one.person}",
                    organization=f"organizations/{one.facility}",
                    period=period_pb2.Period(start_time=stamp(one.at), end_time=stamp(one.at + CHECK_IN_HOLDS)),
                    record_time=stamp(one.at),
                )
                for one in check_ins
            ]
        )
        await call_peer(
            self._stub.RecordTreatmentRelations, request, timeout=_KIOSK_TIMEOUT, name="consent", forward=False
        )


class GrpcWaitingItems:
    """`WaitingItems` over gRPC, for the facility whose call this is: its token travels along, and the others show it what it may see."""

    def __init__(self, consent: grpc.aio.Channel, referrals: grpc.aio.Channel) -> None:
        self._consents = consent_service_pb2_grpc.ConsentServiceStub(consent)
        self._referrals = referral_service_pb2_grpc.ReferralServiceStub(referrals)
        self._appointments = appointment_service_pb2_grpc.AppointmentServiceStub(referrals)

    async def consent_requests(self, person: UUID) -> Sequence[WaitingItem]:
        """Requests of this facility that are not answered, of the newest 50."""
        request = consent_service_pb2.ListConsentRequestsRequest(person=f"persons/{person}", page_size=_WAITING)
        answer = await call_peer(self._consents.ListConsentRequests, request, timeout=_KIOSK_TIMEOUT, name="consent")
        return [
            WaitingItem(one.name, one.expire_time.ToDatetime(tzinfo=UTC), "PENDING")
            for one in answer.consent_requests
            if one.state == consent_pb2.CONSENT_REQUEST_STATE_PENDING
        ]

    async def appointments(self, person: UUID, day: date) -> Sequence[WaitingItem]:
        """Appointments of this facility on a day, 50 at most."""
        today = date_pb2.Date(year=day.year, month=day.month, day=day.day)
        request = appointment_service_pb2.ListAppointmentsRequest(
            person=f"persons/{person}", start_date=today, end_date=today, page_size=_WAITING
        )
        answer = await call_peer(self._appointments.ListAppointments, request, timeout=_KIOSK_TIMEOUT, name="referrals")
        return [
            WaitingItem(one.name, None, appointment_pb2.AppointmentState.Name(one.state).removeprefix(_APPOINTMENT))
            for one in answer.appointments
        ]

    async def referrals(self, person: UUID) -> Sequence[WaitingItem]:
        """Referrals to this facility under which the person may still arrive, of the newest 50."""
        request = referral_service_pb2.ListReferralsRequest(
            person=f"persons/{person}",
            direction=referral_service_pb2.REFERRAL_DIRECTION_INCOMING,
            page_size=_WAITING,
        )
        answer = await call_peer(self._referrals.ListReferrals, request, timeout=_KIOSK_TIMEOUT, name="referrals")
        return [
            WaitingItem(
                one.name, _end_of(one.valid_through), referral_pb2.ReferralState.Name(one.state).removeprefix(_REFERRAL)
            )
            for one in answer.referrals
            if one.state in {referral_pb2.REFERRAL_STATE_SENT, referral_pb2.REFERRAL_STATE_ACCEPTED}
        ]


def _end_of(day: date_pb2.Date) -> datetime | None:
    """The first instant after a day of Vietnam."""
    return datetime(day.year, day.month, day.day, tzinfo=HANOI) + timedelta(days=1) if day.year else None
