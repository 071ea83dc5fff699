"""Many workers, one limit: all of it is used, and nothing is refused."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.windows import exceeded
from tests.e2e.configs import model, write
from tests.e2e.installations import cluster
from tests.e2e.load import all_answered, job, upload
from tests.servers.provider import simulated_provider

PER_SECOND = 20
JOBS = 100
TOKENS_OF_A_JOB = 100
"""On the average, by the provider's count before the call."""


@pytest.mark.timeout(180)
async def test_no_call_is_refused_whichever_limit_binds_and_whether_the_provider_tells_it_or_not(
    new_lane: Callable[[], str], tmp_path: Path, rabbitmq_url: str
) -> None:
    by_requests, by_tokens, silent = new_lane(), new_lane(), new_lane()
    limits: dict[str, dict[str, int]] = {
        by_requests: {"rpm": PER_SECOND * 60},
        by_tokens: {"rpm": PER_SECOND * 6_000, "tpm": PER_SECOND * 60 * TOKENS_OF_A_JOB},
        silent: {"rpm": PER_SECOND * 60},
    }
    async with AsyncExitStack() as stack:
        options: dict[str, Any] = {"latency_s": (0.1, 0.4), "output_tokens": (1, 40)}
        providers = {
            lane: await stack.enter_async_context(
                simulated_provider(**limit, **options, rate_limit_headers=lane != silent)
            )
            for lane, limit in limits.items()
        }
        config = write(tmp_path, *(model(lane, providers[lane].url, **limit) for lane, limit in limits.items()))
        client = (await stack.enter_async_context(cluster(tmp_path, config, rabbitmq_url))).client
        batches = [await upload(client, (job(lane, uneven(number)) for number in range(JOBS))) for lane in limits]
        await asyncio.gather(*(all_answered(client, batch) for batch in batches))
        for provider in providers.values():
            total = await provider.total()
            assert (total["refused_429"], total["served"]) == (0, JOBS)
        for lane in (by_requests, silent):
            assert exceeded([arrival.at for arrival in await providers[lane].arrivals()], PER_SECOND) == {}


def uneven(number: int) -> str:
    """A question of one of forty lengths."""
    return f"Question {number}: " + "what of it? " * (number % 40)
