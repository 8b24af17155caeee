"""Childhoods at random: offices come and go, permissions are given, agreed to and withdrawn, birthdays pass. After every step a facility and both
parents ask, and what they are answered is held against a few lines that count ages and agreements in another way."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import grpc
import pytest
from lienthong.client.errors import from_rpc_error

from tests.fixtures.person_facts import People
from tests.integration.consent.test_guardianships import PERMIT, TICK, end, reads, register, wanted
from tests.integration.consent.test_minors import agree, decide, grant, withdraw
from tests.integration.consent.ward import Ward

STEPS = 45


def local(at: datetime) -> datetime:
    return at + timedelta(hours=7)


def age(birth: date, at: datetime) -> int:
    """Full years in Vietnam."""
    today = local(at).date()
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


@dataclass
class Permission:
    """What the test remembers of one."""

    name: str
    given_at: datetime
    days: int
    needs: set[str]
    agreed: dict[str, tuple[str, datetime]]
    withdrawn: bool = False


@dataclass
class Childhood:
    """One child, two parents, and what is known of them without asking the system."""

    ward: Ward
    random: random.Random
    birth: date
    child: str
    parents: tuple[str, str]
    offices: dict[str, str] = field(default_factory=dict)
    permissions: list[Permission] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> datetime:
        return self.ward.clock()

    @property
    def years(self) -> int:
        return age(self.birth, self.now)

    def in_office(self, who: str) -> bool:
        return who in self.offices and self.years < 16

    def needs(self) -> set[str]:
        if self.years >= 16:
            return {"SELF"}
        return {"GUARDIAN"} if self.years < 7 else {"SELF", "GUARDIAN"}

    def holds(self, one: Permission) -> bool:
        """Whether a facility may read on it now."""
        if one.withdrawn or not one.needs <= one.agreed.keys():
            return False
        # Others must agree from the next of the two birthdays on.
        if age(self.birth, one.given_at) < 7 <= self.years or age(self.birth, one.given_at) < 16 <= self.years:
            return False
        if self.now >= max(one.agreed[role][1] for role in one.needs) + timedelta(days=one.days):
            return False
        return "GUARDIAN" not in one.needs or self.in_office(one.agreed["GUARDIAN"][0])

    def role(self, who: str) -> str:
        if who == self.child:
            return "SELF"
        return "GUARDIAN" if self.in_office(who) else ""

    async def step(self) -> None:
        name = self.random.choice(
            ["register", "grant", "grant", "agree", "agree", "end", "withdraw", "wait", "birthday"]
        )
        self.done[f"{name}: {await getattr(self, f'_{name}')()}"] += 1

    async def _register(self) -> str:
        who = self.random.choice(self.parents)
        if self.in_office(who):
            return ""
        answer = await said(register(self.ward, wanted(self.child, who)))
        assert (answer == "FIELD_INVALID") == (self.years >= 16), answer
        if not isinstance(answer, str):
            self.offices[who] = answer.name
        return "registered"

    async def _end(self) -> str:
        if not self.offices or self.random.random() < 0.5:
            return ""
        who = self.random.choice(sorted(self.offices))
        await end(self.ward, self.offices.pop(who))
        return "ended"

    async def _grant(self) -> str:
        who, days = self.random.choice([self.child, *self.parents]), self.random.choice([1, 30, 300])
        answer = await said(grant(self.ward, who, self.child, days))
        expected = ""
        if not self.role(who):
            expected = "NOT_THE_GUARDIAN"
        elif self.years < 16 and not any(map(self.in_office, self.parents)):
            expected = "NO_GUARDIAN"
        assert (answer if isinstance(answer, str) else "") == expected
        if not isinstance(answer, str):
            given = {self.role(who): (who, self.now)}
            self.permissions.append(Permission(answer.name, self.now, days, self.needs(), given))
        return expected or "granted"

    async def _agree(self) -> str:
        if not self.permissions:
            return ""
        one, who = self.permissions[-1], self.random.choice([self.child, *self.parents])
        answer = await said(agree(self.ward, who, one.name))
        role = self.role(who)
        if isinstance(answer, str):
            refused = {"CONSENT_NOT_FOUND": not role, "CONSENT_REVOKED": one.withdrawn}
            assert refused.get(answer, not self.holds(one)), answer
            return answer
        assert role
        if role in one.needs and role not in one.agreed:
            one.agreed[role] = (who, self.now)
            return "agreed"
        return "nothing awaited"

    async def _withdraw(self) -> str:
        if not self.permissions or self.random.random() < 0.6:
            return ""
        one, who = self.random.choice(self.permissions[-3:]), self.random.choice([self.child, *self.parents])
        answer = await said(withdraw(self.ward, who, one.name))
        assert (answer == "CONSENT_NOT_FOUND") == (not self.role(who))
        one.withdrawn |= bool(self.role(who))
        return "withdrawn" if self.role(who) else "refused"

    async def _wait(self) -> str:
        self.ward.clock.advance(
            self.random.choice([timedelta(minutes=1), timedelta(days=1), timedelta(days=1) - TICK, timedelta(days=29)])
        )
        return "waited"

    async def _birthday(self) -> str:
        """To the last instant before, or to the first of, the next birthday that changes something."""
        years = 7 if self.years < 7 else 16
        if self.years >= 16 or self.random.random() < 0.7:
            return ""
        first = datetime(self.birth.year + years, self.birth.month, self.birth.day, tzinfo=self.now.tzinfo)
        at = first - timedelta(hours=7) - self.random.choice([TICK, timedelta(0)])
        if at > self.now:
            self.ward.clock.advance(at - self.now)
        return f"{years}"

    async def check(self) -> None:
        expected = any(self.holds(one) for one in self.permissions)
        decision = await decide(self.ward, self.child)
        assert (decision.effect == PERMIT) == expected, (self.years, self.offices, self.permissions)
        for who in self.parents:
            assert ((await reads(self.ward, who, self.child)).effect == PERMIT) == self.in_office(who)
        self.done["read" if expected else "refused"] += 1


async def said(call: Any) -> Any:
    """What a call answers, or the reason why it is refused."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason


@pytest.mark.parametrize("seed", range(4))
async def test_a_childhood(ward: Ward, people: People, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test repeats itself
    today = local(ward.clock()).date()
    birth = date(today.year - chance.choice([6, 6, 15]), today.month, 1) + timedelta(days=-chance.randrange(40, 300))
    child, mother, father = (ward.app.enrol() for _ in range(3))
    people.births[child] = (birth.year, birth.month, birth.day)
    childhood = Childhood(ward, chance, birth, child, (mother, father))
    childhood.offices[mother] = (await register(ward, wanted(child, mother))).name
    for _ in range(STEPS):
        await childhood.step()
        await childhood.check()
    assert childhood.done["read"] > 3, childhood.done
    assert childhood.done["refused"] > 3, childhood.done
    assert childhood.done["grant: granted"] > 1, childhood.done
