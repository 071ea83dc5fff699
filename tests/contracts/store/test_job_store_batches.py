"""The progress of batches."""

from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.domain.batches import Batch
from shared.domain.errors import NotFound
from shared.domain.job import JobSpec, JobStatus, Outcome
from shared.domain.job_store import DEFAULT_RETENTION_S, JobStore
from tests.contracts.store.examples import (
    ATTEMPT,
    FAILURE,
    SUCCESS,
    TEAM,
    a_batch,
    a_spec,
    claimed,
    finished,
    new,
)


async def _with_jobs(store: JobStore, count: int) -> list[JobSpec]:
    await store.open_batch(a_batch())
    specs = [a_spec(batch_id="batch_1") for _ in range(count)]
    await store.accept([new(spec) for spec in specs])
    return specs


async def _progress(store: JobStore) -> Batch:
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    return batch


async def test_a_batch_is_given_back_as_it_was_opened(store: JobStore) -> None:
    for batch in (a_batch(), replace(a_batch("batch_2"), endpoint=None, is_open=False)):
        assert await store.open_batch(batch) == batch
        assert await store.batch(TEAM, batch.id) == batch


async def test_opening_a_batch_again_keeps_its_progress(store: JobStore) -> None:
    await _with_jobs(store, 2)
    assert (await store.open_batch(a_batch())).total == 2


async def test_a_batch_that_was_never_opened_is_not_there(store: JobStore) -> None:
    await store.accept([new(a_spec(batch_id="batch_1"))])
    assert await store.batch(TEAM, "batch_1") is None
    with pytest.raises(NotFound):
        await store.close_batch(TEAM, "batch_1")
    assert await store.batch(TEAM, "batch_1") is None


@pytest.mark.hazard(29)
async def test_a_team_sees_no_batch_of_another(store: JobStore) -> None:
    await store.open_batch(a_batch(team="a"))
    assert await store.batch("b", "batch_1") is None
    with pytest.raises(NotFound):
        await store.close_batch("b", "batch_1")


async def test_every_end_of_a_job_is_counted(store: JobStore) -> None:
    specs = await _with_jobs(store, 5)
    await finished(store, specs[0], SUCCESS)
    await finished(store, specs[1], FAILURE)
    await finished(store, specs[2], Outcome(JobStatus.EXPIRED))
    await store.cancel(TEAM, specs[3].id)
    batch = await _progress(store)
    assert (batch.total, batch.succeeded, batch.failed, batch.expired, batch.cancelled) == (5, 1, 1, 1, 1)
    assert batch.finished == 4


async def test_a_job_answered_at_once_is_counted_at_once(store: JobStore) -> None:
    await store.open_batch(a_batch())
    await store.accept([new(a_spec(batch_id="batch_1"), outcome=SUCCESS)])
    batch = await _progress(store)
    assert (batch.total, batch.succeeded) == (1, 1)


async def test_repeats_are_counted_once(store: JobStore) -> None:
    [spec] = await _with_jobs(store, 1)
    await store.accept([new(spec)])
    await store.accept([new(a_spec(batch_id="batch_1"), key="k"), new(a_spec(batch_id="batch_1"), key="k")])
    claim = await claimed(store, spec)
    for _ in range(3):
        assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    await store.cancel(TEAM, spec.id)
    batch = await _progress(store)
    assert (batch.total, batch.finished, batch.succeeded) == (2, 1, 1)


async def test_a_batch_is_finished_when_it_is_closed_and_its_last_job_ends(store: JobStore) -> None:
    first, second = await _with_jobs(store, 2)
    await finished(store, first)
    closed = await store.close_batch(TEAM, "batch_1")
    assert (closed.is_open, closed.finished_at) == (False, None)
    await finished(store, second)
    assert (await _progress(store)).finished_at is not None


async def test_a_batch_whose_jobs_all_ended_is_finished_when_it_is_closed(store: JobStore) -> None:
    [spec] = await _with_jobs(store, 1)
    await finished(store, spec)
    assert (await _progress(store)).finished_at is None
    closed = await store.close_batch(TEAM, "batch_1")
    assert closed.finished_at is not None
    assert await store.close_batch(TEAM, "batch_1") == closed


