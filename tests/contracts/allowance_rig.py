"""Charges against the allowances in a store, on a clock that is moved by hand."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.connection import Client
from shared.domain.allowances import (
    UNLIMITED,
    Allowance,
    Charge,
    Charged,
    KnownAlready,
    OverLimit,
    Policies,
    TeamPolicy,
    Terms,
)
from shared.domain.job import Attribution, JobSpec
from shared.domain.lanes import Priority
from tests.clock import ManualClock

TEAM = "search"
ONE = (1.0, 0.0)


def policies(
    team: Allowance = UNLIMITED,
    *,
    each_user: Allowance = UNLIMITED,
    ceiling: Allowance = UNLIMITED,
    features: dict[str, Allowance] | None = None,
) -> Policies:
    """What is configured of one team."""
    return Policies(ceiling, {TEAM: TeamPolicy(Terms(team), each_user, features or {})})


@dataclass
class Rig:
    """The allowances on a clock that is moved by hand."""

    client: Client
    clock: ManualClock = field(default_factory=ManualClock)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def allowances(self) -> RedisAllowances:
        return RedisAllowances(self.client, self.clock.now)

    def spec(self, user: str | None = None, feature: str | None = None, key: str | None = None) -> JobSpec:
        return JobSpec(
            id=f"job_{next(self.numbers)}",
            team=TEAM,
            endpoint="/v1/chat/completions",
            model="m",
            lane="m",
            priority=Priority.STANDARD,
            created_at=self.clock.now(),
            key_id=key,
            attribution=Attribution(feature=feature, user=user),
        )

    def charge(
        self,
        agreed: Policies,
        spec: JobSpec | None = None,
        amounts: tuple[float, float] = ONE,
        *,
        of_key: Allowance = UNLIMITED,
        patience_s: float = 0.0,
        idempotency_key: str | None = None,
    ) -> Charge:
        spec = spec or self.spec()
        owners = agreed.allowances(spec, of_key)
        return Charge(spec, owners, agreed.ceiling, amounts, patience_s, idempotency_key)

    async def take(self, charge: Charge) -> Charged | KnownAlready | OverLimit:
        [answer] = await self.allowances().take([charge])
        return answer

    async def passes(self, agreed: Policies, amounts: tuple[float, float] = ONE, user: str | None = None) -> int:
        """Charge until the first is refused; give how many went through."""
        for passed in itertools.count():
            if isinstance(await self.take(self.charge(agreed, self.spec(user), amounts)), OverLimit):
                return passed
        raise AssertionError
