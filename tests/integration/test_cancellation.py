"""A job is cancelled wherever it is: nothing of it runs from then on, and nothing of it is left behind."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import connect
from shared.adapters.streams import names
from shared.domain.events import JobRetried
from shared.domain.ids import new_id
from shared.domain.job import Envelope, JobSpec, JobStatus
from shared.domain.job_intake import NewJob
from shared.domain.lanes import Priority
from shared.domain.retry import RetryPolicy
from shared.domain.routing import ConfiguredLimits
from shared.domain.work_queue import Message
from shared.wire.envelope import encode
from tests.eventually import eventually
from tests.integration.test_worker import becomes, working
from tests.integration.worker_rig import TEAM, Rig, worker_rig

TEXT = "Never mind"
ONE_AT_A_TIME = ConfiguredLimits(max_parallel_requests=1)


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=3, base_s=0)) as rig:
        await rig.intake.close()
        limited = tuple(replace(deployment, limits=ONE_AT_A_TIME) for deployment in rig.lane.deployments)
        rig.lane = replace(rig.lane, deployments=limited)
        yield rig


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    client = connect(valkey_url)
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


async def accepted(rig: Rig) -> JobSpec:
    """Recorded; its publish is under way."""
    now = rig.clock.now()
    spec = JobSpec(new_id("job", now), TEAM, "/v1/chat/completions", "sim", "sim", Priority.STANDARD, now)
    await rig.parts.store.accept([NewJob(spec, message_of(spec))])
    return spec


def message_of(spec: JobSpec) -> bytes:
    return encode(Envelope(spec, {"model": "sim", "messages": [{"role": "user", "content": TEXT}]}))


async def publish(rig: Rig, spec: JobSpec) -> None:
    await rig.parts.queue.publish(spec.queue(rig.clock.now()), Message(message_of(spec), spec.id))


async def queued(rig: Rig) -> JobSpec:
    return await rig.submit(TEXT)


async def scheduled(rig: Rig) -> JobSpec:
    spec = await rig.submit(TEXT, run_at=rig.clock.now() + 2.0)
    await is_delayed(rig, spec)
    return spec


async def running(rig: Rig) -> JobSpec:
    await rig.provider.faults("hang", contains=TEXT)
    spec = await rig.submit(TEXT)
    await rig.provider.wait_for(in_flight=1)
    return spec


async def on_the_ladder(rig: Rig) -> JobSpec:
    await rig.provider.faults("status", status=503, retry_after_s=1, count=1, contains=TEXT)
    spec = await rig.submit(TEXT)

    async def is_retried() -> bool:
        return any(isinstance(event, JobRetried) for event in rig.events)

    await eventually(is_retried)
    await is_delayed(rig, spec)
    return spec


async def at_the_gate(rig: Rig) -> JobSpec:
    await rig.provider.faults("hang", contains="In front")
    await rig.submit("In front")
    await rig.provider.wait_for(in_flight=1)
    spec = await rig.submit(TEXT)
    await becomes(rig, spec, JobStatus.RUNNING)
    return spec


async def succeeded(rig: Rig) -> JobSpec:
    spec = await rig.submit(TEXT)
    await becomes(rig, spec, JobStatus.SUCCEEDED)
    return spec


async def is_delayed(rig: Rig, spec: JobSpec) -> None:
    """Wait until the job's message is in no queue."""

    async def look() -> bool:
        return await rig.waiting(spec) == 0

    await eventually(look)


@dataclass(frozen=True)
class Place:
    """Where a job may be. at_work: a worker brings it there. begun: calls of it until then."""

    reach: Callable[[Rig], Awaitable[JobSpec]]
    before: JobStatus
    at_work: bool = True
    begun: int = 0
    after: JobStatus = JobStatus.CANCELLED


PLACES = [
    Place(accepted, JobStatus.ACCEPTED, at_work=False),
    Place(queued, JobStatus.QUEUED, at_work=False),
    Place(scheduled, JobStatus.SCHEDULED),
    Place(running, JobStatus.RUNNING, begun=1),
    Place(on_the_ladder, JobStatus.QUEUED, begun=1),
    Place(at_the_gate, JobStatus.RUNNING),
    Place(succeeded, JobStatus.SUCCEEDED, begun=1, after=JobStatus.SUCCEEDED),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.reach.__name__)
async def test_a_job_is_cancelled_wherever_it_is(rig: Rig, client: Redis, place: Place) -> None:
    async with AsyncExitStack() as stack:
        if place.at_work:
            await stack.enter_async_context(working(rig))
        spec = await place.reach(rig)
        assert (await rig.job(spec)).status is place.before
        cancelled = await rig.parts.store.cancel(TEAM, spec.id)
        assert cancelled is not None
        assert cancelled.status is place.after
        if not place.at_work:
            await stack.enter_async_context(working(rig))
        if place.reach is accepted:
            await publish(rig, spec)
        if place.reach is at_the_gate:
            assert (await rig.provider.calls_of("In front"))["answered"] == 0
            await rig.provider.clear_faults()
            await rig.provider.release()
        await rig.provider.wait_until_idle()
        another = await rig.submit("And then")
        await becomes(rig, another, JobStatus.SUCCEEDED)

        async def nothing_is_left() -> bool:
            return await rig.waiting(spec) == 0 and not await client.zcard(names.DELAYED)

        await eventually(nothing_is_left)
    assert (await rig.job(spec)).status is place.after
    assert (await rig.provider.calls_of(TEXT))["begun"] == place.begun
    assert await rig.parts.store.stranded(0.0, 9) == []
