"""The adapter behind the DocumentFormat port."""

from __future__ import annotations

from dataclasses import dataclass

from services.records.formats.document import ParsedDocument, SignablePart
from services.records.formats.xml130.entry import health_book_entry
from services.records.formats.xml130.envelope import ROOT, parse_envelope, read_tables
from services.records.formats.xml130.episode import build_episode, codes_in
from services.records.formats.xml130.markup import DEFAULT_LIMITS, Limits, Reader
from services.records.formats.xml130.model import Episode

_HEAD = 512


def parse_episode(content: bytes, limits: Limits = DEFAULT_LIMITS) -> Episode:
    """Read a signed envelope into its episode, findings included. Raises DocumentUnusable. CPU only."""
    reader = Reader(limits)
    envelope = parse_envelope(content, limits, reader)
    return build_episode(envelope, read_tables(envelope, limits, reader))


@dataclass(frozen=True, slots=True)
class Xml130Format:
    """XML130: the envelope GIAMDINHHS of QĐ 130 with its patches 4750, 3176 and 1931. Stateless; safe in any thread."""

    limits: Limits = DEFAULT_LIMITS

    @property
    def name(self) -> str:
        """Name on the wire."""
        return "XML130"

    def sniff(self, content: bytes) -> bool:
        """Tell whether the root's name stands near the beginning."""
        return f"<{ROOT}".encode() in content[:_HEAD]

    def parse(self, content: bytes) -> ParsedDocument:
        """Read, check and assemble; see the port."""
        reader = Reader(self.limits)
        envelope = parse_envelope(content, self.limits, reader)
        tables = read_tables(envelope, self.limits, reader)
        episode = build_episode(envelope, tables)
        return ParsedDocument(
            format=self.name,
            version=episode.version,
            facility=episode.facility,
            episode_key=episode.episode_key,
            admitted=episode.admitted,
            discharged=episode.discharged,
            kinds=episode.kinds,
            patient=episode.patient,
            findings=episode.findings,
            referral=episode.referral,
            follow_up=episode.follow_up,
            health_book_entry=health_book_entry(episode) if "XML1" in episode.rows else None,
            signed=envelope.signed,
            parts=tuple(SignablePart(one.name, one.content, one.name in tables.signed) for one in envelope.tables),
            diagnosis_codes=frozenset(codes_in(episode.rows)),
        )
