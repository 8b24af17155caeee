"""The trust list on PostgreSQL. Low rate: SQLAlchemy Core throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.signing.model import (
    AnsweredRevocation,
    Authority,
    AuthorityKind,
    AuthorityPurpose,
    RevocationList,
    RevokedCertificate,
    SignerCertificate,
    SignerRole,
    SignerState,
    TrustListImport,
    TrustSnapshot,
)
from services.signing.postgres.revocation import keep_answers, raise_version, replace_revocations, revocations
from services.signing.schema import authority, signer_certificate, trust_list, trust_state

_MOST_EXPIRING = 10_000


class PostgresTrustStore:
    """`TrustStore` on PostgreSQL; the row of `trust_state` serialises changes and carries the version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """Current version of the trust list."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(select(trust_state.c.version))).scalar_one())

        return await self._database.read(work)

    async def snapshot(self, before: TrustSnapshot | None = None) -> TrustSnapshot:
        """The whole trust list at one version."""

        async def work(connection: AsyncConnection) -> TrustSnapshot:
            # One shared lock on the version row keeps every later statement at that version without a serializable transaction.
            version = (await connection.execute(select(trust_state.c.version).with_for_update(read=True))).scalar_one()
            authorities = [_authority(row) for row in (await connection.execute(select(authority))).mappings()]
            signers = [_signer(row) for row in (await connection.execute(select(signer_certificate))).mappings()]
            lists, revoked, answers = await revocations(connection, before)
            return TrustSnapshot(
                int(version), authorities, {signer.fingerprint: signer for signer in signers}, lists, revoked, answers
            )

        return await self._database.write(work)

    async def add_authority(self, authority_: Authority) -> Authority:
        """Adds an authority; one with the same fingerprint is returned unchanged."""

        async def work(connection: AsyncConnection) -> Authority:
            added = await connection.execute(
                upsert(authority)
                .values(_authority_row(authority_))
                .on_conflict_do_nothing()
                .returning(authority.c.fingerprint)
            )
            if added.scalar_one_or_none() is not None:
                await raise_version(connection)
            found = await connection.execute(select(authority).where(authority.c.fingerprint == authority_.fingerprint))
            return _authority(found.mappings().one())

        return await self._database.write(work)

    async def authorities(self, after: str, limit: int) -> Sequence[Authority]:
        """Authorities in order of fingerprint."""

        async def work(connection: AsyncConnection) -> Sequence[Authority]:
            wanted = (
                select(authority).where(authority.c.fingerprint > after).order_by(authority.c.fingerprint).limit(limit)
            )
            return [_authority(row) for row in (await connection.execute(wanted)).mappings()]

        return await self._database.read(work)

    async def add_signer(self, signer: SignerCertificate) -> SignerCertificate:
        """Adds a signer certificate; one with the same fingerprint is returned unchanged."""

        async def work(connection: AsyncConnection) -> SignerCertificate:
            added = await connection.execute(
                upsert(signer_certificate)
                .values(
                    fingerprint=signer.fingerprint,
                    facility=signer.facility,
                    certificate=signer.certificate,
                    state=signer.state.value,
                    created_at=signer.created_at,
                    expires_at=signer.expires_at,
                    role=signer.role.value,
                    licence=signer.licence,
                    suspended_at=signer.suspended_at,
                    compromised_at=signer.compromised_at,
                )
                .on_conflict_do_nothing()
                .returning(signer_certificate.c.fingerprint)
            )
            if added.scalar_one_or_none() is not None:
                await raise_version(connection)
            wanted = select(signer_certificate).where(signer_certificate.c.fingerprint == signer.fingerprint)
            return _signer((await connection.execute(wanted)).mappings().one())

        return await self._database.write(work)

    async def signers(
        self, facility: str, after: str, limit: int, state: SignerState | None = None
    ) -> Sequence[SignerCertificate]:
        """Signer certificates in order of fingerprint."""

        async def work(connection: AsyncConnection) -> Sequence[SignerCertificate]:
            wanted = select(signer_certificate).where(signer_certificate.c.fingerprint > after)
            if facility:
                wanted = wanted.where(signer_certificate.c.facility == facility)
            if state is not None:
                wanted = wanted.where(signer_certificate.c.state == state.value)
            ordered = wanted.order_by(signer_certificate.c.fingerprint).limit(limit)
            return [_signer(row) for row in (await connection.execute(ordered)).mappings()]

        return await self._database.read(work)

    async def suspend_signer(self, fingerprint: str, at: datetime) -> SignerCertificate | None:
        """Suspends an active certificate."""
        active = signer_certificate.c.state == SignerState.ACTIVE.value
        return await self._change_signer(fingerprint, active, state=SignerState.SUSPENDED.value, suspended_at=at)

    async def compromise_signer(self, fingerprint: str, since: datetime) -> SignerCertificate | None:
        """Marks a key compromised since the earliest time reported."""
        known = signer_certificate.c.compromised_at
        earlier = or_(known.is_(None), known > since)
        return await self._change_signer(
            fingerprint, earlier, state=SignerState.COMPROMISED.value, compromised_at=since
        )

    async def expiring_signers(self, after: datetime, before: datetime) -> Sequence[SignerCertificate]:
        """Active registrations that expire between two times."""

        async def work(connection: AsyncConnection) -> Sequence[SignerCertificate]:
            wanted = (
                select(signer_certificate)
                .where(
                    signer_certificate.c.expires_at.between(after, before),
                    signer_certificate.c.state == SignerState.ACTIVE.value,
                )
                .order_by(signer_certificate.c.expires_at, signer_certificate.c.fingerprint)
                .limit(_MOST_EXPIRING)
            )
            return [_signer(row) for row in (await connection.execute(wanted)).mappings()]

        return await self._database.read(work)

    async def replace_revocations(self, new: RevocationList, entries: Sequence[RevokedCertificate]) -> bool:
        """Puts a list in the place of an older one of the same issuer."""
        return await self._database.write(lambda connection: replace_revocations(connection, new, entries))

    async def keep_answers(self, answers: Sequence[AnsweredRevocation]) -> int:
        """Keeps OCSP answers."""
        return await self._database.write(lambda connection: keep_answers(connection, answers))

    async def import_trust_list(self, wanted: TrustListImport) -> bool:
        """Grants and withdraws authorities."""

        async def work(connection: AsyncConnection) -> bool:
            row = {
                "sequence": wanted.sequence,
                "issued_at": wanted.issued_at,
                "next_update": wanted.next_update,
                "sha256": wanted.sha256,
            }
            statement = upsert(trust_list).values(territory=wanted.territory, **row)
            taken = await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[trust_list.c.territory],
                    set_=row,
                    # The same list again is the same import; another one of that number is not.
                    where=or_(
                        trust_list.c.sequence < wanted.sequence,
                        and_(trust_list.c.sequence == wanted.sequence, trust_list.c.sha256 == wanted.sha256),
                    ),
                ).returning(trust_list.c.territory)
            )
            if taken.scalar_one_or_none() is None:
                return False
            for granted in wanted.authorities:
                await connection.execute(
                    upsert(authority)
                    .values(_authority_row(granted))
                    .on_conflict_do_update(
                        index_elements=[authority.c.fingerprint], set_={"sunset_at": granted.sunset_at}
                    )
                )
            await raise_version(connection)
            return True

        return await self._database.write(work)

    async def _change_signer(
        self, fingerprint: str, when: ColumnElement[bool], **values: object
    ) -> SignerCertificate | None:
        async def work(connection: AsyncConnection) -> SignerCertificate | None:
            named = signer_certificate.c.fingerprint == fingerprint
            changed = await connection.execute(
                update(signer_certificate)
                .where(named, when)
                .values(**values)
                .returning(signer_certificate.c.fingerprint)
            )
            if changed.scalar_one_or_none() is not None:
                await raise_version(connection)
            found = (await connection.execute(select(signer_certificate).where(named))).mappings().one_or_none()
            return None if found is None else _signer(found)

        return await self._database.write(work)


def _authority_row(wanted: Authority) -> dict[str, Any]:
    return {
        "fingerprint": wanted.fingerprint,
        "kind": wanted.kind.value,
        "certificate": wanted.certificate,
        "created_at": wanted.created_at,
        "expires_at": wanted.expires_at,
        "purpose": wanted.purpose.value,
        "revocation_list_uri": wanted.revocation_list_uri,
        "ocsp_uri": wanted.ocsp_uri,
        "sunset_at": wanted.sunset_at,
    }


def _authority(found: Mapping[Any, Any]) -> Authority:
    return Authority(
        found["fingerprint"],
        AuthorityKind(found["kind"]),
        found["certificate"],
        found["created_at"],
        found["expires_at"],
        AuthorityPurpose(found["purpose"]),
        found["revocation_list_uri"],
        found["ocsp_uri"],
        found["sunset_at"],
    )


def _signer(found: Mapping[Any, Any]) -> SignerCertificate:
    return SignerCertificate(
        found["fingerprint"],
        found["facility"],
        found["certificate"],
        SignerState(found["state"]),
        found["created_at"],
        found["expires_at"],
        SignerRole(found["role"]),
        found["licence"],
        found["suspended_at"],
        found["compromised_at"],
    )
