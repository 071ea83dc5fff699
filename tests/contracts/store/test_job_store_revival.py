"""A failed job begins anew, with everything that happened to it kept."""

from dataclasses import replace

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import of_team
from shared.domain.batches import Batch
from shared.domain.job import JobSpec, JobStatus, Outcome
from shared.domain.job_intake import Stranded
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import DEFAULT_RETENTION_S, JobStore
from shared.wire.webhook_events import event_of_batch
from tests.contracts.store.examples import (
    ATTEMPT,
    FAILED_ATTEMPT,
    FAILURE,
    SUCCESS,
    TEAM,
    a_batch,
    a_spec,
    claimed,
    finished,
    new,
    queued,
    seen,
)


async def _failed(store: JobStore, spec: JobSpec | None = None) -> JobSpec:
    spec = await queued(store, spec)
    claim = await claimed(store, spec)
    assert await store.finish(spec, claim.fence, FAILURE, (FAILED_ATTEMPT,))
    return spec


async def test_a_failed_job_is_accepted_again_and_can_succeed(store: JobStore) -> None:
    spec = await _failed(store)
    assert await store.revive(spec, b"message") is JobStatus.ACCEPTED
    job = await seen(store, spec)
    assert (job.status, job.outcome, job.started_at, job.finished_at, job.sequence, job.revivals) == (
        *(JobStatus.ACCEPTED, None, None, None, None),
        1,
    )
    await store.mark_queued(TEAM, [spec])
    await finished(store, spec)
    job = await seen(store, spec)
    assert (job.status, job.outcome, job.revivals) == (JobStatus.SUCCEEDED, SUCCESS, 1)
    assert job.attempts == (FAILED_ATTEMPT, ATTEMPT)


async def test_what_was_tried_before_a_revival_counts_no_more(store: JobStore) -> None:
    spec = await queued(store)
    await claimed(store, spec, "w1")
    second = await store.claim(spec, "w2", instead_of="w1")
    assert await store.finish(spec, second.fence, FAILURE, (FAILED_ATTEMPT,))
    await store.revive(spec, b"message")
    claim = await claimed(store, spec, "w3")
    assert (claim.attempts, claim.starts, claim.lost) == ((), 1, 0)
    assert claim.fence > second.fence
    assert await store.finish(spec, claim.fence, FAILURE, (ATTEMPT,))
    assert await store.revive(spec, b"message") is JobStatus.ACCEPTED
    job = await seen(store, spec)
    assert (job.attempts, job.revivals, job.replayed_at) == ((FAILED_ATTEMPT, ATTEMPT), 2, (1, 2))


async def test_a_job_that_is_revived_again_and_again_keeps_its_first_attempts_and_its_last(store: JobStore) -> None:
    spec = await queued(store)
    for number in range(105):
        claim = await claimed(store, spec)
        attempts = tuple(replace(FAILED_ATTEMPT, deployment=f"{number}/{n}") for n in range(2))
        assert await store.finish(spec, claim.fence, FAILURE, attempts)
        assert await store.revive(spec, b"message") is JobStatus.ACCEPTED
    kept = [attempt.deployment for attempt in (await seen(store, spec)).attempts]
    assert len(kept) == 200
    assert (kept[0], kept[9], kept[10], kept[-1]) == ("0/0", "4/1", "10/0", "104/1")


async def test_a_revived_job_that_nobody_published_is_stranded(store: JobStore) -> None:
    spec = await _failed(store)
    await store.revive(spec, b"the message")
    assert await store.stranded(0.0, 10) == [Stranded(TEAM, spec.id, b"the message")]
    await store.mark_queued(TEAM, [spec])
    assert await store.stranded(0.0, 10) == []


async def test_reviving_twice_does_what_reviving_once_did(store: JobStore) -> None:
    spec = await _failed(store)
    assert await store.revive(spec, b"message") is JobStatus.ACCEPTED
    assert await store.revive(spec, b"message") is JobStatus.ACCEPTED
    assert (await seen(store, spec)).revivals == 1


