"""The store is killed and comes back in the middle of a saturating load."""

from pathlib import Path

import pytest
import redis.asyncio

from tests.chaos.windows import exceeded
from tests.e2e.configs import model, write
from tests.e2e.installations import cluster
from tests.e2e.load import all_answered, job, upload
from tests.servers.provider import simulated_provider

PER_SECOND = 40
JOBS = 400
CONCURRENCY = 32


@pytest.mark.timeout(180)
@pytest.mark.hazard(10)
@pytest.mark.hazard(11)
async def test_a_killed_store_loses_no_job_and_lets_no_burst_at_the_provider_even_if_it_forgot_the_limits(
    lane: str, tmp_path: Path, rabbitmq_url: str
) -> None:
    async with simulated_provider(latency_s=(0.1, 0.4)) as provider:  # it only counts; what is kept, Forebay keeps
        config = write(tmp_path, model(lane, provider.url, rpm=PER_SECOND * 60), concurrency=CONCURRENCY)
        async with cluster(tmp_path, config, rabbitmq_url) as running:
            batch = await upload(running.client, (job(lane, f"Question {number}") for number in range(JOBS)))
            for served, is_forgetful in ((JOBS // 4, False), (JOBS // 2, True)):
                await provider.wait_for(30, served=served)
                await running.store.kill()
                await provider.wait_until_idle()  # workers start nothing new meanwhile
                await running.store.start()
                if is_forgetful:
                    await forget_the_limits(running.store.url)
            await all_answered(running.client, batch)
        arrivals = [arrival.at for arrival in await provider.arrivals()]
    assert exceeded(arrivals, PER_SECOND) == {}
    assert len(arrivals) <= JOBS + 2 * 2 * CONCURRENCY


async def forget_the_limits(url: str) -> None:
    """Take away what the store knew of the limits, as a server without an append-only file would lose it."""
    async with redis.asyncio.Redis.from_url(url) as client:
        names = [name async for name in client.scan_iter("forebay:*:limits:*")]
        assert names
        await client.delete(*names)
