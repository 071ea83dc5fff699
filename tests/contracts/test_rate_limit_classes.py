"""What a class of work leaves of the limits to work that is more urgent."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.domain.rate_limit import Cost, Wish
from shared.domain.reservations import Candidates, Reservation
from tests.contracts.rate_limit_rig import LANE, Rig, deployment, rate_limit_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


async def test_lower_classes_leave_the_reserve_to_interactive_work(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    bulk = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"b{n}", Cost(), kept=0.1)) for n in range(50)
    ]
    assert sum(isinstance(answer, Reservation) for answer in bulk) == 45
    assert len(await rig.grants(limited)) == 5


async def test_deferrable_work_gets_nothing_while_other_work_waits(rig: Rig) -> None:
    candidates = Candidates(LANE, (deployment(requests_per_minute=6_000),))
    await rig.grants(*candidates.deployments)
    idle = Wish("deferrable", Cost(), kept=0.5, only_idle=True)
    granted = 0
    for step in range(400):
        rig.clock.seconds += 0.01
        await rig.grants(*candidates.deployments)  # others take all there is, and want more
        answer = await rig.limits().reserve(candidates, replace(idle, name=f"deferrable-{step}"))
        granted += isinstance(answer, Reservation)
    assert granted == 0


async def test_deferrable_work_takes_what_is_idle_and_leaves_its_share(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    answers = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"d{n}", Cost(), kept=0.5, only_idle=True))
        for n in range(50)
    ]
    assert sum(isinstance(answer, Reservation) for answer in answers) == 25
    assert len(await rig.grants(limited)) == 25


async def test_deferrable_work_that_waits_does_not_make_others_of_its_kind_wait(rig: Rig) -> None:
    limited = deployment(requests_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    granted = 0
    for step in range(100):
        rig.clock.seconds += 0.01
        for n in range(20):
            wish = Wish(f"d{step}-{n}", Cost(), kept=0.5, only_idle=True)
            granted += isinstance(await rig.limits().reserve(Candidates(LANE, (limited,)), wish), Reservation)
    assert granted >= 1_000


async def test_a_share_of_the_calls_at_once_is_left_too(rig: Rig) -> None:
    limited = deployment(max_parallel_requests=10, requests_per_minute=60_000)
    await rig.grants(limited)
    rig.clock.seconds += 2
    bulk = [
        await rig.limits().reserve(Candidates(LANE, (limited,)), Wish(f"b{n}", Cost(), kept=0.1)) for n in range(10)
    ]
    assert sum(isinstance(answer, Reservation) for answer in bulk) == 9
    assert len(await rig.grants(limited)) == 1
