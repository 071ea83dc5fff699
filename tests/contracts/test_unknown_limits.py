"""A limit that nobody configured is found, by a provider that counts as ours do and tells nothing but 429."""

import itertools
from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import Health
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import ClientKind, Deployment
from tests.clock import ManualClock

LANE = "gpt-4o"
STEP_S = 0.02
UNKNOWN = Candidates(LANE, (Deployment("d1", LANE, "openai/gpt-4o", ClientKind.HTTP, timeout_s=10),))


class Provider:
    """Serves ``per_second`` calls, a second's worth at once, and refuses the rest."""

    def __init__(self, per_second: float, clock: ManualClock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._level = per_second
        self._filled_at = clock.now()
        self.served_at: list[float] = []
        self.refused = 0

    def refuses_for(self) -> float:
        """Serve a call, and give 0; or refuse it for that many seconds."""
        passed = self._clock.now() - self._filled_at
        self._level = min(self._per_second, self._level + passed * self._per_second)
        self._filled_at = self._clock.now()
        if self._level < 1:
            self.refused += 1
            return (1 - self._level) / self._per_second
        self._level -= 1
        self.served_at.append(self._clock.now())
        return 0.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def limits(valkey_url: str, clock: ManualClock) -> AsyncIterator[RedisRateLimits]:
    client = connect(valkey_url)
    yield RedisRateLimits(client, clock.now)
    await client.aclose()


@pytest.mark.parametrize("per_second", [20, 100])
async def test_an_unknown_limit_is_found_within_a_minute_and_used_with_few_refusals(
    limits: RedisRateLimits, clock: ManualClock, per_second: int
) -> None:
    provider, numbers, begun = Provider(per_second, clock), itertools.count(), clock.now()
    while clock.now() < begun + 120:
        clock.seconds += STEP_S
        while isinstance(granted := await limits.reserve(UNKNOWN, Wish(f"w{next(numbers)}", Cost())), Reservation):
            if refused_for := provider.refuses_for():
                await limits.refuse(granted, refused_for)
            else:
                await limits.settle(granted, Cost(), CallEnd(Health.GOOD))
    second_minute = sum(at >= begun + 60 for at in provider.served_at)
    assert second_minute >= 0.9 * 60 * per_second
    assert provider.refused <= 0.01 * (provider.refused + len(provider.served_at)) + per_second
