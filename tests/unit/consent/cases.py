"""The table of decision cases: TOML files under cases/, facts in short form.

Times are relative to the decision: sums of terms such as `-30m`, `+1us`, `-1h`. The requester is one of the names of `_REQUESTERS`. By default a
facility is active, its licences are valid, the registries were heard a second ago, and a consent is for treatment, for encounter summaries, for
the requesting facility, granted an hour ago for 30 days. Expected is what stands in the case, and nothing about what doesn't.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from services.consent.facts import EmergencyGrant, Facts, Registry, Relation, Restriction, RestrictionKind
from services.consent.model import (
    Agreement,
    AgreementRole,
    Basis,
    Channel,
    Consent,
    Effect,
    Evidence,
    Frequency,
    Kind,
    Period,
    Purpose,
    Query,
    Requester,
    Ruling,
    SensitivityClass,
    Terms,
    TreatmentEvidence,
)

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PEOPLE = {
    "person": UUID("019a0000-0000-7000-8000-000000000001"),
    "mother": UUID("019a0000-0000-7000-8000-000000000002"),
    "father": UUID("019a0000-0000-7000-8000-000000000003"),
    "stranger": UUID("019a0000-0000-7000-8000-000000000004"),
}
HERE = "01001"
_REQUESTERS = {
    "doctor": Requester("PRACTITIONER", HERE, "L1", None, "doctor"),
    "nurse": Requester("PRACTITIONER", HERE, "L2", None, "nurse"),
    "system": Requester("FACILITY", HERE),
    "citizen": Requester("CITIZEN", person=PEOPLE["person"]),
    "mother": Requester("CITIZEN", person=PEOPLE["mother"]),
    "stranger": Requester("CITIZEN", person=PEOPLE["stranger"]),
    "steward": Requester("STEWARD"),
    "auditor": Requester("AUDITOR"),
    "ministry": Requester("MINISTRY"),
    "admin": Requester("ADMIN"),
}
_TERM = re.compile(r"([+-])(\d+)(us|s|m|h|d)")
_UNITS = {"us": "microseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_EVIDENCE = Evidence(Channel.NATIONAL_ID_APP, "1", "")
_CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    facts: Facts
    expect: Mapping[str, Any]


def cases() -> list[Case]:
    """All of them."""
    return [
        Case(f"{path.stem}: {raw['name']}", facts(raw), raw["expect"])
        for path in sorted(_CASES.glob("*.toml"))
        for raw in tomllib.loads(path.read_text("utf-8"))["case"]
    ]


def span(text: str) -> timedelta:
    """A sum of terms."""
    terms = _TERM.findall(text)
    assert "".join("".join(term) for term in terms) == text, text
    return sum((timedelta(**{_UNITS[unit]: int(sign + number)}) for sign, number, unit in terms), start=timedelta())


def moment(text: str | None) -> datetime | None:
    """A time; None for none."""
    return None if not text else NOW + span(text)


def facts(raw: Mapping[str, Any]) -> Facts:
    """The facts of a case."""
    ask = raw["ask"]
    own = ask.get("own", [])
    asker = _REQUESTERS[ask["as"]]
    requester = Requester(
        asker.kind,
        ask.get("organization", asker.organization) or None,
        ask.get("licence", asker.licence) or None,
        asker.person,
        asker.role,
    )
    query = Query(
        person=PEOPLE["person"],
        purpose=Purpose(ask.get("purpose", "TREATMENT")),
        basis=Basis(ask.get("basis", "CONSENT")),
        kinds=frozenset(Kind(kind) for kind in ask.get("kinds", ["ENCOUNTER_SUMMARY"])),
        period=Period(moment(ask.get("start")), moment(ask.get("end"))),
        method="lienthong.records.v1.DocumentService/ListDocuments",
        resources=tuple(ask.get("resources", own)),
        evidence=tuple(
            [TreatmentEvidence(type, "resources/1") for type in ask.get("evidence", [])]
            + [TreatmentEvidence("OWN_DOCUMENT", one) for one in own]
        ),
    )
    consents = [_consent(at, one) for at, one in enumerate(raw.get("consents", []), start=1)]
    grant = raw.get("emergency")
    return Facts(
        query=query,
        requester=requester,
        at=NOW,
        consents=tuple(consents),
        uses={
            consent.id: one["uses"]
            for consent, one in zip(consents, raw.get("consents", []), strict=True)
            if one.get("uses")
        },
        relations=tuple(
            Relation(
                TreatmentEvidence(one["type"], "resources/1"), Period(moment(one.get("start")), moment(one.get("end")))
            )
            for one in raw.get("relations", [])
        ),
        emergency=None if grant is None else _grant(grant),
        registry=_registry(requester, raw.get("registry", {})),
        guardians=frozenset(PEOPLE[one] for one in raw.get("guardians", [])),
        restrictions=tuple(
            Restriction(RestrictionKind(one["kind"]), Purpose(one["purpose"]) if "purpose" in one else None)
            for one in raw.get("restrictions", [])
        ),
    )


def _consent(number: int, raw: Mapping[str, Any]) -> Consent:
    reads, interval = raw.get("reads"), raw.get("interval")
    granted = moment(raw.get("granted", "-1h"))
    assert granted is not None
    return Consent(
        id=UUID(int=number),
        person=PEOPLE["person"],
        terms=Terms(
            Purpose(raw.get("purpose", "TREATMENT")),
            frozenset(Kind(kind) for kind in raw.get("kinds", ["ENCOUNTER_SUMMARY"])),
            Period(moment(raw.get("start")), moment(raw.get("end"))),
            span(raw.get("duration", "+30d")),
            raw.get("organization", HERE) or None,
            raw.get("licence"),
            raw.get("organization_class"),
            None,
            None if reads is None else Frequency(reads, span(interval) if interval else None),
            frozenset(SensitivityClass(one) for one in raw.get("classes", [])),
        ),
        evidence=_EVIDENCE,
        granted_at=granted,
        revoked_at=moment(raw.get("revoked")),
        source=raw.get("source"),
        required=frozenset(AgreementRole(role) for role in raw.get("required", ["SELF"])),
        granted_as=AgreementRole(raw.get("granted_as", "SELF")),
        granted_by=PEOPLE[raw.get("granted_by", "person")],
        agreed=tuple(
            Agreement(AgreementRole(role), PEOPLE[person], NOW + span(at), Evidence(_EVIDENCE.channel, "", ""))
            for role, person, at in raw.get("agreed", [])
        ),
        ends_by=moment(raw.get("ends_by")),
    )


def _grant(raw: Mapping[str, Any]) -> EmergencyGrant:
    opened = moment(raw["opened"])
    assert opened is not None
    return EmergencyGrant(
        UUID(int=99),
        opened,
        moment(raw.get("confirmed")),
        moment(raw.get("widened")),
        life_saving=raw.get("life_saving", False),
    )


def _registry(requester: Requester, raw: Mapping[str, Any]) -> Registry:
    active = raw.get("active", "yes")
    licensed = requester.licence is not None and not raw.get("unlicensed", False)
    period = raw.get("licensed", {})
    return Registry(
        heard_at=moment(raw.get("heard", "-1s")),
        organization_active=None if not active else active == "yes",
        care_level=raw.get("care_level", "BASIC") or None,
        licence_role=requester.role if licensed else None,
        licence_period=Period(moment(period.get("start")), moment(period.get("end"))) if licensed else None,
        licence_organizations=frozenset(raw.get("organizations", [HERE])) if licensed else frozenset(),
    )


def differences(ruling: Ruling, expect: Mapping[str, Any]) -> dict[str, Any]:
    """What of the ruling is not as expected, with what it is instead."""
    return {name: found for name, wanted in expect.items() if (found := _found(ruling, name)) != _wanted(name, wanted)}


def _wanted(name: str, wanted: Any) -> Any:
    if name in ("start", "end"):
        return moment(wanted)
    return sorted(wanted) if isinstance(wanted, list) and name != "change" else wanted


def _found(ruling: Ruling, name: str) -> Any:
    parts = ruling.permissions
    match name:
        case "effect":
            return ruling.effect.value
        case "rules":
            return sorted(one.rule for one in ruling.rules if one.effect is not Effect.NOT_APPLICABLE)
        case "kinds":
            return sorted({kind.value for part in parts for kind in part.kinds})
        case "classes":
            return sorted({one.value for part in parts for one in part.classes})
        case "change":
            return [one.code for one in ruling.would_change]
        case "withheld":
            return sorted(f"{kind.value}:{reason}" for kind, reason in ruling.withheld)
        case "consents":
            return sorted({part.consent.int for part in parts if part.consent})
        case "sources":
            return sorted({part.source for part in parts if part.source})
        case "obligations":
            return sorted(ruling.obligations)
        case "start":
            return min((part.period.start for part in parts if part.period.start), default=None)
        case "end":
            return max((part.period.end for part in parts if part.period.end), default=None)
    raise KeyError(name)
