"""A dead letter's second life: replayed, taken by a worker, and done, with its whole history."""

from collections.abc import AsyncIterator

import pytest

from producer_api.dead_letter_desk import DeadLetterDesk
from shared.domain.dead_letters import Selection
from shared.domain.job import JobStatus
from shared.domain.lanes import DEFERRABLE_WINDOWS
from shared.domain.retry import RetryPolicy
from tests.eventually import eventually
from tests.integration.worker_rig import Rig, worker_rig


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=2, base_s=0)) as rig:
        yield rig


def desk_of(rig: Rig) -> DeadLetterDesk:
    parts = rig.parts
    return DeadLetterDesk(parts.queue, parts.store, rig.catalog, DEFERRABLE_WINDOWS, rig.clock, rig.events.append)


async def handle(rig: Rig, times: int) -> None:
    for _ in range(times):
        await rig.executor().execute(await rig.take(), rig.lane)


async def test_a_replayed_job_has_its_attempts_anew_and_succeeds(rig: Rig) -> None:
    spec = await rig.submit("Second life")
    await rig.provider.faults("status", status=500, count=3)
    await handle(rig, 2)
    assert (await rig.job(spec)).status is JobStatus.FAILED
    assert (await desk_of(rig).replay(Selection(spec.id))).gone == 1
    await handle(rig, 2)  # once more it fails: without its attempts anew it would be given up
    job = await rig.job(spec)
    assert (job.status, job.revivals) == (JobStatus.SUCCEEDED, 1)
    assert [attempt.outcome for attempt in job.attempts] == ["overloaded"] * 3 + ["succeeded"]
    assert await rig.waiting(spec) == 0
    assert await rig.parts.queue.dead_letters(10) == []


async def test_a_job_that_lost_all_its_workers_gets_new_ones(rig: Rig) -> None:
    spec = await rig.submit("Unlucky")
    for number in range(rig.lane.retry.max_lost):
        await rig.parts.store.claim(spec, f"lost-{number}", instead_of=f"lost-{number - 1}")
    await handle(rig, 1)
    page = await desk_of(rig).page(Selection(reason="worker_lost"), None, 10)
    assert [obituary.letter_id for obituary, _ in page.letters] == [spec.id]
    assert (await desk_of(rig).replay(Selection(reason="worker_lost"))).gone == 1
    await handle(rig, 1)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED


async def test_a_job_that_expired_on_its_way_can_be_done_after_all(rig: Rig) -> None:
    """It failed while it had time; the replay comes when its deadline is over."""
    spec = await rig.submit("Late", deadline=rig.clock.now() + 1.5)
    await rig.provider.faults("status", status=500, count=2)
    await handle(rig, 2)
    assert spec.deadline is not None
    deadline = spec.deadline

    async def is_over() -> bool:
        return rig.clock.now() > deadline

    await eventually(is_over)
    assert (await desk_of(rig).replay(Selection(spec.id))).gone == 1
    await handle(rig, 1)
    job = await rig.job(spec)
    assert (job.status, job.spec.deadline) == (JobStatus.SUCCEEDED, None)


async def test_a_replayed_job_that_fails_again_is_a_dead_letter_again(rig: Rig) -> None:
    spec = await rig.submit("Hopeless")
    await rig.provider.faults("content_filter")
    await handle(rig, 1)
    for revivals in (1, 2):
        assert (await desk_of(rig).replay(Selection(spec.id))).gone == 1
        await handle(rig, 1)
        [letter] = await rig.parts.queue.dead_letters(10)
        job = await rig.job(spec)
        assert (letter.id, job.status, job.revivals) == (spec.id, JobStatus.FAILED, revivals)
    assert len(job.attempts) == 3
