"""What may be reserved of a deployment's limits, and what becomes of it when it is used, given back or forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.domain.rate_limit import Cost, Wish
from shared.domain.reservations import Candidates, Reservation, Wait
from tests.contracts.rate_limit_rig import LANE, WELL, Rig, deployment, rate_limit_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


@pytest.mark.hazard(10)
async def test_a_bucket_that_nothing_is_known_of_is_empty(rig: Rig) -> None:
    """Row 10: a restarted store causes no burst."""
    answer = await rig.limits().reserve(Candidates(LANE, (deployment(requests_per_minute=600),)), Wish("a", Cost()))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(0.1)


async def test_no_window_of_any_length_gets_more_than_its_share_and_one_bucket(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    granted = 0
    for step in range(100):
        granted += len(await rig.grants(limited))
        assert granted <= 100 * 0.02 * step + 50
        rig.clock.seconds += 0.02
    assert granted >= 100 * 0.02 * 99 - 1


@pytest.mark.hazard(12)
async def test_a_repeated_reservation_takes_nothing_more(rig: Rig) -> None:
    """Row 12: the reply was lost, and the script runs again."""
    limited = deployment(requests_per_minute=60)
    await rig.grants(limited)
    rig.clock.seconds += 10
    wish = Wish("same", Cost())
    first, second = [await rig.limits().reserve(Candidates(LANE, (limited,)), wish) for _ in range(2)]
    assert first == second
    assert isinstance(first, Reservation)
    assert isinstance(await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("other", Cost())), Wait)


@pytest.mark.hazard(15)
async def test_a_dead_workers_slot_is_free_again_after_a_while(rig: Rig) -> None:
    """Row 15."""
    limited = deployment(max_parallel_requests=1, requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    assert len(await rig.grants(limited)) == 1
    rig.clock.seconds += 69
    assert await rig.grants(limited) == []
    rig.clock.seconds += 2
    assert len(await rig.grants(limited)) == 1


async def test_what_was_reserved_and_not_used_is_given_back_once(rig: Rig) -> None:
    limited = deployment(tokens_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, cost=Cost(1, 300, 200), attempts=1)
    assert await rig.grants(limited, cost=Cost(1, 10, 0)) == []
    for _ in range(3):
        await rig.limits().settle(reservation, Cost(1, 50, 50), WELL)
    assert sum(granted.cost.tokens for granted in await rig.grants(limited, cost=Cost(1, 10, 0))) == 400


async def test_what_was_used_beyond_the_reservation_is_paid_before_the_next(rig: Rig) -> None:
    limited = deployment(tokens_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, cost=Cost(1, 100, 0), attempts=1)
    await rig.limits().settle(reservation, Cost(1, 100, 1_400), WELL)
    answer = await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("next", Cost(1, 100, 0)))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(1.1)


async def test_input_and_output_tokens_are_counted_apart_where_the_provider_does(rig: Rig) -> None:
    limited = deployment(input_tokens_per_minute=60_000, output_tokens_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    assert len(await rig.grants(limited, cost=Cost(1, 100, 1))) == 5
    assert await rig.grants(limited, cost=Cost(1, 1, 50)) == []
    rig.clock.seconds += 1
    assert len(await rig.grants(limited, cost=Cost(1, 1, 10))) == 5


async def test_a_limit_of_nothing_lets_nothing_through(rig: Rig) -> None:
    closed = deployment(requests_per_minute=0)
    rig.clock.seconds += 1_000
    assert await rig.limits().reserve(Candidates(LANE, (closed,)), Wish("a", Cost())) == Wait(3_600)


async def test_fifty_workers_at_once_get_no_more_than_there_is(rig: Rig) -> None:
    limited = deployment(requests_per_minute=600)
    await rig.grants(limited)
    rig.clock.seconds += 1
    answers = await asyncio.gather(
        *(rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"w{number}", Cost())) for number in range(50))
    )
    assert sum(isinstance(answer, Reservation) for answer in answers) == 5


async def test_the_flow_through_a_deployment_is_seen(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    for _ in range(4_000):
        rig.clock.seconds += 0.01
        await rig.grants(limited)
    [state] = await rig.limits().look(LANE, (limited,))
    assert state.flow[0] == pytest.approx(100, rel=0.05)
