"""From one arrival to one outcome, with real parts."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from shared.domain.answer_cache import CacheMode, CachePolicy, CacheResult
from shared.domain.events import ClaimLost, JobFinished, JobRetried
from shared.domain.job import JobSpec, JobStatus
from shared.domain.lanes import JobClass, QueueName
from shared.domain.retry import RetryPolicy
from shared.domain.work_queue import Delivery, Message
from tests.integration.worker_rig import TEAM, Rig, worker_rig

NO_BACKOFF = RetryPolicy(max_attempts=3, base_s=0)


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, NO_BACKOFF) as rig:
        yield rig


async def handle_next(rig: Rig, worker: str = "worker-1") -> None:
    await rig.executor(worker).execute(await rig.take(), rig.lane)


async def buried(rig: Rig) -> list[tuple[str, str]]:
    return [(letter.message.job_id, letter.reason) for letter in await rig.parts.queue.dead_letters(10)]


class Crash(Exception):
    """The process dies here."""


class CrashingDelivery:
    """A delivery whose worker dies at the moment it would acknowledge."""

    def __init__(self, delivery: Delivery) -> None:
        self.message = delivery.message
        self.queue = delivery.queue
        self.redelivered = delivery.redelivered
        self.give_back = delivery.give_back

    async def ack(self) -> None:
        raise Crash


async def test_a_job_is_answered_priced_stored_and_only_then_acknowledged(rig: Rig) -> None:
    spec = await rig.submit("What is a forebay?")
    await handle_next(rig)
    job = await rig.job(spec)
    assert job.status is JobStatus.SUCCEEDED
    assert job.outcome is not None
    assert job.outcome.response is not None
    assert job.outcome.usage is not None
    usage = job.outcome.usage
    assert job.outcome.response["usage"]["total_tokens"] == usage.total_tokens
    assert job.outcome.cost_usd == Decimal(usage.input_tokens + 2 * usage.output_tokens) / 1_000_000
    assert [(a.deployment, a.outcome) for a in job.attempts] == [("sim/0", "succeeded")]
    assert job.outcome.served_by == "sim/0"
    assert await rig.waiting(spec) == 0


@pytest.mark.hazard(1)
async def test_a_crash_between_the_stored_result_and_the_acknowledgement_pays_once(rig: Rig) -> None:
    spec = await rig.submit("Pay once", cache=CachePolicy(CacheMode.OFF))
    delivery = await rig.take()
    with pytest.raises(Crash):
        await rig.executor().execute(CrashingDelivery(delivery), rig.lane)
    await delivery.give_back()
    await handle_next(rig, "worker-2")
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED
    assert (await rig.provider.calls_of("Pay once"))["answered"] == 1
    assert await rig.waiting(spec) == 0


async def test_a_crash_before_the_acknowledgement_of_a_failed_job_keeps_its_dead_letter(rig: Rig) -> None:
    spec = await rig.submit("Refused")
    await rig.provider.faults("content_filter")
    delivery = await rig.take()
    with pytest.raises(Crash):
        await rig.executor().execute(CrashingDelivery(delivery), rig.lane)
    await delivery.give_back()
    await handle_next(rig, "worker-2")
    assert (spec.id, "content_filter") in await buried(rig)
    assert await rig.waiting(spec) == 0


@pytest.mark.hazard(2)
async def test_a_paused_workers_late_result_is_dropped(rig: Rig) -> None:
    """Row 2: its lease is over, another ran the job, and only then does it finish."""
    spec = await rig.submit("Slow", cache=CachePolicy(CacheMode.OFF))
    await rig.provider.faults("hang", contains="Slow", count=1)
    delivery = await rig.take()
    paused = asyncio.create_task(rig.executor("paused").execute(delivery, rig.lane))
    await rig.provider.wait_for(in_flight=1)
    await rig.parts.queue.publish(delivery.queue, delivery.message)
    await handle_next(rig, "worker-2")
    finished = await rig.job(spec)
    await rig.provider.release()
    await paused
    assert (await rig.job(spec)) == finished
    assert ClaimLost(spec.id, 1) in rig.events


async def test_a_job_held_by_a_living_worker_comes_back_later(rig: Rig) -> None:
    spec = await rig.submit("Mine")
    await rig.parts.leases.renew("living", 60)
    claim = await rig.parts.store.claim(spec, "living")
    delivery = await rig.take()
    await rig.executor().execute(delivery, rig.lane)
    assert (await rig.job(spec)).status is JobStatus.RUNNING
    await rig.parts.store.release(spec, claim.fence, ())
    await handle_next(rig)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


@pytest.mark.hazard(3)
async def test_a_job_that_loses_every_worker_ends_in_the_dead_letters_and_harms_no_other(rig: Rig) -> None:
    """Row 3: one poison message, nine good ones."""
    poison = await rig.submit("poison")
    good = [await rig.submit(f"good {number}") for number in range(9)]
    for number in range(rig.lane.retry.max_lost):
        await rig.parts.store.claim(poison, f"lost-{number}", instead_of=f"lost-{number - 1}")
    for _ in range(10):
        await handle_next(rig)
    job = await rig.job(poison)
    assert job.outcome is not None
    assert job.outcome.error is not None
    assert job.outcome.error.code == "worker_lost"
    assert await buried(rig) == [(poison.id, "worker_lost")]
    assert {(await rig.job(spec)).status for spec in good} == {JobStatus.SUCCEEDED}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"v": 9}', b'{"v": 1, "spec": {}}', b"\xff\x00"])
@pytest.mark.hazard(4)
async def test_a_malformed_message_goes_to_the_dead_letters_at_once(rig: Rig, body: bytes) -> None:
    """Row 4."""
    queue = QueueName("sim", JobClass("standard"))
    await rig.parts.queue.publish(queue, Message(body, "job_bad"))
    await handle_next(rig)
    [(job_id, reason)] = await buried(rig)
    assert (job_id, bool(reason)) == ("job_bad", True)
    depth = await rig.parts.queue.depth(queue)
    assert depth.ready + depth.unacknowledged == 0


async def test_a_failed_attempt_is_kept_and_followed_by_another(rig: Rig) -> None:
    spec = await rig.submit("Again")
    await rig.provider.faults("status", status=503, count=2)
    for _ in range(3):
        await handle_next(rig)
    job = await rig.job(spec)
    assert job.status is JobStatus.SUCCEEDED
    assert [attempt.outcome for attempt in job.attempts] == ["overloaded", "overloaded", "succeeded"]
    assert [type(event) for event in rig.events].count(JobRetried) == 2


async def test_a_job_fails_after_its_last_attempt_with_its_history(rig: Rig) -> None:
    spec = await rig.submit("Never")
    await rig.provider.faults("status", status=500)
    for _ in range(3):
        await handle_next(rig)
    job = await rig.job(spec)
    assert job.status is JobStatus.FAILED
    assert job.outcome is not None
    assert job.outcome.error is not None
    assert job.outcome.error.code == "overloaded"
    assert len(job.attempts) == 3
    assert await buried(rig) == [(spec.id, "overloaded")]
    assert await rig.waiting(spec) == 0


async def test_a_provider_that_asks_for_a_long_rest_rests_its_lane(rig: Rig) -> None:
    first, second = await rig.submit("Too many"), await rig.submit("Wait for it")
    await rig.provider.faults("status", status=429, retry_after_s=30, count=1)
    await rig.executor().execute(await rig.take(), rig.lane)
    verdict = await rig.executor().execute(await rig.take(), rig.lane)
    assert 25 < verdict.rest_s <= 30
    assert [attempt.outcome for attempt in (await rig.job(first)).attempts] == ["rate_limited"]
    waiting = await rig.job(second)
    assert (waiting.status, waiting.attempts) == (JobStatus.QUEUED, ())


async def test_a_job_past_its_deadline_expires_without_a_call(rig: Rig) -> None:
    spec = await rig.submit("Late", deadline=rig.clock.now() - 1)
    await handle_next(rig)
    assert (await rig.job(spec)).status is JobStatus.EXPIRED
    assert (await rig.provider.calls_of("Late"))["begun"] == 0


async def test_a_call_that_outlives_the_deadline_is_broken_off(rig: Rig) -> None:
    spec = await rig.submit("Hanging", deadline=rig.clock.now() + 0.5)
    await rig.provider.faults("hang")
    await handle_next(rig)
    job = await rig.job(spec)
    assert (job.status, [attempt.outcome for attempt in job.attempts]) == (JobStatus.EXPIRED, ["cancelled"])
    await rig.provider.wait_until_idle()


async def test_a_scheduled_job_goes_back_until_its_time(rig: Rig) -> None:
    spec = await rig.submit("Tomorrow", run_at=rig.clock.now() + 86_400)
    await handle_next(rig)
    job = await rig.job(spec)
    assert (job.status, job.attempts) == (JobStatus.SCHEDULED, ())
    assert await rig.waiting(spec) == 0


async def test_cancelling_a_running_job_aborts_its_call(rig: Rig) -> None:
    spec = await rig.submit("Stop")
    await rig.provider.faults("hang")
    executor = rig.executor()
    running = asyncio.create_task(executor.execute(await rig.take(), rig.lane))
    await rig.provider.wait_for(in_flight=1)
    await rig.parts.store.cancel(TEAM, spec.id)
    executor.abort(spec.id)
    await running
    await rig.provider.wait_until_idle()
    job = await rig.job(spec)
    assert (job.status, [attempt.outcome for attempt in job.attempts]) == (JobStatus.CANCELLED, ["cancelled"])
    assert await rig.waiting(spec) == 0


async def test_a_job_cancelled_in_the_queue_never_runs(rig: Rig) -> None:
    spec = await rig.submit("Not me")
    await rig.parts.store.cancel(TEAM, spec.id)
    await handle_next(rig)
    assert (await rig.provider.calls_of("Not me"))["begun"] == 0
    assert (await rig.job(spec)).status is JobStatus.CANCELLED


async def test_a_stopped_worker_gives_its_job_back_unspent(rig: Rig) -> None:
    spec = await rig.submit("Interrupted")
    await rig.provider.faults("hang", count=1)
    running = asyncio.create_task(rig.executor().execute(await rig.take(), rig.lane))
    await rig.provider.wait_for(in_flight=1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    await handle_next(rig, "worker-2")
    job = await rig.job(spec)
    assert (job.status, len(job.attempts)) == (JobStatus.SUCCEEDED, 1)


async def test_a_repeated_question_is_answered_from_the_cache_at_no_cost(rig: Rig) -> None:
    first = await rig.submit("Same")
    await handle_next(rig)
    second = await rig.submit("Same")
    await handle_next(rig)
    kept, served = (await rig.job(first)).outcome, (await rig.job(second)).outcome
    assert kept is not None
    assert served is not None
    assert served.response == kept.response
    assert (kept.cache, served.cache) == (CacheResult.MISS, CacheResult.HIT)
    assert served.cost_usd == 0
    assert (await rig.provider.calls_of("Same"))["answered"] == 1


@pytest.mark.parametrize("mode", [CacheMode.REFRESH, CacheMode.OFF])
async def test_who_wants_a_fresh_answer_gets_one(rig: Rig, mode: CacheMode) -> None:
    await rig.submit("Fresh")
    await handle_next(rig)
    await rig.submit("Fresh", cache=CachePolicy(mode))
    await handle_next(rig)
    assert (await rig.provider.calls_of("Fresh"))["answered"] == 2


async def test_another_team_never_meets_a_kept_answer(rig: Rig) -> None:
    await rig.submit("Secret")
    await handle_next(rig)
    other: JobSpec = await rig.submit("Secret", team="other")
    await handle_next(rig)
    job = await rig.parts.store.get("other", other.id)
    assert job is not None
    assert job.outcome is not None
    assert job.outcome.cache is CacheResult.MISS


async def test_every_end_is_announced_once(rig: Rig) -> None:
    await rig.submit("Announced")
    await handle_next(rig)
    [event] = [event for event in rig.events if isinstance(event, JobFinished)]
    assert (event.status, event.cache, event.attempts) == ("succeeded", "miss", 1)


async def test_another_deployment_is_tried_at_once(valkey_url: str) -> None:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=3, base_s=60), deployments=2) as rig:
        spec = await rig.submit("Elsewhere")
        await rig.provider.faults("status", status=500, model="sim-0")
        await handle_next(rig)
        job = await rig.job(spec)
        assert [(a.deployment, a.outcome) for a in job.attempts] == [("sim/0", "overloaded"), ("sim/1", "succeeded")]
