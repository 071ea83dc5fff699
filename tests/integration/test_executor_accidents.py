"""What goes wrong between the take and the acknowledgement without any process dying; with real parts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.streams.names import DELAYED
from shared.domain.answer_cache import CacheMode, CachePolicy
from shared.domain.batches import Batch
from shared.domain.callbacks import Callback
from shared.domain.job import Attempt, JobSpec, JobStatus, Outcome
from shared.domain.job_runs import Claim, Finish
from shared.domain.lanes import JobClass, Mailbox, Priority, QueueName
from shared.domain.notices import Announcer
from shared.domain.retry import RetryPolicy
from tests.integration.worker_rig import TEAM, Rig, worker_rig
from workers.executor import CallBroken, Executor, ExecutorParts
from workers.outcomes import failed
from workers.settlement import Settlement
from workers.task import Answer, Task

STANDARD = QueueName("sim", JobClass("standard"))


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=3, base_s=0)) as rig:
        yield rig


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    client = connect(valkey_url)
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


class SlowToTell(RedisJobStore):
    """The real store, behind a network that keeps the reply to each claim back until ``told``."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.granted = asyncio.Event()
        self.told = asyncio.Event()

    async def claim(
        self, spec: JobSpec, worker: str, *, instead_of: str | None = None, holder_lives: bool = False
    ) -> Claim:
        claim = await super().claim(spec, worker, instead_of=instead_of, holder_lives=holder_lives)
        if not self.granted.is_set():
            self.granted.set()
            await self.told.wait()
        return claim


class SlowToEnd(RedisJobStore):
    """The real store, whose first reply to each end is lost, so that it is asked again."""

    async def finish(self, spec: JobSpec, fence: int, outcome: Outcome, attempts: Sequence[Attempt]) -> Finish:
        await super().finish(spec, fence, outcome, attempts)
        return await super().finish(spec, fence, outcome, attempts)


async def test_who_waits_for_an_end_is_told_of_it_though_the_stores_reply_was_lost(rig: Rig, client: Redis) -> None:
    store = SlowToEnd(client)
    rig.parts = replace(rig.parts, store=store)
    await store.open_batch(Batch("batch_1", TEAM, None, 1.0, is_open=True, webhook="https://example.com/batches"))
    spec = await rig.submit("hello", callback=Callback(webhook="https://example.com/jobs"), batch_id="batch_1")
    await store.close_batch(TEAM, "batch_1")
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.parts.queue.depth(Mailbox.WEBHOOKS.queue)).ready == 2
    assert await rig.parts.outbox.pending(TEAM, [spec.id, "batch_1"]) == []


@pytest.mark.hazard(5)
async def test_a_message_that_came_twice_at_once_makes_one_call(rig: Rig, client: Redis) -> None:
    store = SlowToTell(client)
    executor = replace(rig, parts=replace(rig.parts, store=store)).executor()
    spec = await rig.submit("Twice", cache=CachePolicy(CacheMode.OFF))
    first = await rig.take()
    await rig.parts.queue.publish(first.queue, first.message)
    running = asyncio.create_task(executor.execute(first, rig.lane))
    await store.granted.wait()
    await executor.execute(await rig.take(), rig.lane)
    store.told.set()
    await running
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED
    assert (await rig.provider.calls_of("Twice"))["begun"] == 1
    await executor.execute(await rig.take(), rig.lane)
    assert await rig.waiting(spec) == 0


async def test_a_call_that_a_library_cancels_by_itself_loses_no_job(rig: Rig) -> None:
    async def hang_up(_: Task) -> Answer:
        raise asyncio.CancelledError

    parts = rig.parts
    everything = ExecutorParts(
        *("worker-1", parts.store, parts.leases, parts.queue, rig.clock, rig.events.append),
        Settlement(parts.allowances),
        Announcer(parts.queue, parts.outbox),
        parts.answer_streams,
    )
    spec = await rig.submit("Hung up")
    delivery = await rig.take()
    with pytest.raises(CallBroken):
        await Executor(everything, hang_up).execute(delivery, rig.lane)
    assert await rig.waiting(spec) == 1
    await delivery.give_back()
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def patience_is_over(rig: Rig) -> None:
    """Move the next message as a transport does when its window ends."""
    patient = await rig.take()
    await rig.parts.queue.publish(STANDARD, patient.message)
    await patient.ack()


