"""The seeded generator: the same seed and the same calls give the same bytes on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from random import Random

from lienthong.samples.broken import Breaker
from lienthong.samples.envelope import envelope_xml, table_xml
from lienthong.samples.episodes import Plan, Row, course_rows, draw_visit, drug_rows, service_rows, summary_row
from lienthong.samples.facilities import BY_CODE, FACILITIES, Facility
from lienthong.samples.papers import discharge_row, follow_up_row, record_row, referral_row
from lienthong.samples.people import Person, draw_person
from lienthong.samples.resources import conditions

# Viet Nam keeps UTC+7 all year; the format carries local time.
VIETNAM = timezone(timedelta(hours=7))
_SPECS = ("4750", "3176")
# First day of each version's shape, and how many days after it episodes may end.
_WINDOWS = {"4750": (datetime(2024, 7, 1, tzinfo=VIETNAM), 183), "3176": (datetime(2025, 1, 1, tzinfo=VIETNAM), 363)}
_KINDS = {
    "XML1": "ENCOUNTER_SUMMARY",
    "XML2": "PRESCRIPTION",
    "XML3": "SERVICE",
    "XML4": "DIAGNOSTIC_REPORT",
    "XML5": "CLINICAL_COURSE",
    "XML7": "DISCHARGE_PAPER",
    "XML8": "RECORD_SUMMARY",
    "XML13": "REFERRAL",
    "XML14": "FOLLOW_UP",
}


@dataclass(frozen=True, slots=True)
class Episode:
    """An unsigned document. `kinds` are names of `lienthong.type.v1.DocumentKind` in table order; `ended` is
    Vietnamese local time.
    """

    document_id: str
    content: bytes
    person: Person
    facility: Facility
    spec: str
    ended: datetime
    kinds: tuple[str, ...]
    tables: tuple[str, ...]


class Generator:
    """Draws fictitious persons, their episodes, and broken documents. Not for use from two threads at once."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # sample data, to be repeatable and not secret

    def person(self) -> Person:
        """Draw a person."""
        return draw_person(self._random)

    def episode(
        self,
        person: Person | None = None,
        facility: Facility | str | None = None,
        spec: str = "3176",
        referral_to: str | None = None,
        follow_up: bool = False,
        with_identifier: bool = True,
        ended: datetime | None = None,
    ) -> Episode:
        """Draw an episode of `person` (else a new one) at `facility` (code or object, else any of the sample's).

        `referral_to` is the code of the facility the person is sent to, which adds XML13; `follow_up` adds
        XML14. Without identifier the
        document has neither citizen number nor card nor phone. `ended` is the end of the episode in Vietnamese
        local time; by
        default a day in which `spec` was in force, after the person's birth. Raises ValueError for an unknown
        spec or facility code, and
        when the person was born after the end, or a facility would refer to itself.
        """
        if spec not in _SPECS:
            raise ValueError(f"spec must be one of {_SPECS}, not {spec!r}")
        place = self._facility(facility, referral_to)
        if place.code == referral_to:
            raise ValueError("a facility does not refer to itself")
        end = self._end(spec, person) if ended is None else _local(ended)
        patient = person or self._born_before(end)
        if patient.birth >= (end - timedelta(days=15)).date():
            raise ValueError("the person was born after the episode, or too shortly before its end")
        plan = Plan(spec, patient, place, end, referral_to or "", follow_up, with_identifier)
        return self._write(plan)

    def broken(self, kind: str) -> bytes:
        """Return a document that is broken in the named way; see `broken.KINDS`. Raises ValueError for another name."""
        return Breaker(self._random, self.episode).document(kind)

    def _facility(self, facility: Facility | str | None, referral_to: str | None) -> Facility:
        if facility is None:
            return self._random.choice([one for one in FACILITIES if one.code != referral_to])
        if isinstance(facility, Facility):
            return facility
        if facility not in BY_CODE:
            raise ValueError(f"no sample facility has the code {facility!r}")
        return BY_CODE[facility]

    def _end(self, spec: str, person: Person | None) -> datetime:
        start, days = _WINDOWS[spec]
        if person is not None:
            born = datetime.combine(person.birth, time(), VIETNAM) + timedelta(days=30)
            days, start = days - max((born - start).days, 0), max(start, born)
        if days < 1:
            raise ValueError(f"the person was born too late for an episode of {spec}")
        return start + timedelta(
            days=self._random.randrange(days), hours=self._random.randrange(13, 17), minutes=self._random.randrange(60)
        )

    def _born_before(self, end: datetime) -> Person:
        while True:
            person = self.person()
            if person.birth < (end - timedelta(days=30)).date():
                return person

    def _write(self, plan: Plan) -> Episode:
        random = self._random
        visit = draw_visit(random, plan, conditions())
        drugs = drug_rows(random, visit)
        services, results = service_rows(random, visit)
        appointed = plan.ended.date() + timedelta(days=random.choice((7, 14, 28)))
        summary = summary_row(random, visit, drugs, services, f"{appointed:%Y%m%d}" if plan.follow_up else "")
        rows: dict[str, list[Row]] = {"XML1": [summary], "XML2": drugs, "XML3": services, "XML4": results}
        if visit.care in ("03", "06"):
            rows["XML5"] = course_rows(random, visit)
        if visit.inpatient:
            rows["XML7"] = [discharge_row(visit, summary, draw_person(random).full_name)]
        # Patients outside insurance come with XML1 and XML8 at least (letter 4395/2023).
        if visit.care in ("03", "06") or not visit.coverage.insured or plan.referral_to or random.random() < 0.4:
            rows["XML8"] = [record_row(visit, summary, results)]
        if plan.referral_to:
            rows["XML13"] = [referral_row(random, visit, summary, results, services, drugs)]
        if plan.follow_up:
            rows["XML14"] = [follow_up_row(visit, summary, appointed)]
        content = envelope_xml(
            plan.facility.code,
            f"{plan.ended:%Y%m%d}",
            [(table, table_xml(plan.spec, table, listed)) for table, listed in rows.items()],
            schema_names=plan.spec == "3176",
        )
        return Episode(
            document_id=f"{visit.key}/1",
            content=content,
            person=plan.person,
            facility=plan.facility,
            spec=plan.spec,
            ended=plan.ended,
            kinds=tuple(_KINDS[table] for table in rows),
            tables=tuple(rows),
        )


def _local(at: datetime) -> datetime:
    """A time without an offset is Vietnamese already; the format has minutes only."""
    local = at.replace(tzinfo=VIETNAM) if at.tzinfo is None else at.astimezone(VIETNAM)
    return local.replace(second=0, microsecond=0)
