"""How the commands around persons read numbers, sexes, dates and times."""

from __future__ import annotations

from datetime import datetime

import click
from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from lienthong.type.v1 import administrative_sex_pb2, identifier_pb2

TYPES = {
    "citizen-id": identifier_pb2.IDENTIFIER_TYPE_CITIZEN_ID,
    "old-id": identifier_pb2.IDENTIFIER_TYPE_OLD_ID,
    "passport": identifier_pb2.IDENTIFIER_TYPE_PASSPORT,
    "health-insurance": identifier_pb2.IDENTIFIER_TYPE_HEALTH_INSURANCE,
    "social-insurance": identifier_pb2.IDENTIFIER_TYPE_SOCIAL_INSURANCE,
    "temporary": identifier_pb2.IDENTIFIER_TYPE_TEMPORARY,
}
SEXES = {
    "male": administrative_sex_pb2.ADMINISTRATIVE_SEX_MALE,
    "female": administrative_sex_pb2.ADMINISTRATIVE_SEX_FEMALE,
    "undetermined": administrative_sex_pb2.ADMINISTRATIVE_SEX_UNDETERMINED,
}


def birth_date(text: str) -> date_pb2.Date:
    """`1990`, `1990-05` or `1990-05-17` as a date with zero for unknown parts."""
    parts = [int(part) for part in text.split("-")]
    year, month, day = [*parts, 0, 0][:3]
    return date_pb2.Date(year=year, month=month, day=day)


def moment(context: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    """A time such as `2026-11-23T08:05` as an option has it; without a zone it is that of this machine."""
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).astimezone()
    except ValueError:
        raise click.BadParameter("not a time such as 2026-11-23T08:05", context, option) from None


def timestamp(at: datetime | None) -> Timestamp | None:
    """A time in proto."""
    if at is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
