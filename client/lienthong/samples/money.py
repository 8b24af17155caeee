"""The arithmetic of a claim (domain page §2.4): every row adds up, and the totals of XML1 are the sums of XML2 and
XML3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")
# Share the fund pays, by the benefit digit of the card.
_RATES = {"1": 100, "2": 100, "3": 95, "4": 80, "5": 100}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a patient pays: the fund's share in percent, 0 for one who pays alone."""

    rate: int

    @classmethod
    def of_card(cls, card: str) -> Coverage:
        """From the benefit digit; an empty card is no coverage."""
        return cls(_RATES[card[2]] if card else 0)

    @property
    def insured(self) -> bool:
        """Whether the fund pays at all."""
        return self.rate > 0


def charge(quantity: int, price: str, coverage: Coverage) -> dict[str, str]:
    """Return the amount fields that a row of XML2 and of XML3 share."""
    hospital = (Decimal(price) * quantity).quantize(_CENT, ROUND_HALF_UP)
    insured = hospital if coverage.insured else Decimal(0)
    fund = (insured * coverage.rate / 100).quantize(_CENT, ROUND_HALF_UP)
    amounts = {
        "THANH_TIEN_BV": hospital,
        "THANH_TIEN_BH": insured,
        "T_BNTT": hospital - insured,
        "T_BNCCT": insured - fund,
        "T_BHTT": fund,
        "T_NGUONKHAC_NSNN": Decimal(0),
        "T_NGUONKHAC_VTNN": Decimal(0),
        "T_NGUONKHAC_VTTN": Decimal(0),
        "T_NGUONKHAC_CL": Decimal(0),
        "T_NGUONKHAC": Decimal(0),
    }
    return {name: plain(amount) for name, amount in amounts.items()}


def totals(drugs: Iterable[Mapping[str, str]], services: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the amount fields of XML1."""
    drugs, services = tuple(drugs), tuple(services)
    both = (*drugs, *services)

    def total(name: str, rows: Iterable[Mapping[str, str]]) -> Decimal:
        return sum((Decimal(row[name]) for row in rows), Decimal(0))

    amounts = {
        "T_THUOC": total("THANH_TIEN_BV", drugs),
        "T_VTYT": total("THANH_TIEN_BV", (row for row in services if row["MA_NHOM"] == "10")),
        "T_TONGCHI_BV": total("THANH_TIEN_BV", both),
        "T_TONGCHI_BH": total("THANH_TIEN_BH", both),
        "T_BNTT": total("T_BNTT", both),
        "T_BNCCT": total("T_BNCCT", both),
        "T_BHTT": total("T_BHTT", both),
        "T_NGUONKHAC": total("T_NGUONKHAC", both),
        # All rows here are paid by fee for service (MA_PTTT 1), so none lies inside a capitation or a group.
        "T_BHTT_GDV": total("T_BHTT", both),
    }
    return {name: plain(amount) for name, amount in amounts.items()}


def plain(amount: Decimal) -> str:
    """Write an amount with a point, without exponent and trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
