"""Pages of jobs."""

from dataclasses import replace

import pytest

from shared.adapters.redis import job_listing
from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.domain.job import JobSpec, JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.job_store import JobStore
from shared.domain.lanes import Priority
from tests.contracts.store.examples import SUCCESS, TEAM, a_batch, a_spec, claimed, finished, new, queued
from tests.eventually import eventually


async def _accepted(store: JobStore, count: int, like: JobSpec | None = None) -> list[JobSpec]:
    like = like or a_spec()
    specs = [replace(like, id=a_spec().id) for _ in range(count)]
    await store.accept([new(spec) for spec in specs])
    return specs


async def _all(store: JobStore, job_filter: JobFilter, limit: int, team: str = TEAM) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        page = await store.list(team, job_filter, after, limit)
        assert len(page.jobs) <= limit
        found += [job.spec.id for job in page.jobs]
        if page.next_after is None:
            return found
        after = page.next_after


def _newest_first(specs: list[JobSpec]) -> list[str]:
    return sorted((spec.id for spec in specs), reverse=True)


async def test_jobs_are_listed_newest_first(store: JobStore) -> None:
    specs = await _accepted(store, 5)
    page = await store.list(TEAM, JobFilter(), None, 10)
    assert [job.spec.id for job in page.jobs] == _newest_first(specs)
    assert page.next_after is None


@pytest.mark.parametrize("limit", [1, 4, 11, 12, 13])
async def test_pages_together_are_the_whole(store: JobStore, limit: int) -> None:
    specs = await _accepted(store, 12)
    assert await _all(store, JobFilter(), limit) == _newest_first(specs)


async def test_a_full_last_page_says_that_it_is_the_last(store: JobStore) -> None:
    await _accepted(store, 3)
    assert (await store.list(TEAM, JobFilter(), None, 3)).next_after is None


async def test_a_team_lists_only_its_own_jobs(store: JobStore) -> None:
    mine = await _accepted(store, 3, a_spec(team="mine"))
    await _accepted(store, 3, a_spec(team="theirs"))
    assert await _all(store, JobFilter(), 10, team="mine") == _newest_first(mine)
    assert await _all(store, JobFilter(), 10, team="nobody") == []


async def test_jobs_are_found_by_status(store: JobStore) -> None:
    waiting, running, done = [await queued(store) for _ in range(3)]
    await claimed(store, running)
    await finished(store, done)
    assert await _all(store, JobFilter(status=JobStatus.RUNNING), 10) == [running.id]
    assert await _all(store, JobFilter(status=JobStatus.SUCCEEDED), 10) == [done.id]
    assert await _all(store, JobFilter(status=JobStatus.QUEUED), 10) == [waiting.id]
    assert await _all(store, JobFilter(status=JobStatus.FAILED), 10) == []


async def test_a_job_that_is_only_accepted_is_found_among_the_queued(store: JobStore) -> None:
    [accepted] = await _accepted(store, 1)
    published = await queued(store)
    assert await _all(store, JobFilter(status=JobStatus.QUEUED), 10) == [published.id, accepted.id]
    assert await _all(store, JobFilter(status=JobStatus.ACCEPTED), 10) == [accepted.id]


async def test_jobs_are_found_by_priority_and_status_together(store: JobStore) -> None:
    bulk = await _accepted(store, 3, a_spec(priority=Priority.BULK))
    await _accepted(store, 3, a_spec(priority=Priority.STANDARD))
    await finished(store, bulk[1])
    assert await _all(store, JobFilter(priority=Priority.BULK), 2) == _newest_first(bulk)
    assert await _all(store, JobFilter(priority=Priority.BULK, status=JobStatus.SUCCEEDED), 2) == [bulk[1].id]


async def test_jobs_are_found_by_their_batch(store: JobStore) -> None:
    await store.open_batch(a_batch("batch_1"))
    await store.open_batch(a_batch("batch_1", team="theirs"))
    mine = await _accepted(store, 4, a_spec(batch_id="batch_1"))
    await _accepted(store, 4)
    await _accepted(store, 4, a_spec(batch_id="batch_1", team="theirs"))
    await finished(store, mine[2])
    assert await _all(store, JobFilter(batch_id="batch_1"), 3) == _newest_first(mine)
    assert await _all(store, JobFilter(batch_id="batch_1", status=JobStatus.SUCCEEDED), 3) == [mine[2].id]
    assert await _all(store, JobFilter(batch_id="batch_2"), 3) == []


async def test_a_call_looks_at_a_bounded_number_of_records(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_listing, "MOST_LOOKED_AT", 500)
    [oldest] = await _accepted(store, 1)
    await finished(store, oldest)
    await _accepted(store, 1_100)
    page = await store.list(TEAM, JobFilter(status=JobStatus.SUCCEEDED), None, 5)
    assert page.jobs == ()
    assert page.next_after is not None
    assert await _all(store, JobFilter(status=JobStatus.SUCCEEDED), 5) == [oldest.id]


async def test_jobs_whose_retention_is_over_leave_the_list_and_the_index(client: Client) -> None:
    store, brief = RedisJobStore(client), RedisJobStore(client, retention_s=0.05)
    gone = [a_spec() for _ in range(6)]
    await brief.accept([new(spec, outcome=SUCCESS) for spec in gone])
    [kept] = await _accepted(store, 1)

    async def only_one_is_left() -> bool:
        return await _all(store, JobFilter(), 2) == [kept.id]

    async def index_is_swept() -> bool:
        await store.list(TEAM, JobFilter(), None, 1)
        return bool(await client.zcard(of_team(TEAM).index) == 1)

    await eventually(only_one_is_left)
    await eventually(index_is_swept)
    assert await client.zcard(of_team(TEAM).expiring) == 0


async def test_the_index_does_not_grow_though_nobody_lists(client: Client) -> None:
    store = RedisJobStore(client, retention_s=0.02)

    async def has_shrunk() -> bool:
        await store.accept([new(a_spec(), outcome=SUCCESS)])
        return bool(await client.zcard(of_team(TEAM).index) < 30)

    await store.accept([new(a_spec(), outcome=SUCCESS) for _ in range(60)])
    await eventually(has_shrunk)
