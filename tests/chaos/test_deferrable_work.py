"""Deferrable work waits for idle capacity while others want all there is, and is done before its deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from forebay.client import AsyncClient
from shared.domain.lanes import DeferrableWindow
from tests.e2e.configs import model, write
from tests.e2e.installations import everything_in_one
from tests.e2e.load import all_answered, ask, job, took_s, upload
from tests.servers.provider import simulated_provider

PER_SECOND = 20
DEFERRABLE = 10
WINDOW = DeferrableWindow.of("10s")
WITHIN_S = 14
"""More than the window, and less than would give its jobs a second one."""


@asynccontextmanager
async def standard_work(client: AsyncClient, at_a_time: int) -> AsyncIterator[None]:
    """Keep that many standard jobs waiting or running until the block ends."""
    is_over = asyncio.Event()

    async def go_on(place: int) -> None:
        number = 0
        while not is_over.is_set():
            await ask(client, job("sim", f"Standard {place} {number}"))
            number += 1

    async with asyncio.TaskGroup() as asking:
        for place in range(at_a_time):
            asking.create_task(go_on(place))
        yield
        is_over.set()


@pytest.mark.timeout(120)
async def test_deferrable_jobs_let_standard_work_go_first_and_still_meet_their_deadline(tmp_path: Path) -> None:
    async with simulated_provider(rpm=PER_SECOND * 60, latency_s=(0.1, 0.2)) as provider:
        limited = model("sim", provider.url, rpm=PER_SECOND * 60)
        config = write(tmp_path, limited, deferrable_windows=[WINDOW.label, "1h"])
        async with everything_in_one(tmp_path, config) as running:
            client = running.client
            async with standard_work(client, at_a_time=PER_SECOND):
                await provider.wait_for(served=2 * PER_SECOND)
                begun = asyncio.get_running_loop().time()
                texts = [f"Some time {number}" for number in range(DEFERRABLE)]
                jobs = (job("sim", text, priority="deferrable", within=f"{WITHIN_S}s") for text in texts)
                found = await all_answered(client, await upload(client, jobs))
            arrivals = await provider.arrivals()
    calls = [arrival.at - begun for arrival in arrivals if any(arrival.asks(text) for text in texts)]
    assert len(calls) == DEFERRABLE
    assert sum(at < WINDOW.patience_s for at in calls) < DEFERRABLE / 2, "it took what standard work wanted"
    assert max(map(took_s, found)) <= WITHIN_S


async def test_deferrable_jobs_run_at_once_while_nobody_else_wants_to(tmp_path: Path) -> None:
    async with simulated_provider(rpm=PER_SECOND * 60) as provider:
        config = write(tmp_path, model("sim", provider.url, rpm=PER_SECOND * 60), deferrable_windows=["1h"])
        async with everything_in_one(tmp_path, config) as running:
            jobs = (job("sim", f"Some time {n}", priority="deferrable", within="2h") for n in range(DEFERRABLE))
            await all_answered(running.client, await upload(running.client, jobs), within_s=30)


async def test_deferrable_jobs_go_on_when_the_others_have_had_enough(tmp_path: Path) -> None:
    async with simulated_provider(rpm=PER_SECOND * 60) as provider:
        config = write(tmp_path, model("sim", provider.url, rpm=PER_SECOND * 60), deferrable_windows=["1h"])
        async with everything_in_one(tmp_path, config) as running:
            client = running.client
            async with standard_work(client, at_a_time=PER_SECOND):
                await provider.wait_for(served=PER_SECOND)
                jobs = (job("sim", f"Some time {n}", priority="deferrable", within="2h") for n in range(DEFERRABLE))
                batch = await upload(client, jobs)
                await provider.wait_for(served=3 * PER_SECOND)
            await all_answered(client, batch, within_s=60)  # a worker that found nothing idle rests a while
