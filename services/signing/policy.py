"""The signature policy: algorithms with their dates, required roles, grace period. Data from a TOML file, read at start."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from services.signing.formats.facts import Finding, SubIndication
from services.signing.model import SignerRole

SHIPPED = Path(__file__).with_name("policies") / "2026-11.toml"
"""The policy that ships with this version."""

_HOURS = ("grace_period_hours", "ocsp_validity_hours")
_TOP = {"version", *_HOURS, "claimed_ahead_minutes", "authority_revocation", "algorithms", "requirements"}
_ALGORITHM = {"names", "least_key_bits", "start", "end"}
_REQUIREMENT = {"kinds", "part", "role", "refuses", "start"}
_LONGEST = 24 * 365
_REVOCATION = ("WARNING", "REQUIRED")


class PolicyError(Exception):
    """A policy file that cannot be used; `faults` names each fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class AlgorithmRule:
    """An algorithm that is accepted from `start` until before `end`, with keys of at least `least_key_bits` (0: the name fixes it)."""

    name: str
    least_key_bits: int
    start: datetime
    end: datetime | None


@dataclass(frozen=True)
class RoleRequirement:
    """A role that has to sign documents of a kind (all when empty) from `start` on: the whole, or the `part` named.

    Its absence refuses the document, or is a warning only.
    """

    kind: str
    role: SignerRole
    refuses: bool
    start: datetime
    part: str = ""


@dataclass(frozen=True)
class SignaturePolicy:
    """What makes a signature acceptable. `version` is the file's name for itself, with the hash of the file."""

    version: str
    algorithms: Sequence[AlgorithmRule]
    requirements: Sequence[RoleRequirement]
    grace_period: timedelta
    ocsp_validity: timedelta
    claimed_ahead: timedelta
    authority_revocation_required: bool

    @cached_property
    def _named(self) -> Mapping[str, Sequence[AlgorithmRule]]:
        found: dict[str, list[AlgorithmRule]] = {}
        for rule in self.algorithms:
            found.setdefault(rule.name, []).append(rule)
        return found

    def check_algorithm(self, name: str, key_bits: int, at: datetime, produced_after: datetime) -> None:
        """Whether an algorithm was acceptable at the best signature time; raises Finding.

        `produced_after` is when the material cannot be older than, such as the start of the signer's certificate: with
        it, material that is proven to be too young is told from material that may be old enough (ETSI EN 319 102-1
        §5.1.3, CRYPTO_CONSTRAINTS_FAILURE and CRYPTO_CONSTRAINTS_FAILURE_NO_POE).
        """
        named = self._named.get(name)
        if named is None:
            raise _weak("ALGORITHM_UNKNOWN", f"the policy does not know {name}")
        for rule in named:
            if key_bits >= rule.least_key_bits and rule.start <= at and (rule.end is None or at < rule.end):
                return
        strong = [rule for rule in named if key_bits >= rule.least_key_bits]
        if not strong:
            raise _weak("KEY_TOO_SMALL", f"the key is shorter than the policy asks for with {name}")
        ends = [rule.end for rule in strong if rule.end is not None and rule.start <= at]
        if ends and produced_after < max(ends):
            raise Finding(
                SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
                "ALGORITHM_EXPIRED",
                f"{name} was not acceptable any more, and nothing proves that the signature is older",
            )
        raise _weak("ALGORITHM_EXPIRED" if ends else "ALGORITHM_NOT_YET", f"{name} was not acceptable at that time")

    def required(self, kinds: Collection[str], at: datetime) -> Sequence[RoleRequirement]:
        """The requirements in force at a time for a document of some kinds."""
        return [rule for rule in self.requirements if rule.start <= at and (not rule.kind or rule.kind in kinds)]


