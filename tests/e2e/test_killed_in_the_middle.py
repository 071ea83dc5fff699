"""`forebay up`, killed in the middle of 1,000 jobs and started again."""

from pathlib import Path

import pytest

from forebay.client import AsyncClient
from tests.e2e.batches import calls_begun, everything_succeeded_once, progressed, submit
from tests.e2e.processes import ADMIN_KEY, forebay, up, write_config
from tests.servers.provider import simulated_provider

JOBS = 1_000
CONCURRENCY = 16


@pytest.mark.timeout(180)
async def test_forebay_up_killed_in_the_middle_of_1000_jobs_finishes_each_once(tmp_path: Path) -> None:
    async with simulated_provider(latency_s=(0.05, 0.1)) as provider:
        config = write_config(tmp_path, provider.url)
        command = up(config, tmp_path)
        settings = {"FOREBAY_ADMIN_KEY": ADMIN_KEY}
        async with forebay(*command, settings=settings) as first, AsyncClient(first.ready["url"], ADMIN_KEY) as client:
            batch_id = await submit(client, JOBS)
            await progressed(client, batch_id, 0.3)
            first.kill()
            await first.process.wait()
        async with forebay(*command, settings=settings) as again, AsyncClient(again.ready["url"], ADMIN_KEY) as client:
            await everything_succeeded_once(client, batch_id, JOBS)
        assert await calls_begun(provider) <= JOBS + CONCURRENCY
