"""The scheduler and its duties, on real parts."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from scheduler.duties.parts import DutyParts
from scheduler.duties.republish_stranded_jobs import RepublishStrandedJobs
from scheduler.scheduler import Scheduler
from scheduler.timetable import Row, every
from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.schedule import RedisSchedule
from shared.domain.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import DutyFailed, DutyRan, Event
from shared.domain.ids import new_id
from shared.domain.job import Envelope, JobSpec, JobStatus
from shared.domain.job_store import NewJob
from shared.domain.lanes import Priority
from shared.domain.retry import RetryPolicy
from shared.wire.envelope import encode
from tests.integration.worker_rig import TEAM, Rig, duty_parts, worker_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy()) as rig:
        yield rig


@pytest.fixture
async def duties(rig: Rig, valkey_url: str) -> AsyncIterator[DutyParts]:
    client = connect(valkey_url)
    yield duty_parts(rig, RedisJobUpkeep(client))
    await client.aclose()


async def record_only(rig: Rig) -> JobSpec:
    """What an API leaves that dies between the record and the publish."""
    now = rig.clock.now()
    spec = JobSpec(new_id("job", now), TEAM, "/v1/chat/completions", "sim", "sim", Priority.STANDARD, now)
    request = {"model": "sim", "messages": [{"role": "user", "content": "Stranded"}]}
    await rig.parts.store.accept([NewJob(spec, encode(Envelope(spec, request)))])
    return spec


async def test_a_job_stranded_between_record_and_publish_is_published_and_answered(rig: Rig, duties: DutyParts) -> None:
    spec = await record_only(rig)
    duty = RepublishStrandedJobs(duties, stranded_after_s=0)
    assert (await duty(), await duty()) == (1, 0)
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_submission_under_way_is_left_alone(rig: Rig, duties: DutyParts) -> None:
    await record_only(rig)
    assert await RepublishStrandedJobs(duties)() == 0


async def test_a_duty_that_cannot_run_is_told_and_runs_at_its_next_time(valkey_url: str) -> None:
    events: list[Event] = []
    stop = asyncio.Event()
    outcomes: list[int | StoreUnavailable] = [StoreUnavailable(), 7]

    async def duty() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        stop.set()
        return outcome

    row = Row("try again", every(0.05), duty)
    client = connect(valkey_url)
    await Scheduler([row], RedisSchedule(client), SystemClock(), events.append).run(stop)
    await client.aclose()
    assert [type(event) for event in events if isinstance(event, DutyRan | DutyFailed)][:2] == [DutyFailed, DutyRan]
