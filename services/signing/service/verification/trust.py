"""The trust list as verdicts use it: a snapshot with its certificates parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.signing.certificates import Anchors
from services.signing.model import Authority, AuthorityKind, AuthorityPurpose, TrustSnapshot


@dataclass(frozen=True)
class Trust:
    """A snapshot, its authorities by purpose, and who of them is the same authority.

    `generation` moves with the authorities only, so that paths outlive a new revocation list.
    """

    snapshot: TrustSnapshot
    signing: Anchors
    timestamping: Anchors
    generation: int
    authorities: Mapping[str, Authority]
    same: Mapping[str, Sequence[str]]

    def namesakes(self, fingerprint: str) -> Sequence[str]:
        """Fingerprints of an authority's certificates: one that was renewed has several with one name and key."""
        return self.same.get(fingerprint, (fingerprint,))

    @cached_property
    def registered(self) -> Mapping[str, bytes]:
        """Signer certificates (DER) by fingerprint, for signatures that do not carry their own."""
        return {fingerprint: one.certificate for fingerprint, one in self.snapshot.signers.items()}

    @classmethod
    def of(cls, snapshot: TrustSnapshot, before: Trust | None) -> Trust:
        """From a snapshot; what does not differ from the one before is taken over."""
        authorities = {one.fingerprint: one for one in snapshot.authorities}
        if before is not None and before.authorities == authorities:
            same, generation = before.same, before.generation
            return cls(snapshot, before.signing, before.timestamping, generation, authorities, same)
        identities: dict[tuple[bytes, bytes], list[str]] = {}
        parsed = {one.fingerprint: x509.load_der_x509_certificate(one.certificate) for one in snapshot.authorities}
        for fingerprint, certificate in parsed.items():
            key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            identities.setdefault((certificate.subject.public_bytes(), key), []).append(fingerprint)
        return cls(
            snapshot,
            _anchors(snapshot, parsed, AuthorityPurpose.SIGNING),
            _anchors(snapshot, parsed, AuthorityPurpose.TIMESTAMPING),
            (before.generation if before else 0) + 1,
            authorities,
            {fingerprint: tuple(group) for group in identities.values() for fingerprint in group},
        )


def _anchors(snapshot: TrustSnapshot, parsed: Mapping[str, x509.Certificate], purpose: AuthorityPurpose) -> Anchors:
    chosen = [one for one in snapshot.authorities if one.purpose is purpose]
    return Anchors(
        [parsed[one.fingerprint] for one in chosen if one.kind is AuthorityKind.ROOT],
        [parsed[one.fingerprint] for one in chosen if one.kind is AuthorityKind.INTERMEDIATE],
        {one.fingerprint: one.sunset_at for one in chosen if one.sunset_at is not None},
    )
