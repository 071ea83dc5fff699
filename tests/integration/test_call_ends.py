"""What a call took reaches the limits even if the store was away when it ended."""

import asyncio

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import BreakerState, Health
from shared.domain.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from tests.eventually import eventually
from tests.servers.valkey import PrivateValkey
from workers.call_ends import CallEnds

ONE_AT_A_TIME = Deployment(
    "d1", "m", "openai/m", ClientKind.HTTP, limits=ConfiguredLimits(max_parallel_requests=1, requests_per_minute=60_000)
)


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_slot_is_free_again_when_the_store_is_back(private_valkey: PrivateValkey, *, is_stopped: bool) -> None:
    client = connect(private_valkey.url)
    limits = RedisRateLimits(client)

    async def reserve(name: str) -> Reservation | None:
        found = await limits.reserve(Candidates("m", (ONE_AT_A_TIME,)), Wish(name, Cost()))
        return found if isinstance(found, Reservation) else None

    first = await eventually(lambda: reserve("first"))
    assert first is not None
    ends = CallEnds(limits, SystemClock(), lambda _: None)
    await private_valkey.kill()
    await ends.settle(first, Cost(), CallEnd(Health.GOOD))
    await private_valkey.start()
    if is_stopped:
        await ends.close()
    assert await eventually(lambda: reserve("second"))
    await client.aclose()


class NeverThere(RedisRateLimits):
    """A store that nobody can reach."""

    async def settle(self, *_: object) -> BreakerState | None:
        raise StoreUnavailable


async def test_nothing_is_left_running_when_the_store_stays_away(valkey_url: str) -> None:
    client = connect(valkey_url)
    ends = CallEnds(NeverThere(client), SystemClock(), lambda _: None)
    before = asyncio.all_tasks()
    reservation = Reservation("first", "m", ONE_AT_A_TIME, Candidates("m", (ONE_AT_A_TIME,)).breaker, Cost())
    await ends.settle(reservation, Cost(), CallEnd(Health.GOOD))
    assert asyncio.all_tasks() > before
    await ends.close()
    assert asyncio.all_tasks() == before
    await client.aclose()