@pytest.mark.parametrize("outcome", [SUCCESS, Outcome(JobStatus.EXPIRED)])
async def test_a_job_that_ended_otherwise_is_left_alone(store: JobStore, outcome: Outcome) -> None:
    spec = await queued(store)
    await finished(store, spec, outcome)
    before = await seen(store, spec)
    assert await store.revive(spec, b"message") is outcome.status
    assert await seen(store, spec) == before


async def test_a_job_that_runs_is_left_to_its_worker(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    assert await store.revive(spec, b"message") is JobStatus.RUNNING
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))


async def test_a_record_that_is_gone_is_left_to_the_claim(store: JobStore) -> None:
    spec = a_spec()
    assert await store.revive(spec, b"message") is None
    assert await store.get(TEAM, spec.id) is None
    assert (await store.claim(spec, "w1")).result is ClaimResult.GRANTED


async def test_a_revived_job_is_kept_and_listed(store: JobStore, client: Client) -> None:
    spec = await _failed(store)
    keys = of_team(TEAM)
    assert await client.ttl(keys.job(spec.id)) > 0
    await store.revive(spec, b"message")
    assert await client.ttl(keys.job(spec.id)) == -1
    assert await client.zscore(keys.expiring, spec.id) is None
    page = await store.list(TEAM, JobFilter(status=JobStatus.QUEUED), None, 10)
    assert [job.spec.id for job in page.jobs] == [spec.id]


async def test_the_idempotency_key_of_a_revived_job_stands_for_it_until_its_next_end(
    store: JobStore, client: Client
) -> None:
    spec = a_spec(idempotency_key="k")
    await store.accept([new(spec, key="k")])
    await store.mark_queued(TEAM, [spec])
    await finished(store, spec, FAILURE)
    key = of_team(TEAM).idempotency("k")
    assert await client.ttl(key) > 0
    await store.revive(spec, b"message")
    assert await client.ttl(key) == -1
    await finished(store, spec)
    assert await client.ttl(key) > 0


async def test_a_revived_job_has_the_deadline_it_is_given(store: JobStore, client: Client) -> None:
    with_one, without = await _failed(store), await _failed(store)
    await store.revive(with_one, b"message")
    await store.revive(replace(without, deadline=None), b"message")
    assert await client.zscore(of_team(TEAM).deadlines, with_one.id) == with_one.deadline
    assert await client.zscore(of_team(TEAM).deadlines, without.id) is None
    assert (await seen(store, without)).spec.deadline is None


async def test_a_batch_is_finished_only_when_its_revived_job_is(store: JobStore, client: Client) -> None:
    await store.open_batch(a_batch())
    spec = await _failed(store, a_spec(batch_id="batch_1"))
    ended = await store.close_batch(TEAM, "batch_1")
    assert (ended.failed, ended.finished_at is None) == (1, False)
    await store.revive(spec, b"message")
    revived = await _progress(store)
    assert (revived.total, revived.failed, revived.finished_at, revived.sequence) == (1, 0, None, None)
    assert await client.ttl(of_team(TEAM).batch("batch_1")) > DEFAULT_RETENTION_S
    await finished(store, spec)
    again = await _progress(store)
    assert (again.total, again.succeeded, again.failed) == (1, 1, 0)
    assert again.finished_at is not None
    assert again.sequence is not None
    assert ended.sequence is not None
    assert again.sequence > ended.sequence
    events = [event_of_batch(batch) for batch in (ended, again)]
    assert len({event.id for event in events if event is not None}) == 2


async def test_a_revived_job_whose_batch_was_lost_still_ends(store: JobStore, client: Client) -> None:
    await store.open_batch(a_batch())
    spec = await _failed(store, a_spec(batch_id="batch_1"))
    await client.delete(of_team(TEAM).batch("batch_1"), of_team(TEAM).batch_jobs("batch_1"))
    await store.revive(spec, b"message")
    await finished(store, spec)
    assert await store.batch(TEAM, "batch_1") is None


async def _progress(store: JobStore) -> Batch:
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    return batch


async def test_the_old_run_of_a_revived_job_stores_nothing(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    assert await store.finish(spec, claim.fence, FAILURE, (FAILED_ATTEMPT,))
    await store.revive(spec, b"message")
    assert not await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert not await store.release(spec, claim.fence, (ATTEMPT,))
    assert (await seen(store, spec)).status is JobStatus.ACCEPTED
