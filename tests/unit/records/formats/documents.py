"""Changes to sample documents: one field, one table, the outer text."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

from lienthong.samples import Generator

from services.records.formats import QualityFinding
from services.records.formats.xml130 import Episode, parse_episode


def sample(seed: int = 1, **wishes: object) -> bytes:
    """A valid document."""
    return Generator(seed).episode(**wishes).content  # type: ignore[arg-type]  # wishes are episode's own keywords


def with_table(content: bytes, table: str, change: Callable[[str], str]) -> bytes:
    """The document with the text of one inner table changed."""
    pattern = re.compile(rb"(<LOAIHOSO>%s</LOAIHOSO><NOIDUNGFILE>)([^<]*)" % table.encode())

    def replaced(found: re.Match[bytes]) -> bytes:
        text = change(base64.b64decode(found[2]).decode())
        return found[1] + base64.b64encode(text.encode("utf-8", "surrogatepass"))

    result, count = pattern.subn(replaced, content)
    assert count == 1, f"the sample has no {table}"
    return result


def with_field(content: bytes, table: str, field: str, text: str | None, row: int = 1) -> bytes:
    """The document with one field set to XML text, or taken out for None."""
    pattern = re.compile(rf"<{field}>[^<]*</{field}>|<{field}/>")

    def change(xml: str) -> str:
        found = list(pattern.finditer(xml))[row - 1]
        element = "" if text is None else f"<{field}>{text}</{field}>"
        return xml[: found.start()] + element + xml[found.end() :]

    return with_table(content, table, change)


def without_table(content: bytes, table: str) -> bytes:
    """The document without one inner table."""
    result, count = re.subn(rb"<FILEHOSO><LOAIHOSO>%s<.*?</FILEHOSO>" % table.encode(), b"", content)
    assert count == 1
    return result


def findings(content: bytes) -> list[tuple[str, int, str, str]]:
    """What is found, as (table, row, field, reason)."""
    return [brief(one) for one in parse_episode(content).findings]


def brief(finding: QualityFinding) -> tuple[str, int, str, str]:
    """The part of a finding that tests compare."""
    return finding.table, finding.row, finding.field, finding.reason


def read(content: bytes) -> Episode:
    """The episode, which must be without finding."""
    episode = parse_episode(content)
    assert not episode.findings
    return episode
