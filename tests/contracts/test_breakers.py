"""When a deployment fails, all workers leave it alone, and return to it one probe at a time."""

from collections.abc import AsyncIterator

import pytest

from shared.domain.circuit import BreakerState, Health
from shared.domain.rate_limit import CallEnd, Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from tests.contracts.rate_limit_rig import FAILED, LANE, WELL, Rig, deployment, rate_limit_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


async def break_down(rig: Rig, candidates: Candidates) -> None:
    """Let the first deployment's breaker open."""
    for _ in range(candidates.breaker.allowed_fails + 1):
        rig.clock.seconds += 1
        answer = await rig.limits().reserve(candidates, Wish(f"wish-{next(rig.numbers)}", Cost()))
        assert isinstance(answer, Reservation)
        await rig.limits().settle(answer, Cost(), FAILED)


async def test_an_outage_that_one_worker_saw_is_known_to_all(rig: Rig) -> None:
    pair = (deployment("d1", requests_per_minute=6_000), deployment("d2", requests_per_minute=6_000))
    await rig.grants(*pair)
    await break_down(rig, Candidates(LANE, pair))
    taken = await rig.grants(*pair, attempts=5)
    assert {reservation.deployment.id for reservation in taken} == {"d2"}


async def test_when_all_are_down_the_wait_says_so(rig: Rig) -> None:
    only = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    answer = await rig.limits().reserve(only, Wish("next", Cost()))
    assert isinstance(answer, Wait)
    assert answer.is_down
    assert answer.seconds == pytest.approx(5.0)


@pytest.mark.hazard(18)
async def test_what_is_back_is_called_by_one_probe_then_two_then_more(rig: Rig) -> None:
    """Row 18: after an outage no herd comes, though the bucket is full and a thousand jobs wait."""
    only = Candidates(LANE, (deployment(requests_per_minute=60_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    rig.clock.seconds += 6
    at_once = []
    for _ in range(8):
        calls = await rig.grants(*only.deployments)
        at_once.append(len(calls))
        rig.clock.seconds += 0.5
        for call in calls:
            await rig.limits().settle(call, Cost(), WELL)
    assert at_once[:6] == [1, 2, 4, 8, 16, 32]
    assert at_once[-1] >= 400


@pytest.mark.hazard(19)
async def test_a_clients_own_faults_never_open_a_breaker(rig: Rig) -> None:
    """Row 19: nor does one deployment's breaker touch another's, though they serve the same model."""
    pair = (deployment("d1", requests_per_minute=6_000), deployment("d2", requests_per_minute=6_000))
    await rig.grants(*pair)
    rig.clock.seconds += 1
    for reservation in await rig.grants(*pair, attempts=60):
        await rig.limits().settle(reservation, Cost(), CallEnd(Health.GOOD))
    assert all(
        state.circuit.state(rig.clock.now()) is BreakerState.CLOSED for state in await rig.limits().look(LANE, pair)
    )
    await break_down(rig, Candidates(LANE, pair))
    first, second = await rig.limits().look(LANE, pair)
    now = rig.clock.now()
    assert (first.circuit.state(now), second.circuit.state(now)) == (BreakerState.OPEN, BreakerState.CLOSED)


async def test_a_refused_probe_is_a_sign_of_life(rig: Rig) -> None:
    only = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*only.deployments)
    await break_down(rig, only)
    rig.clock.seconds += 6
    [probe] = await rig.grants(*only.deployments)
    await rig.limits().refuse(probe, 0.1)
    [state] = await rig.limits().look(LANE, only.deployments)
    assert state.circuit.state(rig.clock.now()) is BreakerState.RAMPING
