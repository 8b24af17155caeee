"""What the consent role is told of a person, and no more of it (Law 91/2025/QH15 art. 3: only what the purpose needs)."""

from __future__ import annotations

from google.type import date_pb2
from lienthong.identity.v1 import person_fact_service_pb2

from services.identity.golden import GoldenPerson
from services.identity.model import PersonState
from services.identity.normalise.phones import phone as normal_phone

_MOBILE_DIGITS = 10


def facts_message(found: GoldenPerson, *, with_phone: bool) -> person_fact_service_pb2.GetPersonFactsResponse:
    """The facts in proto. A year worked out from an estimated age is not a known date of birth, and a landline takes no message: both are absent."""
    person = found.person
    birth = person.demographics.birth
    known = birth is not None and not birth.estimated
    number = (normal_phone(person.demographics.phone) or "") if with_phone else ""
    return person_fact_service_pb2.GetPersonFactsResponse(
        current_person=person.name,
        birth_date=date_pb2.Date(year=birth.year, month=birth.month, day=birth.day) if birth and known else None,
        deceased=person.death is not None,
        provisional=person.state is PersonState.PROVISIONAL,
        phone=number if len(number) == _MOBILE_DIGITS else "",
    )