async def test_a_batch_whose_upload_goes_on_is_finished_no_more(store: JobStore) -> None:
    [first] = await _with_jobs(store, 1)
    await store.close_batch(TEAM, "batch_1")  # the upload was cut
    await finished(store, first)
    second = a_spec(batch_id="batch_1")
    await store.accept([new(second)])
    assert (await _progress(store)).finished_at is None
    await finished(store, second)
    assert (await _progress(store)).finished_at is not None


async def test_a_batch_whose_upload_goes_on_is_finished_only_when_that_ends(store: JobStore) -> None:
    [first] = await _with_jobs(store, 1)
    await finished(store, first)
    ended = await store.close_batch(TEAM, "batch_1")  # the upload was cut
    await store.open_batch(a_batch())
    for _ in range(3):  # each is finished before the next one comes
        later = a_spec(batch_id="batch_1")
        await store.accept([new(later)])
        await finished(store, later)
        batch = await _progress(store)
        assert (batch.is_open, batch.finished_at, batch.sequence, batch.reopened) == (True, None, None, 1)
    again = await store.close_batch(TEAM, "batch_1")
    assert (again.is_open, again.finished_at is None, again.total, again.succeeded) == (False, False, 4, 4)
    assert (ended.sequence or 0) < (again.sequence or 0)


async def test_a_batch_that_was_closed_unfinished_is_open_while_its_upload_goes_on(store: JobStore) -> None:
    [first] = await _with_jobs(store, 1)
    await store.close_batch(TEAM, "batch_1")
    assert (await store.open_batch(a_batch())).is_open
    await finished(store, first)
    assert (await _progress(store)).finished_at is None
    closed = await store.close_batch(TEAM, "batch_1")
    assert (closed.finished_at is None, closed.reopened) == (False, 0)


async def test_an_upload_that_is_repeated_ends_its_batch_no_second_time(store: JobStore) -> None:
    await store.open_batch(a_batch())
    first = a_spec(batch_id="batch_1")
    await store.accept([new(first, key="k")])
    await finished(store, first)
    ended = await store.close_batch(TEAM, "batch_1")
    await store.open_batch(a_batch())
    await store.accept([new(a_spec(batch_id="batch_1"), key="k")])
    assert await store.close_batch(TEAM, "batch_1") == ended
    late = a_spec(batch_id="batch_1")  # of a call that the store was slow to do: nobody closes the batch after it
    await store.accept([new(late)])
    await finished(store, late)
    assert (await _progress(store)).finished_at is not None


async def test_an_empty_batch_is_finished_when_it_is_closed(store: JobStore) -> None:
    await store.open_batch(a_batch())
    assert (await store.close_batch(TEAM, "batch_1")).finished_at is not None


async def test_an_unfinished_batch_is_kept_twice_as_long(store: JobStore, client: Client) -> None:
    [spec] = await _with_jobs(store, 1)
    keys = [of_team(TEAM).batch("batch_1"), of_team(TEAM).batch_jobs("batch_1")]
    assert all([await client.ttl(key) > DEFAULT_RETENTION_S for key in keys])
    await store.close_batch(TEAM, "batch_1")
    assert all([await client.ttl(key) > DEFAULT_RETENTION_S for key in keys])
    await finished(store, spec)
    assert all([0 < await client.ttl(key) <= DEFAULT_RETENTION_S for key in keys])


async def test_a_job_whose_batch_was_lost_still_ends(store: JobStore, client: Client) -> None:
    [spec] = await _with_jobs(store, 1)
    await client.flushdb()
    await finished(store, spec)
    assert await store.batch(TEAM, "batch_1") is None


async def test_a_lost_record_made_again_is_counted_once(store: JobStore, client: Client) -> None:
    [spec] = await _with_jobs(store, 1)
    await client.delete(of_team(TEAM).job(spec.id))
    await finished(store, spec)
    batch = await _progress(store)
    assert (batch.total, batch.succeeded) == (1, 1)
