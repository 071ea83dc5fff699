"""A worker as a whole, on real parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import pytest

from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.events import ArrivalCrashed, Event, JobRetried, LanePaused, RoleStopped, ServerBack, ServerLost
from shared.domain.ids import new_id
from shared.domain.job import JobSpec, JobStatus
from shared.domain.lanes import DEFAULT_WEIGHTS, Priority
from shared.domain.provider_errors import StreamBroken
from shared.domain.retry import RetryPolicy
from shared.domain.routing import ClientKind, ConfiguredLimits
from tests.clock import WrongClock
from tests.eventually import eventually
from tests.integration.worker_rig import TEAM, Rig, worker_rig
from tests.servers.valkey import PrivateValkey
from workers.worker import Worker, WorkerOptions

E = TypeVar("E", bound=Event)


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=3, base_s=0)) as rig:
        await rig.intake.close()
        yield rig


@asynccontextmanager
async def working(rig: Rig, grace_s: float = 10) -> AsyncIterator[Worker]:
    """A worker at work until the block ends; then it has drained."""
    stop, ready = asyncio.Event(), asyncio.Event()
    worker = Worker(rig.parts, rig.catalog, WorkerOptions(8, grace_s), rig.clock, rig.events.append)
    running = asyncio.create_task(worker.run(stop, ready.set))
    await ready.wait()
    yield worker
    stop.set()
    await running


async def becomes(rig: Rig, spec: JobSpec, status: JobStatus) -> None:
    async def has_it() -> bool:
        return (await rig.job(spec)).status is status

    await eventually(has_it)


async def test_a_worker_answers_what_comes_and_leaves_nothing_behind(rig: Rig) -> None:
    specs = [await rig.submit(f"Question {number}") for number in range(30)]
    async with working(rig) as worker:
        for spec in specs:
            await becomes(rig, spec, JobStatus.SUCCEEDED)
    assert not await rig.parts.leases.is_alive(worker.name)
    assert await rig.waiting(specs[0]) == 0


async def test_a_cancelled_jobs_call_is_aborted_wherever_it_runs(rig: Rig) -> None:
    await rig.provider.faults("hang")
    spec = await rig.submit("Long")
    async with working(rig):
        await rig.provider.wait_for(in_flight=1)
        await rig.parts.store.cancel(TEAM, spec.id)
        await rig.provider.wait_until_idle()
    assert (await rig.job(spec)).status is JobStatus.CANCELLED


async def test_the_call_of_a_job_that_the_scheduler_expires_is_aborted(rig: Rig, valkey_url: str) -> None:
    patient = replace(rig.lane.deployments[0], timeout_s=600)
    slow = replace(rig, lane=replace(rig.lane, deployments=(patient,)), clock=WrongClock(offset_s=-3600))
    await rig.provider.faults("hang")
    client = connect(valkey_url)
    async with working(slow, grace_s=0):
        spec = await rig.submit("Long", deadline=rig.clock.now() + 0.5)
        await rig.provider.wait_for(in_flight=1)

        async def is_expired() -> bool:
            return bool(await RedisJobUpkeep(client).expire(9, long_overdue_s=0.0))

        async def is_settled() -> bool:
            return await rig.waiting(spec) == 0

        await eventually(is_expired)
        await rig.provider.wait_until_idle()
        await eventually(is_settled)
    await client.aclose()
    assert (await rig.job(spec)).status is JobStatus.EXPIRED


async def test_running_jobs_are_ended_before_the_worker_stops(rig: Rig) -> None:
    spec = await rig.submit("Almost done")
    await rig.provider.faults("latency", seconds=1.5)
    async with working(rig):
        await rig.provider.wait_for(in_flight=1)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_stream_ends_within_the_grace_of_a_worker_told_to_stop(rig: Rig) -> None:
    await rig.provider.faults("latency", seconds=0.5)
    job_id = new_id("job", rig.clock.now())
    async with rig.parts.answer_streams.reader(job_id) as reader:
        pieces = aiter(reader)
        async with working(rig):
            spec = await rig.submit("Almost said", id=job_id, streams=True)
            await anext(pieces)
        assert [piece async for piece in pieces]
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_stream_that_outlives_the_grace_is_broken_and_its_job_given_back(rig: Rig) -> None:
    await rig.provider.faults("latency", seconds=30)
    job_id = new_id("job", rig.clock.now())
    async with rig.parts.answer_streams.reader(job_id) as reader:
        pieces = aiter(reader)
        async with working(rig, grace_s=0):
            spec = await rig.submit_with({"max_tokens": 200}, "Too long", id=job_id, streams=True)
            await anext(pieces)
        with pytest.raises(StreamBroken):
            [piece async for piece in pieces]
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    assert await rig.waiting(spec) == 1


async def test_what_outlives_the_grace_is_given_back(rig: Rig) -> None:
    spec = await rig.submit("Endless")
    await rig.provider.faults("hang")
    async with working(rig, grace_s=0.1):
        await rig.provider.wait_for(in_flight=1)
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    [stopped] = [event for event in rig.events if isinstance(event, RoleStopped)]
    assert stopped.given_back == 1
    assert await rig.waiting(spec) == 1


@pytest.mark.hazard(7)
async def test_a_lane_that_is_closed_for_long_gives_its_jobs_back_and_rests(rig: Rig) -> None:
    await rig.provider.faults("status", status=429, retry_after_s=30, count=1)
    await rig.submit("Slow down")
    async with working(rig):
        await eventually(lambda: _announced(rig, JobRetried))
        other = await rig.submit("Not now")
        await eventually(lambda: _announced(rig, LanePaused))
        assert (await rig.job(other)).attempts == ()
    assert await rig.waiting(other) == 1


async def test_a_lane_that_is_closed_for_a_moment_goes_on_by_itself(rig: Rig) -> None:
    await rig.provider.faults("status", status=429, retry_after_s=0.3, count=1)
    specs = [await rig.submit(f"Soon {number}") for number in range(5)]
    async with working(rig):
        for spec in specs:
            await becomes(rig, spec, JobStatus.SUCCEEDED)
    assert not await _announced(rig, LanePaused)


async def test_an_error_of_our_own_ends_one_job_and_no_other(rig: Rig) -> None:
    broken = replace(rig.lane.deployments[0], client=ClientKind.LITELLM)  # the rig has no client of that kind
    spec = await rig.submit("Trips over our own feet")
    async with working(replace(rig, lane=replace(rig.lane, deployments=(broken,)))):
        await becomes(rig, spec, JobStatus.FAILED)
    job = await rig.job(spec)
    assert job.outcome is not None
    assert job.outcome.error is not None
    assert job.outcome.error.code == "worker_lost"
    assert ArrivalCrashed(spec.id, "KeyError") in rig.events
    good = await rig.submit("Fine")
    async with working(rig):
        await becomes(rig, good, JobStatus.SUCCEEDED)


@pytest.mark.hazard(11)
async def test_an_answer_that_was_paid_for_outlives_an_absent_store(private_valkey: PrivateValkey) -> None:
    """Row 11: the worker keeps what it has, starts nothing new, and goes on when the store is back."""
    async with worker_rig(private_valkey.url, RetryPolicy()) as rig:
        await rig.intake.close()
        spec = await rig.submit("Hold on", cache=CachePolicy(CacheMode.OFF))
        await rig.provider.faults("hang", count=1)
        async with working(rig):
            await rig.provider.wait_for(in_flight=1)
            await private_valkey.kill()
            await rig.provider.release()
            await rig.provider.wait_until_idle()
            await eventually(lambda: _announced(rig, ServerLost))
            await private_valkey.start()
            await becomes(rig, spec, JobStatus.SUCCEEDED)
            await eventually(lambda: _announced(rig, ServerBack))
        assert (await rig.provider.calls_of("Hold on"))["begun"] == 1


async def _announced(rig: Rig, event_type: type[Event]) -> bool:
    return any(isinstance(event, event_type) for event in rig.events)


async def test_a_worker_that_never_reached_the_store_still_stops_when_told(rig: Rig) -> None:
    nowhere = connect("redis://127.0.0.1:1")
    stop = asyncio.Event()
    parts = replace(rig.parts, leases=RedisWorkerLeases(nowhere))
    running = asyncio.create_task(
        Worker(parts, rig.catalog, WorkerOptions(8, 1), rig.clock, rig.events.append).run(stop)
    )
    await eventually(lambda: _announced(rig, ServerLost))
    stop.set()
    async with asyncio.timeout(30):
        await running
    await nowhere.aclose()
    assert await _announced(rig, RoleStopped)


async def test_a_paused_lane_takes_nothing_until_it_is_resumed_while_its_running_jobs_go_on(rig: Rig) -> None:
    await rig.provider.faults("hang", count=1)
    running = await rig.submit("Runs on")
    async with working(rig) as worker:
        await rig.provider.wait_for(in_flight=1)
        worker.switch.pause(rig.lane.name)
        await rig.provider.release()
        await becomes(rig, running, JobStatus.SUCCEEDED)
        held_back = await rig.submit("Held back")
        other = rig.parts.queue.intake(rig.lane.name, DEFAULT_WEIGHTS, 8)
        delivery = await other.take()
        await other.close()
        await delivery.give_back()
        assert delivery.message.job_id == held_back.id
        worker.switch.resume(rig.lane.name)
        await becomes(rig, held_back, JobStatus.SUCCEEDED)


async def test_deferrable_work_that_finds_nothing_idle_rests_alone(rig: Rig) -> None:
    narrow = replace(rig.lane.deployments[0], timeout_s=60, limits=ConfiguredLimits(max_parallel_requests=1))
    rig = replace(rig, lane=replace(rig.lane, deployments=(narrow,)))
    await rig.provider.faults("hang", count=1)
    first = await rig.submit("Takes all there is")
    async with working(rig):
        await rig.provider.wait_for(in_flight=1)
        patient = await rig.submit("Whenever you have time", priority=Priority.DEFERRABLE)
        resting = await eventually(lambda: _first(rig, LanePaused))
        assert resting is not None
        assert resting.job_class == "deferrable.7d"
        await rig.provider.release()
        other = await rig.submit("Goes on")
        for spec in (first, other):
            await becomes(rig, spec, JobStatus.SUCCEEDED)
        assert (await rig.job(patient)).status is JobStatus.QUEUED
    assert await rig.waiting(patient) == 1


async def _first(rig: Rig, event_type: type[E]) -> E | None:
    return next((event for event in rig.events if isinstance(event, event_type)), None)