async def test_a_deferrable_job_whose_deadline_is_near_never_goes_back_to_wait_again(rig: Rig) -> None:
    spec = await rig.submit("At last", priority=Priority.DEFERRABLE, deadline=rig.clock.now() + 600)
    await patience_is_over(rig)
    await rig.parts.leases.renew("living", 60)
    await rig.parts.store.claim(spec, "living")
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.take()).queue == STANDARD


@pytest.mark.parametrize(
    ("hours_left", "window"), [(23, "4h"), (3, "1h"), (None, "7d")], ids=["a day", "hours", "no deadline"]
)
async def test_a_deferrable_job_whose_deadline_is_beyond_its_window_waits_in_another(
    rig: Rig, hours_left: int | None, window: str
) -> None:
    deadline = None if hours_left is None else rig.clock.now() + 3_600 * hours_left
    spec = await rig.submit("Later", priority=Priority.DEFERRABLE, deadline=deadline)
    await patience_is_over(rig)
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.take()).queue == QueueName(rig.lane.name, JobClass(f"deferrable.{window}"))
    assert (await rig.job(spec)).attempts == ()


async def test_a_deferrable_job_without_a_deadline_waits_no_longer_than_the_longest_window(rig: Rig) -> None:
    spec = await rig.submit("Soon", priority=Priority.DEFERRABLE, created_at=rig.clock.now() - 7 * 86_400)
    await patience_is_over(rig)
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_deferrable_job_that_was_cancelled_waits_in_no_further_window(rig: Rig) -> None:
    spec = await rig.submit("Never mind", priority=Priority.DEFERRABLE)
    await patience_is_over(rig)
    await rig.parts.store.cancel(TEAM, spec.id)
    await rig.executor().execute(await rig.take(), rig.lane)
    assert await rig.waiting(spec) == 0


async def test_a_retried_deferrable_job_waits_in_a_window_that_ends_before_its_deadline(rig: Rig) -> None:
    await rig.provider.faults("status", status=503, count=1)
    spec = await rig.submit("Again", priority=Priority.DEFERRABLE, deadline=rig.clock.now() + 2 * 3_600)
    first = await rig.take()
    long_ago = QueueName(rig.lane.name, JobClass("deferrable.4h"))
    await rig.parts.queue.publish(long_ago, first.message)
    await first.ack()
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    assert (await rig.take()).queue == QueueName(rig.lane.name, JobClass("deferrable.1h"))


async def test_a_scheduled_deferrable_job_waits_in_the_class_of_the_time_it_has_left_then(rig: Rig) -> None:
    now = rig.clock.now()
    await rig.submit("Tight", priority=Priority.DEFERRABLE, run_at=now + 2, deadline=now + 3_500)
    await rig.executor().execute(await rig.take(), rig.lane)
    assert (await rig.take()).queue == STANDARD


async def test_a_scheduled_job_that_was_cancelled_waits_no_longer(rig: Rig, client: Redis) -> None:
    """At its time its record may be gone, and a job without a record runs."""
    spec = await rig.submit("Never mind", run_at=rig.clock.now() + 86_400)
    await rig.parts.store.cancel(TEAM, spec.id)
    await rig.executor().execute(await rig.take(), rig.lane)
    assert await rig.waiting(spec) == 0
    assert await client.zcard(DELAYED) == 0


async def test_a_failed_job_that_was_passed_around_while_it_ran_keeps_its_dead_letter(rig: Rig) -> None:
    spec = await rig.submit("Refused")
    await rig.parts.leases.renew("living", 60)
    claim = await rig.parts.store.claim(spec, "living")
    await rig.executor().execute(await rig.take(), rig.lane)
    assert await rig.parts.store.finish(spec, claim.fence, failed("content_filter", "Refused."), ())  # and it dies
    await rig.executor().execute(await rig.take(), rig.lane)
    letters = await rig.parts.queue.dead_letters(10)
    assert [(letter.message.job_id, letter.reason) for letter in letters] == [(spec.id, "content_filter")]
    assert await rig.waiting(spec) == 0
