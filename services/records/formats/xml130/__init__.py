"""XML output standard of QĐ 130/QĐ-BYT with its patches 4750, 3176 and 1931: hardened envelope, versioned field table,
findings, facts.
"""

from services.records.formats.xml130.entry import health_book_entry
from services.records.formats.xml130.envelope import Envelope, InnerTable, parse_envelope, read_tables
from services.records.formats.xml130.episode import build_episode
from services.records.formats.xml130.format import Xml130Format, parse_episode
from services.records.formats.xml130.markup import Limits
from services.records.formats.xml130.model import Episode

__all__ = [
    "Envelope",
    "Episode",
    "InnerTable",
    "Limits",
    "Xml130Format",
    "build_episode",
    "health_book_entry",
    "parse_envelope",
    "parse_episode",
    "read_tables",
]
