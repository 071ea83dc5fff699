"""The scheduler and its duties, on real parts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from scheduler.duties import republish_stranded_jobs
from scheduler.duties.expire_jobs import ExpireJobs
from scheduler.duties.parts import DutyParts
from scheduler.duties.publish_notices import PublishNotices
from scheduler.duties.republish_stranded_jobs import RepublishStrandedJobs
from scheduler.duties.seal_batches import SealBatches
from scheduler.duties.watch_deadlines import WatchDeadlines
from scheduler.scheduler import Scheduler
from scheduler.timetable import Row, every, timetable
from shared.adapters.redis.connection import connect
from shared.adapters.redis.deliveries import RedisDeliveries
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.provider_changes import RedisProviderChanges
from shared.adapters.redis.schedule import RedisSchedule
from shared.domain.allowances import UNLIMITED, Allowance, Charge, Charged, OverLimit, Owner, OwnerKind
from shared.domain.batches import Batch
from shared.domain.callbacks import Callback
from shared.domain.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import DeadlinesClose, DutyFailed, DutyRan, Event, JobFinished, JobsStayStranded
from shared.domain.ids import new_id
from shared.domain.job import Envelope, JobSpec, JobStatus, Outcome
from shared.domain.job_intake import NewJob
from shared.domain.lanes import Mailbox, Priority
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
    yield duty_parts(rig, RedisJobUpkeep(client), RedisDeliveries(client), RedisProviderChanges(client))
    await client.aclose()


async def record_only(rig: Rig, **changes: object) -> JobSpec:
    """What an API leaves that dies between the record and the publish."""
    now = rig.clock.now()
    spec = JobSpec(new_id("job", now), TEAM, "/v1/chat/completions", "sim", "sim", Priority.STANDARD, now)
    spec = replace(spec, **changes)  # type: ignore[arg-type]  # the tests name the fields
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


async def test_a_stranded_job_of_a_lane_that_is_configured_no_more_holds_back_no_other(
    rig: Rig, duties: DutyParts
) -> None:
    gone = await record_only(rig, lane="no more")
    spec = await record_only(rig)
    assert await RepublishStrandedJobs(duties, stranded_after_s=0)() == 1
    assert [(await rig.job(each)).status for each in (gone, spec)] == [JobStatus.ACCEPTED, JobStatus.QUEUED]


async def test_stranded_jobs_that_cannot_be_published_hide_no_other_and_are_announced(
    rig: Rig, duties: DutyParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(republish_stranded_jobs, "AT_ONCE", 2)
    broken = replace(await record_only(rig, lane="no more"), id=new_id("job", rig.clock.now()), lane="sim")
    await rig.parts.store.accept([NewJob(broken, b"{")])
    spec = await record_only(rig)
    duty = RepublishStrandedJobs(duties, stranded_after_s=0)
    assert (await duty(), await duty()) == (0, 1)
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    told = [event for event in rig.events if isinstance(event, JobsStayStranded)]
    assert {event.job_id for event in told} >= {broken.id}
    assert all((event.jobs, bool(event.problem)) == (1, True) for event in told)


async def test_a_notice_that_nobody_could_publish_reaches_its_mailbox(rig: Rig, duties: DutyParts) -> None:
    spec = await rig.submit("Tell me", callback=Callback(webhook="https://example.com"))
    claim = await rig.parts.store.claim(spec, "a worker that dies before it tells")
    await rig.parts.store.finish(spec, claim.fence, Outcome(JobStatus.SUCCEEDED), ())
    assert await PublishNotices(duties)() == {}
    assert await PublishNotices(duties, overdue_after_s=0)() == {"forebay.webhooks": 1}
    assert await PublishNotices(duties, overdue_after_s=0)() == {}
    assert (await rig.parts.queue.depth(Mailbox.WEBHOOKS.queue)).ready == 1


async def test_a_job_past_its_deadline_expires_though_nobody_takes_it_and_is_told_and_never_runs(
    rig: Rig, duties: DutyParts
) -> None:
    spec = await rig.submit("Too late", deadline=rig.clock.now() - 1, callback=Callback(webhook="https://example.com"))
    assert await ExpireJobs(duties)() == {"sim": 1}
    assert (await rig.job(spec)).status is JobStatus.EXPIRED
    assert (await rig.parts.queue.depth(Mailbox.WEBHOOKS.queue)).ready == 1
    assert await rig.parts.outbox.pending(TEAM, [spec.id]) == []
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.provider.calls_of("Too late"))["begun"] == 0
    assert [event.status for event in rig.events if isinstance(event, JobFinished)] == ["expired"]


async def test_a_job_that_expired_unseen_gives_the_tokens_back_it_was_charged(rig: Rig, duties: DutyParts) -> None:
    allowance = Allowance(tokens_per_day=100)
    specs = [await record_only(rig, deadline=rig.clock.now() - 1, charged_tokens=100.0) for _ in range(2)]
    first, second = (
        Charge(spec, ((Owner(OwnerKind.TEAM, TEAM, TEAM), allowance),), UNLIMITED, (1.0, 100.0)) for spec in specs
    )
    [charged, over] = await duties.allowances.take([first, second])
    assert isinstance(charged, Charged)
    assert isinstance(over, OverLimit)
    await ExpireJobs(duties)()
    [charged] = await duties.allowances.take([second])
    assert isinstance(charged, Charged)


async def test_a_batch_whose_api_was_killed_is_closed_and_its_end_is_told(rig: Rig, duties: DutyParts) -> None:
    store = rig.parts.store
    batch = Batch(new_id("batch", 1.0), TEAM, None, rig.clock.now(), is_open=True, webhook="https://example.com/hook")
    await store.open_batch(batch)
    spec = await record_only(rig, batch_id=batch.id)
    await store.cancel(TEAM, spec.id)
    assert await SealBatches(duties, lease_s=3600)() == 0
    assert await SealBatches(duties, lease_s=0)() == 1
    sealed = await store.batch(TEAM, batch.id)
    assert sealed is not None
    assert (sealed.is_open, sealed.cancelled, sealed.finished_at is None) == (False, 1, False)
    assert (await rig.parts.queue.depth(Mailbox.WEBHOOKS.queue)).ready == 1
    assert await duties.outbox.pending(TEAM, [batch.id]) == []


async def test_lanes_whose_waiting_jobs_are_close_to_their_deadline_are_announced(rig: Rig, duties: DutyParts) -> None:
    now = rig.clock.now()
    await rig.submit("Soon", created_at=now - 300, deadline=now + 20)
    await rig.submit("There is time", deadline=now + 600)
    assert await WatchDeadlines(duties)() == {"sim": 1}
    [event] = [event for event in rig.events if isinstance(event, DeadlinesClose)]
    assert (event.lane, event.waiting) == ("sim", 1)
    assert 0 < event.soonest_s <= 20


async def test_every_duty_of_the_timetable_runs_on_an_empty_store(duties: DutyParts) -> None:
    rows = timetable(duties)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert not await row.duty()


async def test_a_fault_in_one_duty_is_seen_and_stops_no_other(valkey_url: str) -> None:
    stop = asyncio.Event()

    async def broken() -> int:
        raise KeyError("a secret")

    async def sound() -> int:
        stop.set()
        return 1

    client = connect(valkey_url)
    schedule = RedisSchedule(client)
    rows = [Row("broken", every(0.05), broken), Row("sound", every(0.1), sound)]
    await Scheduler(rows, schedule, SystemClock(), list[Event]().append).run(stop)
    runs = {planned.name: runs for planned, runs in (await schedule.look()).duties}
    await client.aclose()
    assert {run.error for run in runs["broken"]} == {"KeyError"}
    assert {(run.did, run.error) for run in runs["sound"]} == {(1, None)}


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
