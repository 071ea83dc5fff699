"""A lane that an administrator pauses: workers start none of its jobs, wherever they are, until it is resumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.domain.events import LaneSwitched, ServerBack, ServerLost
from shared.domain.job import JobSpec, JobStatus
from shared.domain.retry import RetryPolicy
from tests.eventually import eventually
from tests.integration.worker_rig import Rig, worker_rig
from tests.servers.valkey import PrivateValkey
from workers.worker import Worker, WorkerOptions


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=3, base_s=0)) as rig:
        await rig.intake.close()
        yield rig


@asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[Worker]:
    """A worker at work until the block ends."""
    stop, ready = asyncio.Event(), asyncio.Event()
    worker = Worker(rig.parts, rig.catalog, WorkerOptions(8, 10), rig.clock, rig.events.append)
    running = asyncio.create_task(worker.run(stop, ready.set))
    await ready.wait()
    yield worker
    stop.set()
    await running


async def becomes(rig: Rig, spec: JobSpec, status: JobStatus) -> None:
    async def has_it() -> bool:
        return (await rig.job(spec)).status is status

    await eventually(has_it)


async def told(rig: Rig, *verbs: str) -> None:
    """Wait until the workers have followed these pauses and resumptions of the lane."""

    async def heard() -> bool:
        switched = [event.is_paused for event in rig.events if isinstance(event, LaneSwitched)]
        return switched == [verb == "pause" for verb in verbs]

    await eventually(heard)


async def test_workers_follow_a_pause_and_a_resumption(rig: Rig) -> None:
    async with working(rig):
        await rig.parts.pauses.pause(rig.lane.name)
        await told(rig, "pause")
        spec = await rig.submit("Not now")
        assert await rig.waiting(spec) == 1
        assert (await rig.job(spec)).status is JobStatus.QUEUED
        await rig.parts.pauses.resume(rig.lane.name)
        await becomes(rig, spec, JobStatus.SUCCEEDED)
        await told(rig, "pause", "resume")


async def test_jobs_that_run_go_on_when_their_lane_is_paused(rig: Rig) -> None:
    await rig.provider.faults("hang")
    spec = await rig.submit("Under way")
    async with working(rig):
        await rig.provider.wait_for(in_flight=1)
        await rig.parts.pauses.pause(rig.lane.name)
        await told(rig, "pause")
        await rig.provider.release()
        await becomes(rig, spec, JobStatus.SUCCEEDED)


async def test_a_pause_outlives_the_workers(rig: Rig) -> None:
    await rig.parts.pauses.pause(rig.lane.name)
    spec = await rig.submit("Still not")
    for number in (1, 2):
        async with working(rig) as worker:
            assert worker.switch.is_paused(rig.lane.name), "it was not known before the first job could be taken"
            await told(rig, *["pause"] * number)
        assert (await rig.job(spec)).status is JobStatus.QUEUED
    assert (await rig.provider.total())["served"] == 0


async def test_another_lanes_pause_holds_up_nobody(rig: Rig) -> None:
    await rig.parts.pauses.pause("another")
    spec = await rig.submit("Mine")
    async with working(rig):
        await becomes(rig, spec, JobStatus.SUCCEEDED)


async def test_a_paused_lane_stays_paused_while_the_store_is_away(private_valkey: PrivateValkey) -> None:
    async with worker_rig(private_valkey.url, RetryPolicy()) as rig:
        await rig.intake.close()
        await rig.parts.pauses.pause(rig.lane.name)
        async with working(rig) as worker:
            await private_valkey.kill()
            await eventually(lambda: announced(rig, ServerLost))
            assert worker.switch.is_paused(rig.lane.name)
            await private_valkey.start()
            await eventually(lambda: announced(rig, ServerBack))
            spec = await rig.submit("Later")
            assert worker.switch.is_paused(rig.lane.name)
            await rig.parts.pauses.resume(rig.lane.name)
            await becomes(rig, spec, JobStatus.SUCCEEDED)


async def announced(rig: Rig, event_type: type[ServerLost | ServerBack]) -> bool:
    return any(isinstance(event, event_type) for event in rig.events)
