"""The limits in a store, on a clock that is moved by hand."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import Health
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from tests.clock import ManualClock

LANE = "gpt-4o"
ONE = Cost()
WELL = CallEnd(Health.GOOD)
FAILED = CallEnd(Health.BAD)


def deployment(name: str = "d1", **limits: int | None) -> Deployment:
    return Deployment(name, LANE, "openai/gpt-4o", ClientKind.HTTP, limits=ConfiguredLimits(**limits), timeout_s=10)


@dataclass
class Rig:
    """The limits on a clock that is moved by hand."""

    client: Client
    clock: ManualClock = field(default_factory=ManualClock)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def limits(self) -> RedisRateLimits:
        return RedisRateLimits(self.client, self.clock.now)

    async def grants(self, *candidates: Deployment, cost: Cost = ONE, attempts: int = 1_000) -> list[Reservation]:
        """Reserve until the first wait."""
        granted: list[Reservation] = []
        for _ in range(attempts):
            answer = await self.limits().reserve(Candidates(LANE, candidates), Wish(f"wish-{next(self.numbers)}", cost))
            if isinstance(answer, Wait):
                break
            granted.append(answer)
        return granted


@asynccontextmanager
async def rate_limit_rig(url: str) -> AsyncIterator[Rig]:
    """Keep the limits in the Valkey at ``url``."""
    client = connect(url)
    try:
        yield Rig(client)
    finally:
        await client.aclose()
