"""Workers whose clocks disagree by minutes: the store's clock decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import connect
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.job import JobStatus
from shared.domain.retry import RetryPolicy
from shared.domain.routing import ConfiguredLimits
from tests.chaos.windows import exceeded
from tests.clock import WrongClock
from tests.eventually import eventually
from tests.integration.worker_rig import Rig, worker_rig
from workers.lease import LEASE_S
from workers.worker import Worker, WorkerOptions

PER_SECOND = 20
JOBS = 60
SLOW = 4


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy()) as rig:
        await rig.intake.close()
        limited = replace(rig.lane.deployments[0], limits=ConfiguredLimits(requests_per_minute=PER_SECOND * 60))
        yield replace(rig, lane=replace(rig.lane, deployments=(limited,)))


@pytest.mark.hazard(35)
async def test_workers_whose_clocks_are_ten_minutes_apart_keep_one_limit_and_take_no_job_from_each_other(
    rig: Rig, valkey_url: str
) -> None:
    await rig.provider.faults("latency", seconds=1.5 * LEASE_S, contains="Slow")
    specs = [await rig.submit(f"{'Slow' if number < SLOW else 'Quick'} {number}") for number in range(JOBS)]
    async with working(rig, valkey_url, 300.0), working(rig, valkey_url, -300.0):

        async def all_have_succeeded() -> bool:
            return {(await rig.job(spec)).status for spec in specs} == {JobStatus.SUCCEEDED}

        await eventually(all_have_succeeded)
    arrivals = await rig.provider.arrivals()
    assert JOBS <= len(arrivals) < JOBS + SLOW, "by their clocks each would take all slow jobs from the other"
    assert exceeded([arrival.at for arrival in arrivals], PER_SECOND) == {}


@asynccontextmanager
async def working(rig: Rig, store_url: str, offset_s: float) -> AsyncIterator[None]:
    """Run a worker with a clock and a connection of its own, until the block ends."""
    clock = WrongClock(offset_s=offset_s)
    async with AsyncExitStack() as stack:
        client = connect(store_url)
        assert isinstance(client, Redis)
        stack.push_async_callback(client.aclose)
        queue = StreamsWorkQueue(client, clock, rig.events.append)
        await queue.open()
        stack.push_async_callback(queue.close)
        stop, ready = asyncio.Event(), asyncio.Event()
        worker = Worker(replace(rig.parts, queue=queue), rig.catalog, WorkerOptions(8), clock, rig.events.append)
        running = asyncio.create_task(worker.run(stop, ready.set))
        await ready.wait()
        yield
        stop.set()
        await running
