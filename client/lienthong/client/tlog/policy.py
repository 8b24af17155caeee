"""Whom a verifier of receipts trusts (C2SP tlog-policy), and the keys of receipt promises beside it.

The specification covers logs, witnesses and their quorum only. The keys of promises stand in the same file, each on a
line

    #!promise <vkey>

which is a comment to every other reader, so the file stays a valid tlog-policy. A plain comment starts with `#` and
anything but `!`; an unknown `#!` line is refused, because a security setting that is skipped in silence is worse than
an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from lienthong.client.tlog.note import COSIGNATURE, ED25519, NoteMalformed, VerifierKey

NO_QUORUM = "none"
"""Name of the quorum that needs no witness."""

_LONGEST = 256 * 1024
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


class PolicyInvalid(Exception):
    """The trust file cannot be used; the text names the line."""


@dataclass(frozen=True)
class WitnessGroup:
    """A group of witnesses or groups that counts as one witness when `threshold` of its members do."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class TrustPolicy:
    """Trusted keys. `logs` are named by their origin; `quorum` is the name of a witness or group, or NO_QUORUM. `witness_urls` are the
    submission prefixes of witnesses, where the file gives some.
    """

    logs: tuple[VerifierKey, ...] = ()
    promise_keys: tuple[VerifierKey, ...] = ()
    witnesses: Mapping[str, VerifierKey] = field(default_factory=dict)
    groups: Mapping[str, WitnessGroup] = field(default_factory=dict)
    quorum: str = NO_QUORUM
    witness_urls: Mapping[str, str] = field(default_factory=dict)

    def satisfied(self, cosigners: AbstractSet[VerifierKey]) -> bool:
        """Whether cosignatures by these witness keys make up the quorum."""
        return self.quorum == NO_QUORUM or self._witnessed(self.quorum, cosigners)

    def _witnessed(self, name: str, cosigners: AbstractSet[VerifierKey]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in cosigners
        group = self.groups[name]
        return sum(self._witnessed(member, cosigners) for member in group.members) >= group.threshold

    def encode(self) -> str:
        """The policy as a file's text, as `load_policy` reads it."""
        lines = [f"log {key.encode()}" for key in self.logs]
        lines += [f"#!promise {key.encode()}" for key in self.promise_keys]
        for name, key in self.witnesses.items():
            lines.append(" ".join(["witness", name, key.encode(), *filter(None, [self.witness_urls.get(name)])]))
        lines += [f"group {name} {group.threshold} {' '.join(group.members)}" for name, group in self.groups.items()]
        return "\n".join([*lines, f"quorum {self.quorum}"]) + "\n"


def load_policy(text: str) -> TrustPolicy:
    """Reads a trust file; raises PolicyInvalid naming the first wrong line."""
    if len(text) > _LONGEST or _FORBIDDEN.search(text):
        raise PolicyInvalid("the trust file is too long or has control characters")
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            reader.line([word for word in re.split("[ \t]+", line) if word])
        except NoteMalformed as error:
            raise PolicyInvalid(f"line {number}: {error}") from error
    return reader.policy()


class _Reader:
    """Collects the lines of one trust file."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._promise_keys: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._urls: dict[str, str] = {}
        self._groups: dict[str, WitnessGroup] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def line(self, words: Sequence[str]) -> None:
        match words:
            case []:
                pass
            case ["#!promise", vkey]:
                self._promise_keys.append(self._key(vkey, ED25519, self._promise_keys))
            case [word, *_] if word.startswith("#!"):
                raise NoteMalformed("an unknown setting")
            case [word, *_] if word.startswith("#"):
                pass
            case ["log", vkey] | ["log", vkey, _]:
                self._logs.append(self._key(vkey, ED25519, self._logs))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._witness(name, vkey, words[3:])
            case ["group", name, threshold, *members] if members:
                self._new(name)
                self._groups[name] = self._group(threshold, tuple(members))
            case ["quorum", name] if self._quorum is None:
                if name != NO_QUORUM:
                    self._defined(name)
                self._quorum = name
            case _:
                raise NoteMalformed("not a line of a trust file")

    def policy(self) -> TrustPolicy:
        if self._quorum is None:
            raise PolicyInvalid("the trust file has no quorum line")
        return TrustPolicy(
            tuple(self._logs), tuple(self._promise_keys), self._witnesses, self._groups, self._quorum, self._urls
        )

    def _witness(self, name: str, vkey: str, url: Sequence[str]) -> None:
        self._new(name)
        self._witnesses[name] = self._key(vkey, COSIGNATURE, list(self._witnesses.values()))
        self._urls.update(zip([name], url, strict=False))

    def _key(self, vkey: str, kind: int, others: Sequence[VerifierKey]) -> VerifierKey:
        key = VerifierKey.parse(vkey)
        if key.type != kind:
            raise NoteMalformed("a key of the wrong type")
        if any(key.public == other.public for other in others):
            raise NoteMalformed("a key that was given before")
        return key

    def _group(self, threshold: str, members: tuple[str, ...]) -> WitnessGroup:
        for member in members:
            self._defined(member)
            if member in self._members:
                raise NoteMalformed("a member of two groups")
            self._members.add(member)
        if threshold in ("all", "any"):
            return WitnessGroup(len(members) if threshold == "all" else 1, members)
        if not _NUMBER.fullmatch(threshold) or int(threshold) > len(members):
            raise NoteMalformed("a threshold that is no number from 1 to the number of members")
        return WitnessGroup(int(threshold), members)

    def _new(self, name: str) -> None:
        if name == NO_QUORUM or name in self._witnesses or name in self._groups:
            raise NoteMalformed("a name that is taken")

    def _defined(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise NoteMalformed("a name that no line before defines")
