"""The trust list on PostgreSQL. Low rate: SQLAlchemy Core throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.database import Database
from services.signing.model import (
    Authority,
    AuthorityKind,
    RevocationList,
    RevocationStatus,
    RevokedCertificate,
    SignerCertificate,
    SignerState,
    TrustSnapshot,
)
from services.signing.schema import authority, revocation_list, revoked_certificate, signer_certificate, trust_state

_REVOKED_CHUNK = 1000


class PostgresTrustStore:
    """`TrustStore` on PostgreSQL; the row of `trust_state` serialises changes and carries the version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """Current version of the trust list."""

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(select(trust_state.c.version))).scalar_one())

        return await self._database.read(work)

    async def snapshot(self) -> TrustSnapshot:
        """The whole trust list at one version."""

        async def work(connection: AsyncConnection) -> TrustSnapshot:
            # One shared lock on the version row keeps every later statement at that version without a serializable transaction.
            version = (await connection.execute(select(trust_state.c.version).with_for_update(read=True))).scalar_one()
            authorities = [_authority(row) for row in (await connection.execute(select(authority))).mappings()]
            signers = [_signer(row) for row in (await connection.execute(select(signer_certificate))).mappings()]
            lists = {
                row.issuer: RevocationStatus(row.this_update, row.next_update)
                for row in await connection.execute(
                    select(revocation_list.c.issuer, revocation_list.c.this_update, revocation_list.c.next_update)
                )
            }
            revoked = {
                (row.issuer, row.serial): RevokedCertificate(row.serial, row.revoked_at, row.reason, row.invalid_since)
                for row in await connection.execute(select(revoked_certificate))
            }
            return TrustSnapshot(
                int(version), authorities, {signer.fingerprint: signer for signer in signers}, lists, revoked
            )

        return await self._database.write(work)

    async def add_authority(self, authority_: Authority) -> Authority:
        """Adds an authority; one with the same fingerprint is returned unchanged."""

        async def work(connection: AsyncConnection) -> Authority:
            added = await connection.execute(
                upsert(authority)
                .values(
                    fingerprint=authority_.fingerprint,
                    kind=authority_.kind.value,
                    certificate=authority_.certificate,
                    created_at=authority_.created_at,
                    expires_at=authority_.expires_at,
                )
                .on_conflict_do_nothing()
                .returning(authority.c.fingerprint)
            )
            if added.scalar_one_or_none() is not None:
                await _raise_version(connection)
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
                )
                .on_conflict_do_nothing()
                .returning(signer_certificate.c.fingerprint)
            )
            if added.scalar_one_or_none() is not None:
                await _raise_version(connection)
            wanted = select(signer_certificate).where(signer_certificate.c.fingerprint == signer.fingerprint)
            return _signer((await connection.execute(wanted)).mappings().one())

        return await self._database.write(work)

    async def signers(self, facility: str, after: str, limit: int) -> Sequence[SignerCertificate]:
        """Signer certificates in order of fingerprint."""

        async def work(connection: AsyncConnection) -> Sequence[SignerCertificate]:
            wanted = select(signer_certificate).where(signer_certificate.c.fingerprint > after)
            if facility:
                wanted = wanted.where(signer_certificate.c.facility == facility)
            ordered = wanted.order_by(signer_certificate.c.fingerprint).limit(limit)
            return [_signer(row) for row in (await connection.execute(ordered)).mappings()]

        return await self._database.read(work)

    async def suspend_signer(self, fingerprint: str) -> SignerCertificate | None:
        """Suspends a certificate."""

        async def work(connection: AsyncConnection) -> SignerCertificate | None:
            changed = await connection.execute(
                update(signer_certificate)
                .where(signer_certificate.c.fingerprint == fingerprint)
                .values(state=SignerState.SUSPENDED.value)
                .returning(*signer_certificate.c)
            )
            row = changed.mappings().one_or_none()
            if row is None:
                return None
            await _raise_version(connection)
            return _signer(row)

        return await self._database.write(work)

    async def replace_revocations(self, new: RevocationList, entries: Sequence[RevokedCertificate]) -> bool:
        """Puts a list in the place of an older one of the same issuer."""
        number = f"{new.number:040x}"
        row = {
            "number": number,
            "this_update": new.this_update,
            "next_update": new.next_update,
            "der": new.der,
        }

        async def work(connection: AsyncConnection) -> bool:
            statement = upsert(revocation_list).values(issuer=new.issuer, **row)
            replaced = await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[revocation_list.c.issuer], set_=row, where=revocation_list.c.number < number
                ).returning(revocation_list.c.issuer)
            )
            if replaced.scalar_one_or_none() is None:
                return False
            await connection.execute(delete(revoked_certificate).where(revoked_certificate.c.issuer == new.issuer))
            for start in range(0, len(entries), _REVOKED_CHUNK):
                await connection.execute(
                    insert(revoked_certificate),
                    [
                        {
                            "issuer": new.issuer,
                            "serial": entry.serial,
                            "revoked_at": entry.revoked_at,
                            "reason": entry.reason,
                            "invalid_since": entry.invalid_since,
                        }
                        for entry in entries[start : start + _REVOKED_CHUNK]
                    ],
                )
            await _raise_version(connection)
            return True

        return await self._database.write(work)


async def _raise_version(connection: AsyncConnection) -> None:
    await connection.execute(update(trust_state).values(version=trust_state.c.version + 1))


def _authority(found: Mapping[Any, Any]) -> Authority:
    return Authority(
        found["fingerprint"],
        AuthorityKind(found["kind"]),
        found["certificate"],
        found["created_at"],
        found["expires_at"],
    )


def _signer(found: Mapping[Any, Any]) -> SignerCertificate:
    return SignerCertificate(
        found["fingerprint"],
        found["facility"],
        found["certificate"],
        SignerState(found["state"]),
        found["created_at"],
        found["expires_at"],
    )
