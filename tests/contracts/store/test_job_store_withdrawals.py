"""What its client was told was not accepted is as if it had never come, and never runs."""

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.outbox import RedisOutbox
from shared.domain.callbacks import Callback
from shared.domain.job import JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import JobStore
from tests.contracts.store.examples import SUCCESS, TEAM, a_batch, a_spec, claimed, finished, new, queued, seen

TOLD = Callback("https://example.com/hook", "forebay.reply.me", "c-1")
DAY_S = 86_400


async def test_nobody_is_told_of_a_job_that_is_withdrawn_and_nobody_sees_it(store: JobStore, client: Client) -> None:
    await client.hset(of_team(TEAM).events, "endpoints", "1")
    spec = a_spec(callback=TOLD)
    await store.accept([new(spec)])
    for _ in range(2):
        withdrawn = await store.withdraw(TEAM, spec.id)
        assert withdrawn is not None
        assert withdrawn.status is JobStatus.CANCELLED
    assert await RedisOutbox(client).pending(TEAM, [spec.id]) == []
    assert (await store.list(TEAM, JobFilter(), None, 9)).jobs == ()
    assert await store.stranded(0.0, 9) == []


async def test_a_job_that_is_withdrawn_never_runs_though_its_message_comes(store: JobStore) -> None:
    waiting, running = a_spec(), a_spec()
    await store.accept([new(waiting), new(running)])
    claim = await claimed(store, running)
    for spec in (waiting, running):
        await store.withdraw(TEAM, spec.id)
        assert (await store.claim(spec, "w2")).result is ClaimResult.FINISHED
    assert not await store.finish(running, claim.fence, SUCCESS, ())


async def test_a_record_that_tells_nobody_is_not_kept_for_the_time_that_telling_takes(client: Client) -> None:
    store = RedisJobStore(client, retention_s=60.0, longest_window_s=3600.0)
    spec = a_spec(callback=TOLD)
    await store.accept([new(spec)])
    await store.withdraw(TEAM, spec.id)
    assert 60 <= await client.ttl(of_team(TEAM).job(spec.id)) < DAY_S


async def test_a_batch_does_not_count_what_was_withdrawn(store: JobStore, client: Client) -> None:
    await store.open_batch(a_batch())
    kept, withdrawn = (a_spec(batch_id="batch_1") for _ in range(2))
    await store.accept([new(kept), new(withdrawn)])
    for _ in range(2):
        await store.withdraw(TEAM, withdrawn.id)
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    assert (batch.total, batch.finished) == (1, 0)
    listed = await store.list(TEAM, JobFilter(batch_id="batch_1"), None, 9)
    assert [job.spec.id for job in listed.jobs] == [kept.id]
    await store.close_batch(TEAM, "batch_1")
    await finished(store, kept)
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    assert (batch.total, batch.succeeded, batch.finished_at is None) == (1, 1, False)


async def test_a_batch_that_only_waited_for_what_was_withdrawn_is_finished(store: JobStore) -> None:
    await store.open_batch(a_batch())
    kept, withdrawn = (a_spec(batch_id="batch_1") for _ in range(2))
    await store.accept([new(kept), new(withdrawn)])
    await store.close_batch(TEAM, "batch_1")
    await finished(store, kept)
    await store.withdraw(TEAM, withdrawn.id)
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    assert (batch.total, batch.finished_at is None) == (1, False)


async def test_what_has_ended_is_left_as_it_is_and_what_is_not_there_is_not_missed(store: JobStore) -> None:
    assert await store.withdraw(TEAM, "job_0") is None
    spec = await queued(store)
    await finished(store, spec)
    before = await seen(store, spec)
    assert await store.withdraw(TEAM, spec.id) == before
