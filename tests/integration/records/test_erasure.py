"""A person's key destroyed: every copy of that person's documents is unreadable, and nobody else's is touched."""

from __future__ import annotations

from uuid import UUID

import pytest
from lienthong.client.errors import LienthongError
from lienthong.records.v1 import document_service_pb2

from services.chassis.clock import system_clock
from services.chassis.database import Database
from services.chassis.keyring import FileKeyring, PersonKeys
from services.records.config import Settings
from tests.fakes.records_samples import episode
from tests.integration.records.conftest import CONSENT, EVERYTHING, Records, document, reason

READER = "79001"


async def destroy(settings: Settings, person: str) -> int:
    keys = PersonKeys(FileKeyring(settings.keyring), "records", system_clock)
    async with Database(settings.database) as database:
        return await database.write(lambda connection: keys.destroy(connection, UUID(person.removeprefix("persons/"))))


async def test_documents_and_health_book_of_an_erased_person_cannot_be_read(
    records: Records, settings: Settings
) -> None:
    records.consent.permissions = EVERYTHING
    erased, other = [await records.submit(document(episode(number), f"d{number}")) for number in (1, 2)]
    assert erased.person != other.person
    assert await destroy(settings, erased.person) == 1
    with pytest.raises(LienthongError) as refused:
        await records.get(erased.document, READER)
    assert reason(refused.value) == ("NOT_FOUND", "DATA_ERASED")
    book = document_service_pb2.GetHealthBookRequest(person=erased.person, context=CONSENT)
    with pytest.raises(LienthongError) as refused:
        await records.read("GetHealthBook", book, READER)
    assert refused.value.reason == "DATA_ERASED"
    assert (await records.get(other.document, READER)).signed_content.content == episode(2).content


async def test_the_facility_keeps_its_receipt_and_sends_anew_under_a_new_key(
    records: Records, settings: Settings
) -> None:
    records.consent.permissions = EVERYTHING
    first = await records.submit(document(episode(1), "d1"))
    await destroy(settings, first.person)
    again = await records.submit(document(episode(1), "d1"))
    assert again.receipt.promise == first.receipt.promise
    fresh = await records.submit(document(episode(1), "d2"))
    assert fresh.person == first.person
    assert (await records.get(fresh.document, READER)).signed_content.content == episode(1).content
    with pytest.raises(LienthongError) as refused:
        await records.get(first.document, READER)
    assert refused.value.reason == "DATA_ERASED"
