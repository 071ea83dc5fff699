"""Which deployment of a lane is asked first, and which when that one is full."""

from collections.abc import AsyncIterator

import pytest

from shared.domain.circuit import Health
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from shared.domain.routing import RoutingStrategy
from tests.contracts.rate_limit_rig import LANE, Rig, deployment, rate_limit_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


async def test_the_second_deployment_is_taken_when_the_first_is_full(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=600), deployment("d2", requests_per_minute=600))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    assert [reservation.deployment.id for reservation in await rig.grants(*pair)] == ["d1"] * 5 + ["d2"] * 5


async def test_the_fastest_deployment_is_asked_first_once_all_were_measured(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=60_000), deployment("d2", requests_per_minute=60_000))
    by_latency = Candidates(LANE, pair, RoutingStrategy.LATENCY)
    await rig.grants(*pair)
    rig.clock.seconds += 1
    served = []
    for number in range(6):
        call = await rig.limits().reserve(by_latency, Wish(f"call-{number}", Cost()))
        assert isinstance(call, Reservation)
        served.append(call.deployment.id)
        rig.clock.seconds += {"d1": 0.9, "d2": 0.3}[call.deployment.id]
        await rig.limits().settle(call, Cost(), CallEnd(Health.GOOD, was_answered=True))
    assert served == ["d1", "d2", "d2", "d2", "d2", "d2"]


async def test_the_least_busy_deployment_is_asked_first(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=60_000), deployment("d2", requests_per_minute=60_000))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    by_load = Candidates(LANE, pair, RoutingStrategy.LEAST_BUSY)
    served = [await rig.limits().reserve(by_load, Wish(f"call-{number}", Cost())) for number in range(6)]
    assert [call.deployment.id for call in served if isinstance(call, Reservation)] == ["d1", "d2"] * 3
