"""Which lanes are paused, for all processes."""

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.lane_pauses import RedisLanePauses
from shared.domain.lane_pauses import LanePauses


@pytest.fixture
def pauses(client: Client) -> LanePauses:
    return RedisLanePauses(client)


async def test_no_lane_is_paused_at_first(pauses: LanePauses) -> None:
    assert await pauses.paused() == frozenset()


async def test_a_paused_lane_stays_so_until_it_is_resumed(pauses: LanePauses, client: Client) -> None:
    for _ in range(2):
        await pauses.pause("openai/gpt-4o")
    await pauses.pause("zürich")
    assert await RedisLanePauses(client).paused() == {"openai/gpt-4o", "zürich"}
    for _ in range(2):
        await pauses.resume("openai/gpt-4o")
    assert await pauses.paused() == {"zürich"}
