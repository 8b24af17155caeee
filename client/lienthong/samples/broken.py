"""Documents that are broken in one named way each, for tests and demonstrations. Most start from a valid episode."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from lienthong.samples.envelope import envelope_xml

if TYPE_CHECKING:
    from lienthong.samples.generator import Episode

_XML1 = re.compile(rb"(<LOAIHOSO>XML1</LOAIHOSO><NOIDUNGFILE>)([^<]*)(</NOIDUNGFILE>)")
_OVERSIZE = 100 * 1024 * 1024
_DEPTH = 5000


class Breaker:
    """Breaks episodes that `episode` draws."""

    def __init__(self, random: Random, episode: Callable[[], Episode]) -> None:
        self._random = random
        self._episode = episode

    def document(self, kind: str) -> bytes:
        """Return the document of that kind. Raises ValueError for an unknown one."""
        if kind not in _BREAKS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; not {kind!r}")
        return _BREAKS[kind](self)

    def valid(self) -> bytes:
        """Return a valid document to break."""
        return self._episode().content

    def noise(self, size: int) -> bytes:
        """Return seeded noise that cannot begin a tag."""
        return b"%PDF-1.4\n" + bytes(self._random.randrange(256) for _ in range(size))

    def summary(self, change: Callable[[bytes], bytes]) -> bytes:
        """Return a document whose XML1 was changed."""
        return _XML1.sub(
            lambda found: found[1] + base64.b64encode(change(base64.b64decode(found[2]))) + found[3], self.valid()
        )

    def outer(self, old: bytes, new: bytes) -> bytes:
        """Return a document with one replacement in the outer text."""
        content = self.valid()
        if old not in content:
            raise ValueError(f"the sample envelope has no {old!r}")
        return content.replace(old, new, 1)


def _bomb() -> bytes:
    """Ten levels of ten: 10^10 copies when a parser expands it."""
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 11))
    doctype = f'<!DOCTYPE GIAMDINHHS [<!ENTITY e0 "aaaaaaaaaa">{levels}]>'
    return f'<?xml version="1.0"?>{doctype}<GIAMDINHHS>&e10;</GIAMDINHHS>'.encode()


def _external() -> bytes:
    return (
        b'<?xml version="1.0"?><!DOCTYPE GIAMDINHHS [<!ENTITY secret SYSTEM "file:///etc/hostname">]>'
        b"<GIAMDINHHS><THONGTINDONVI><MACSKCB>&secret;</MACSKCB></THONGTINDONVI></GIAMDINHHS>"
    )


def _deep() -> bytes:
    return b"<GIAMDINHHS>" + b"<A>" * _DEPTH + b"</A>" * _DEPTH + b"</GIAMDINHHS>"


def _deep_table(breaker: Breaker) -> bytes:
    return breaker.summary(
        lambda xml: xml.replace(b"<DU_PHONG/>", b"<DU_PHONG>" + b"<A>" * 150 + b"</A>" * 150 + b"</DU_PHONG>")
    )


def _foreign_encoding(breaker: Breaker) -> bytes:
    """Declared and coded as windows-1258, as some old systems still write."""
    return breaker.summary(
        lambda xml: re.sub(
            rb"<HO_TEN>[^<]*</HO_TEN>", b"<HO_TEN>Nguy\xea\xden</HO_TEN>", xml.replace(b"utf-8", b"windows-1258", 1)
        )
    )


def _oversize() -> bytes:
    """100 MB, well-formed."""
    return b"<GIAMDINHHS>" + b" " * _OVERSIZE + b"</GIAMDINHHS>"


def _second_episode(breaker: Breaker) -> bytes:
    content = breaker.valid()
    start, end = content.index(b"<HOSO>"), content.index(b"</HOSO>") + len(b"</HOSO>")
    return content[:end] + content[start:end] + content[end:]


def _other_key(breaker: Breaker) -> bytes:
    return breaker.summary(lambda xml: re.sub(rb"<MA_LK>[^<]*", b"<MA_LK>another-key", xml))


def _no_summary(breaker: Breaker) -> bytes:
    return re.sub(rb"<FILEHOSO><LOAIHOSO>XML1<.*?</FILEHOSO>", b"", breaker.valid(), count=1)


def _no_table(breaker: Breaker) -> bytes:
    return envelope_xml("01001", "20250102", [])


_BREAKS: dict[str, Callable[[Breaker], bytes]] = {
    "empty": lambda _: b"",
    "not_xml": lambda breaker: breaker.noise(400),
    "truncated": lambda breaker: breaker.valid()[:-40],
    "wrong_encoding": lambda breaker: breaker.valid().decode().replace("utf-8", "utf-16", 1).encode("utf-16"),
    "wrong_table_encoding": _foreign_encoding,
    "xxe": lambda _: _external(),
    "entity_bomb": lambda _: _bomb(),
    "table_entity_bomb": lambda breaker: breaker.summary(lambda _: _bomb()),
    "oversize": lambda _: _oversize(),
    "deep_nesting": lambda _: _deep(),
    "deep_table": _deep_table,
    "comment": lambda breaker: breaker.outer(b"<THONGTINHOSO>", b"<!-- x --><THONGTINHOSO>"),
    "instruction": lambda breaker: breaker.outer(b"<THONGTINHOSO>", b"<?run x?><THONGTINHOSO>"),
    "other_root": lambda _: b"<HoSoBenhAn/>",
    "bad_base64": lambda breaker: breaker.outer(b"<NOIDUNGFILE>", b"<NOIDUNGFILE>*"),
    "unknown_table": lambda breaker: breaker.outer(b"<LOAIHOSO>XML2<", b"<LOAIHOSO>XML16<"),
    "repeated_table": lambda breaker: breaker.outer(b"<LOAIHOSO>XML2<", b"<LOAIHOSO>XML1<"),
    "wrong_table_root": lambda breaker: breaker.summary(lambda xml: xml.replace(b"TONG_HOP", b"TONG_HOP_KHAC")),
    "table_not_xml": lambda breaker: breaker.summary(lambda xml: xml[:-20]),
    "no_summary": _no_summary,
    "no_table": _no_table,
    "two_episodes": _second_episode,
    "no_episode_key": lambda breaker: breaker.summary(lambda xml: re.sub(rb"<MA_LK>[^<]*</MA_LK>", b"<MA_LK/>", xml)),
    "two_episode_keys": _other_key,
    "no_facility": lambda breaker: re.sub(rb"<MACSKCB>[^<]*", b"<MACSKCB>", breaker.valid(), count=1),
    "two_facilities": lambda breaker: re.sub(rb"<MACSKCB>[^<]*", b"<MACSKCB>99999", breaker.valid(), count=1),
}

KINDS: tuple[str, ...] = tuple(_BREAKS)