def load_policy(path: Path, kinds: Collection[str]) -> SignaturePolicy:
    """Reads a policy; `kinds` are the names of document kinds. Raises PolicyError naming every fault at once."""
    try:
        content = path.read_bytes()
        values = tomllib.loads(content.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolicyError([f"not a readable TOML file ({type(error).__name__})"]) from error
    faults: list[str] = [f"{name}: unknown" for name in sorted(values.keys() - _TOP)]
    version = values.get("version")
    if not isinstance(version, str) or not version or len(version) > 40:
        faults.append("version: a text of 1 to 40 characters")
    hours = {name: _hours(values, name, faults) for name in _HOURS}
    ahead = _number(values, "claimed_ahead_minutes", 24 * 60, faults)
    revocation = values.get("authority_revocation")
    if revocation not in _REVOCATION:
        faults.append("authority_revocation: WARNING or REQUIRED")
    algorithms = [
        rule
        for place, entry in enumerate(_tables(values, "algorithms", faults))
        for rule in _algorithms(entry, f"algorithms[{place}]", faults)
    ]
    requirements = [
        rule
        for place, entry in enumerate(_tables(values, "requirements", faults))
        for rule in _requirements(entry, f"requirements[{place}]", kinds, faults)
    ]
    if faults:
        raise PolicyError(faults)
    return SignaturePolicy(
        version=f"{version}+{hashlib.sha256(content).hexdigest()[:8]}",
        algorithms=tuple(algorithms),
        requirements=tuple(requirements),
        grace_period=hours["grace_period_hours"],
        ocsp_validity=hours["ocsp_validity_hours"],
        claimed_ahead=timedelta(minutes=ahead),
        authority_revocation_required=revocation == "REQUIRED",
    )


def _tables(values: Mapping[str, Any], name: str, faults: list[str]) -> list[Mapping[str, Any]]:
    found = values.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        faults.append(f"{name}: at least one table")
        return []
    return found


def _algorithms(entry: Mapping[str, Any], place: str, faults: list[str]) -> list[AlgorithmRule]:
    _unknown(entry, _ALGORITHM, place, faults)
    names = _texts(entry, "names", place, faults)
    bits = _number(entry, "least_key_bits", 16384, faults, place, default=0)
    start, end = _time(entry, "start", place, faults), None
    if "end" in entry:
        end = _time(entry, "end", place, faults)
        if end <= start:
            faults.append(f"{place}.end: not after start")
    return [AlgorithmRule(name, bits, start, end) for name in names]


def _requirements(
    entry: Mapping[str, Any], place: str, known: Collection[str], faults: list[str]
) -> list[RoleRequirement]:
    _unknown(entry, _REQUIREMENT, place, faults)
    kinds = _texts(entry, "kinds", place, faults) if "kinds" in entry else [""]
    faults += [f"{place}.kinds: {kind} is no document kind" for kind in kinds if kind and kind not in known]
    role = entry.get("role")
    if not isinstance(role, str) or role not in SignerRole.__members__:
        faults.append(f"{place}.role: {' or '.join(SignerRole.__members__)}")
        role = SignerRole.FACILITY.value
    refuses, part = entry.get("refuses"), entry.get("part", "")
    if not isinstance(refuses, bool):
        faults.append(f"{place}.refuses: true or false")
    if not isinstance(part, str):
        faults.append(f"{place}.part: a text")
    start = _time(entry, "start", place, faults)
    return [RoleRequirement(kind, SignerRole[role], bool(refuses), start, str(part)) for kind in kinds]


def _unknown(entry: Mapping[str, Any], known: set[str], place: str, faults: list[str]) -> None:
    faults += [f"{place}.{name}: unknown" for name in sorted(entry.keys() - known)]


def _texts(entry: Mapping[str, Any], name: str, place: str, faults: list[str]) -> list[str]:
    found = entry.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one for one in found):
        faults.append(f"{place}.{name}: at least one text")
        return []
    return found


def _time(entry: Mapping[str, Any], name: str, place: str, faults: list[str]) -> datetime:
    found = entry.get(name)
    if not isinstance(found, datetime) or found.tzinfo is None:
        faults.append(f"{place}.{name}: a time with zone, such as 2026-01-01T00:00:00Z")
        return datetime.max.replace(tzinfo=UTC)
    return found.astimezone(UTC)


def _hours(values: Mapping[str, Any], name: str, faults: list[str]) -> timedelta:
    return timedelta(hours=_number(values, name, _LONGEST, faults))


def _number(
    values: Mapping[str, Any], name: str, most: int, faults: list[str], place: str = "", default: int | None = None
) -> int:
    found = values.get(name, default)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
        faults.append(f"{place}{'.' if place else ''}{name}: a whole number, 0 to {most}")
        return 0
    return found


def _weak(reason: str, text: str) -> Finding:
    return Finding(SubIndication.CRYPTO_CONSTRAINTS_FAILURE, reason, text)
