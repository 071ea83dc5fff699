"""The limits on a single server, and again on a cluster, where all keys of a script must share a slot."""

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.rate_limits import RedisRateLimits
from shared.domain.circuit import Health
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from shared.domain.routing import ClientKind, ConfiguredLimits, Deployment
from tests.clock import ManualClock

LANE = "openai/gpt: {4o}"
"""A name that would spoil a hash tag if it were not escaped."""

PAIR = tuple(
    Deployment(name, LANE, "openai/m", ClientKind.HTTP, limits=ConfiguredLimits(requests_per_minute=120))
    for name in ("d1", "d2")
)


@pytest.mark.hazard(13)
async def test_a_lane_of_two_deployments_is_limited_alike_on_a_server_and_in_a_cluster(client: Client) -> None:
    clock = ManualClock()
    limits = RedisRateLimits(client, clock.now)
    assert isinstance(await limits.reserve(Candidates(LANE, PAIR), Wish("early", Cost())), Wait)
    clock.seconds += 60
    granted = [await limits.reserve(Candidates(LANE, PAIR), Wish(f"w{number}", Cost())) for number in range(3)]
    first, second = [answer for answer in granted if isinstance(answer, Reservation)]
    assert [first.deployment.id, second.deployment.id] == ["d1", "d2"]
    await limits.settle(first, Cost(), CallEnd(Health.GOOD))
    await limits.refuse(second, 5.0)
    states = await limits.look(LANE, PAIR)
    assert [dict(state.held) for state in states] == [{}, {}]
    assert [state.closed_until > clock.now() for state in states] == [False, True]
