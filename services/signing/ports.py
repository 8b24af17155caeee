"""What the operations of the signing role need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from lienthong.client.tlog.witness import AddCheckpoint

from services.signing.model import (
    AnsweredRevocation,
    Authority,
    Checkpoint,
    CheckpointTimestamp,
    Evidence,
    RevocationList,
    RevokedCertificate,
    SignerCertificate,
    SignerState,
    TrustListImport,
    TrustSnapshot,
    WitnessCosignature,
)


class FetchFailed(Exception):
    """An address does not answer as it should; `reason` is a stable UPPER_SNAKE name. The address is not repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fetcher(Protocol):
    """HTTP to addresses that an administrator registered. Implementations MUST bound time and bytes, and follow no redirection."""

    async def get(self, address: str, most_bytes: int) -> bytes:
        """The body of a GET; raises FetchFailed."""

    async def post(self, address: str, body: bytes, content_type: str, most_bytes: int) -> bytes:
        """The body of the answer to a POST; raises FetchFailed."""


class TrustStore(Protocol):
    """The trust list. Every change raises its version by one."""

    async def version(self) -> int:
        """Current version, 0 when empty."""

    async def snapshot(self, before: TrustSnapshot | None = None) -> TrustSnapshot:
        """The whole list at one version. Revoked certificates are taken from `before` where no list has changed since: there are many."""

    async def add_authority(self, authority: Authority) -> Authority:
        """Adds an authority; one with the same fingerprint stays as it is and is returned."""

    async def authorities(self, after: str, limit: int) -> Sequence[Authority]:
        """Authorities with a fingerprint after `after`, in order."""

    async def add_signer(self, signer: SignerCertificate) -> SignerCertificate:
        """Adds a signer certificate; one with the same fingerprint stays as it is and is returned."""

    async def signers(
        self, facility: str, after: str, limit: int, state: SignerState | None = None
    ) -> Sequence[SignerCertificate]:
        """Signer certificates of a facility (of all when empty) with a fingerprint after `after`, in order."""

    async def suspend_signer(self, fingerprint: str, at: datetime) -> SignerCertificate | None:
        """Suspends a certificate; one that is not ACTIVE stays as it is. None when there is none."""

    async def compromise_signer(self, fingerprint: str, since: datetime) -> SignerCertificate | None:
        """Marks a key compromised; the earliest time that was reported counts. None when there is none."""

    async def expiring_signers(self, after: datetime, before: datetime) -> Sequence[SignerCertificate]:
        """Active registrations that expire between two times, soonest first, at most 10,000."""

    async def replace_revocations(self, revocation_list: RevocationList, entries: Sequence[RevokedCertificate]) -> bool:
        """Puts a list in the place of an older one of the same issuer and keeps its bytes as evidence; False when the one at hand has a
        number at least as high."""

    async def keep_answers(self, answers: Sequence[AnsweredRevocation]) -> int:
        """Keeps OCSP answers and their bytes as evidence, in one change; returns how many are newer than those at hand. A certificate
        that was revoked stays so, except from a hold."""

    async def import_trust_list(self, wanted: TrustListImport) -> bool:
        """Grants and withdraws authorities in one change; False when the list at hand of that territory is newer."""


class EvidenceStore(Protocol):
    """Evidence by the hash of its content, append-only."""

    async def add(self, evidence: Sequence[Evidence]) -> None:
        """Keeps evidence; what is there stays."""

    async def sizes(self, hashes: Sequence[str]) -> Mapping[str, int]:
        """Bytes of each piece that is at hand."""

    async def get(self, hashes: Sequence[str]) -> Sequence[Evidence]:
        """The pieces that are at hand."""


class LogStore(Protocol):
    """The append-only tree. Implementations MUST make entries durable before `append` returns and MUST have one writer at a time."""

    async def append(self, entries: Sequence[bytes]) -> Sequence[int]:
        """Appends those entries whose bytes are not in the log yet; returns the index of each, in order."""

    async def publish(self, sign: CheckpointSigner, at: datetime) -> Checkpoint | None:
        """Signs and stores a checkpoint of the current tree, if it has grown. Raises LogForked when the tree does not extend the last one."""

    async def nodes(self, wanted: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """Hashes of complete subtrees by (level, index); level 0 is the leaves."""

    async def entries(self, start: int, limit: int) -> Sequence[bytes]:
        """Entry bytes from an index on."""

    async def entries_at(self, indexes: Sequence[int]) -> Mapping[int, bytes]:
        """Entry bytes by index."""


class CheckpointStore(Protocol):
    """Published checkpoints with what witnesses and time-stamp authorities say of them. Nothing is ever changed or removed."""

    async def newest(self) -> Checkpoint | None:
        """The newest checkpoint, with the cosignatures at hand."""

    async def newest_witnessed(self) -> Checkpoint | None:
        """The newest checkpoint that has the quorum."""

    async def of_size(self, size: int) -> Checkpoint | None:
        """The checkpoint of exactly this size."""

    async def unwitnessed_since(self) -> datetime | None:
        """When the oldest checkpoint after the newest witnessed one was published; None when the newest one is witnessed."""

    async def last_cosigned(self) -> Mapping[str, int]:
        """Size of the newest checkpoint that each witness cosigned, by name."""

    async def cosign(
        self, size: int, cosignatures: Sequence[WitnessCosignature], witnessed_at: datetime | None
    ) -> None:
        """Keeps cosignatures; those of a witness that are there already stay. `witnessed_at` is given once they make up the quorum."""

    async def stamp(self, stamped: CheckpointTimestamp) -> None:
        """Keeps a time-stamp; a checkpoint's first one stays."""

    async def timestamp(self, least_size: int) -> CheckpointTimestamp | None:
        """The oldest time-stamped checkpoint of at least this size; with 0 the newest one."""


class CheckpointSigner(Protocol):
    """Signs a checkpoint body; holds the log's private key."""

    def __call__(self, size: int, root: bytes) -> str:
        """The signed note (C2SP tlog-checkpoint)."""


class WitnessFailed(Exception):
    """A witness gave no cosignature; `reason` is UPPER_SNAKE, such as UNREACHABLE or HTTP_422."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WitnessBehind(Exception):
    """The witness cosigned another size last than it was told (answer 409)."""

    def __init__(self, size: int) -> None:
        super().__init__(str(size))
        self.size = size


class Witness(Protocol):
    """One witness, reached from outside."""

    async def add_checkpoint(self, request: AddCheckpoint) -> str:
        """Its signature lines, not verified. Raises WitnessBehind or WitnessFailed."""


class TimestampFailed(Exception):
    """No usable time-stamp was to be had; `reason` is UPPER_SNAKE."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TimestampAuthority(Protocol):
    """A time-stamp authority (RFC 3161)."""

    async def stamp(self, content: bytes) -> tuple[bytes, datetime]:
        """Token (DER) over the content and the time that it states; imprint, nonce and signature are verified. Raises TimestampFailed."""
