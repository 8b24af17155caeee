"""Revocation on PostgreSQL: lists exploded into rows, OCSP answers, and the bytes of both as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.signing.model import (
    AnsweredRevocation,
    RevocationList,
    RevocationSource,
    RevocationStatus,
    RevokedCertificate,
    TrustSnapshot,
)
from services.signing.postgres.evidence import add_evidence
from services.signing.schema import ocsp_answer, revocation_list, revoked_certificate, trust_state

_CHUNK = 1000
HOLD = "certificateHold"
"""The one revocation that can be taken back."""
Serials = tuple[str, str]
"""Fingerprint of the issuer and serial number, both hex."""


async def raise_version(connection: AsyncConnection) -> None:
    """Makes every reader of the trust list read it anew."""
    await connection.execute(update(trust_state).values(version=trust_state.c.version + 1))


async def revocations(
    connection: AsyncConnection, before: TrustSnapshot | None
) -> tuple[Mapping[str, RevocationStatus], Mapping[Serials, RevokedCertificate], Mapping[Serials, RevocationStatus]]:
    """The lists by issuer, the revoked certificates, and the OCSP answers."""
    lists = {
        row.issuer: RevocationStatus(row.this_update, row.next_update, sha256=row.sha256)
        for row in await connection.execute(select(revocation_list))
    }
    if before is not None and before.lists == lists:
        revoked = before.revocations
    else:
        revoked = {
            (row.issuer, row.serial): RevokedCertificate(row.serial, row.revoked_at, row.reason, row.invalid_since)
            for row in await connection.execute(select(revoked_certificate))
        }
    answers = {
        (row.issuer, row.serial): RevocationStatus(
            row.this_update,
            row.next_update,
            row.revoked_at,
            source=RevocationSource.OCSP,
            sha256=row.sha256,
            reason=row.reason,
        )
        for row in await connection.execute(select(ocsp_answer))
    }
    return lists, revoked, answers


async def replace_revocations(
    connection: AsyncConnection, new: RevocationList, entries: Sequence[RevokedCertificate]
) -> bool:
    """Puts a list in the place of one with a lower number; False when there is none."""
    number = f"{new.number:040x}"
    kept = new.evidence
    row = {"number": number, "this_update": new.this_update, "next_update": new.next_update, "sha256": kept.sha256}
    statement = upsert(revocation_list).values(issuer=new.issuer, **row)
    replaced = await connection.execute(
        statement.on_conflict_do_update(
            index_elements=[revocation_list.c.issuer], set_=row, where=revocation_list.c.number < number
        ).returning(revocation_list.c.issuer)
    )
    if replaced.scalar_one_or_none() is None:
        return False
    await add_evidence(connection, [kept])
    # A list drops certificates once they have expired (RFC 5280 §3.3); signatures are judged for longer. Only a hold ends.
    own = revoked_certificate.c.issuer == new.issuer
    await connection.execute(delete(revoked_certificate).where(own, revoked_certificate.c.reason == HOLD))
    for start in range(0, len(entries), _CHUNK):
        rows = [
            {
                "issuer": new.issuer,
                "serial": entry.serial,
                "revoked_at": entry.revoked_at,
                "reason": entry.reason,
                "invalid_since": entry.invalid_since,
            }
            for entry in entries[start : start + _CHUNK]
        ]
        wanted = upsert(revoked_certificate)
        said = {name: wanted.excluded[name] for name in ("revoked_at", "reason", "invalid_since")}
        key = [revoked_certificate.c.issuer, revoked_certificate.c.serial]
        await connection.execute(wanted.on_conflict_do_update(index_elements=key, set_=said), rows)
    await raise_version(connection)
    return True


async def keep_answers(connection: AsyncConnection, answers: Sequence[AnsweredRevocation]) -> int:
    """Puts OCSP answers in the place of older ones; returns how many."""
    kept = []
    # In one order everywhere, so that two writers never wait for each other in a circle.
    for answer in sorted(answers, key=lambda one: (one.issuer, one.serial)):
        status = answer.status
        row = {
            "this_update": status.this_update,
            "next_update": status.next_update,
            "revoked_at": status.revoked_at,
            "reason": status.reason,
            "sha256": answer.evidence.sha256,
        }
        statement = upsert(ocsp_answer).values(issuer=answer.issuer, serial=answer.serial, **row)
        newer = ocsp_answer.c.this_update < status.this_update
        # A certificate that was revoked stays so, except from a hold.
        held = or_(ocsp_answer.c.revoked_at.is_(None), ocsp_answer.c.reason == HOLD)
        taken = await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[ocsp_answer.c.issuer, ocsp_answer.c.serial],
                set_=row,
                where=newer if status.revoked_at is not None else newer & held,
            ).returning(ocsp_answer.c.serial)
        )
        if taken.scalar_one_or_none() is not None:
            kept.append(answer.evidence)
    if kept:
        await add_evidence(connection, kept)
        await raise_version(connection)
    return len(kept)
