"""Cards and check-ins."""

from __future__ import annotations

from lienthong.client.card_code import CardKind
from lienthong.identity.v1 import check_in_service_pb2, person_service_pb2
from lienthong.type.v1 import identifier_pb2

from services.identity import model
from services.identity.convert.persons import resolution_message
from services.identity.convert.scalars import ASSURANCE, TYPE, date_message, demographics_message, numbers, stamp
from services.identity.service.check_in import Card, CheckedIn, CheckInMethod, WaitingItem

_KIND = numbers(CardKind, check_in_service_pb2.CardCodeKind, "CARD_CODE_KIND")
_METHOD = numbers(CheckInMethod, check_in_service_pb2.CheckInMethod, "CHECK_IN_METHOD")


def card_message(card: Card) -> check_in_service_pb2.CardCode:
    """A card in proto."""
    return check_in_service_pb2.CardCode(
        kind=_KIND[card.kind], query=_query(card.query), issue_date=date_message(card.issued), warnings=card.warnings
    )


def checked_in_message(answer: CheckedIn) -> check_in_service_pb2.CheckInResponse:
    """The answer at the kiosk in proto."""
    return check_in_service_pb2.CheckInResponse(
        method=_METHOD[answer.method],
        resolution=resolution_message(answer.resolution),
        assurance=ASSURANCE[answer.assurance],
        consent_requests=map(_item, answer.consent_requests),
        appointments=map(_item, answer.appointments),
        referrals=map(_item, answer.referrals),
        unavailable=[
            check_in_service_pb2.UnavailablePart(part=part, reason=reason) for part, reason in answer.unavailable
        ],
        warnings=answer.warnings,
        decision=answer.decision,
        check_in=answer.check_in,
    )


def _item(item: WaitingItem) -> check_in_service_pb2.WaitingItem:
    return check_in_service_pb2.WaitingItem(name=item.name, time=stamp(item.at) if item.at else None, state=item.state)


def _query(query: model.Query) -> person_service_pb2.PersonQuery:
    return person_service_pb2.PersonQuery(
        identifiers=[
            identifier_pb2.Identifier(type=TYPE[one.type], value=one.value, assigner=one.assigner)
            for one in query.identifiers
        ],
        demographics=demographics_message(query.demographics),
    )
