"""What is learned of a provider's real limits, by its refusals and by what it says of them."""

from collections.abc import AsyncIterator

import pytest

from shared.domain.circuit import Health
from shared.domain.rate_limit import CallEnd, Cost, Sighting, Wish
from shared.domain.reservations import Candidates, Wait
from tests.contracts.rate_limit_rig import LANE, WELL, Rig, deployment, rate_limit_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with rate_limit_rig(valkey_url) as rig:
        yield rig


async def test_a_refusal_closes_the_deployment_for_as_long_as_the_provider_asks(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().refuse(reservation, retry_after_s=7)
    answer = await rig.limits().reserve(Candidates(LANE, (limited,)), Wish("next", Cost()))
    assert isinstance(answer, Wait)
    assert answer.seconds == pytest.approx(7)


async def test_a_refusal_that_is_told_twice_counts_once(rig: Rig) -> None:
    """Row 12: the reply was lost, and the script runs again."""
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().refuse(reservation, retry_after_s=1)
    [once] = await rig.limits().look(LANE, (limited,))
    rig.clock.seconds += 0.5
    await rig.limits().refuse(reservation, retry_after_s=1)
    [twice] = await rig.limits().look(LANE, (limited,))
    assert (twice.closed_until, twice.cut_at, twice.refusals) == (once.closed_until, once.cut_at, once.refusals)


async def test_the_providers_own_limit_replaces_a_higher_one(rig: Rig) -> None:
    limited = deployment(requests_per_minute=6_000)
    await rig.grants(limited)
    rig.clock.seconds += 1
    [reservation] = await rig.grants(limited, attempts=1)
    await rig.limits().settle(
        reservation, Cost(), CallEnd(Health.GOOD, seen=Sighting(per_second=(50.0, None, None, None)))
    )
    rig.clock.seconds += 0.1
    assert len(await rig.grants(limited)) == 25


async def test_an_unknown_limit_is_searched_for_only_while_somebody_wants_more(rig: Rig) -> None:
    unknown = deployment()
    await rig.grants(unknown)
    rig.clock.seconds += 3_600
    idle = len(await rig.grants(unknown))
    wanted = steps = 0
    while wanted <= 50 and steps < 400:
        rig.clock.seconds += 0.05
        wanted, steps = len(await rig.grants(unknown)), steps + 1
    assert idle <= 12
    assert wanted > 50


@pytest.mark.parametrize("allowed", [50, 75, 97])
async def test_a_lower_real_limit_is_found_with_few_refusals_and_used(rig: Rig, allowed: int) -> None:
    """The provider counts as ours do, with a second's worth, and tells nothing but 429."""
    limited = deployment(requests_per_minute=6_000)
    level, served, refused = float(allowed), 0, 0
    for _ in range(60_000 // 20):
        rig.clock.seconds += 0.02
        level = min(allowed, level + allowed * 0.02)
        for reservation in await rig.grants(limited):
            if level >= 1:
                level, served = level - 1, served + 1
                await rig.limits().settle(reservation, Cost(), WELL)
            else:
                refused += 1
                await rig.limits().refuse(reservation, (1 - level) / allowed)
    assert refused < 0.01 * (served + refused)
    assert served >= 0.9 * allowed * 60
