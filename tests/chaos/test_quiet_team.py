"""A team that submits little does not stand behind one that submitted much before it."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.configs import model, write
from tests.e2e.installations import cluster
from tests.e2e.load import all_answered, answered, job, upload
from tests.eventually import eventually
from tests.servers.provider import simulated_provider

PER_SECOND = 20
NOISY = 600
QUIET = 30
OF_THE_OTHER_AT_MOST = 4 * QUIET
"""Calls for the noisy team that may begin before the last one for the quiet team.

Some have begun, some share the turns, and some are called while a busy machine takes the quiet team's jobs in.
"""


@pytest.mark.timeout(120)
async def test_the_jobs_of_a_quiet_team_overtake_the_hundreds_of_a_noisy_one(
    lane: str, tmp_path: Path, rabbitmq_url: str
) -> None:
    async with simulated_provider(rpm=PER_SECOND * 60, latency_s=(0.1, 0.3)) as provider:
        config = write(tmp_path, model(lane, provider.url, rpm=PER_SECOND * 60))
        async with (
            cluster(tmp_path, config, rabbitmq_url) as running,
            running.team("noisy") as noisy,
            running.team("quiet") as quiet,
        ):
            flood = await upload(noisy, (job(lane, f"Noise {number}", priority="bulk") for number in range(NOISY)))

            async def flood_has_begun() -> bool:
                return await answered(noisy, flood) > 0

            await eventually(flood_has_begun)
            asked_at = asyncio.get_running_loop().time()
            texts = [f"Question {number}" for number in range(QUIET)]
            await all_answered(quiet, await upload(quiet, (job(lane, text, priority="bulk") for text in texts)))
            arrivals = await provider.arrivals()
            assert await answered(noisy, flood) < NOISY - OF_THE_OTHER_AT_MOST
    calls = [arrival.at for arrival in arrivals if any(arrival.asks(text) for text in texts)]
    others = [arrival.at for arrival in arrivals if asked_at < arrival.at < max(calls)]
    assert len(calls) == QUIET
    assert len(others) - QUIET <= OF_THE_OTHER_AT_MOST
