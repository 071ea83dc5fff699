"""From a new job to a queued one."""

import asyncio

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.domain.job import Job, JobStatus
from shared.domain.job_intake import Acceptance, Accepted
from shared.domain.job_lookup import JobFilter
from shared.domain.job_store import JobStore
from tests.contracts.store.examples import FAILURE, SUCCESS, TEAM, a_spec, claimed, finished, new, queued, seen
from tests.eventually import eventually


async def test_a_new_job_is_accepted_as_it_was_given(store: JobStore) -> None:
    spec = a_spec()
    assert await store.accept([new(spec)]) == [Accepted(Acceptance.NEW, spec.id, JobStatus.ACCEPTED)]
    assert await store.get(TEAM, spec.id) == Job(spec, JobStatus.ACCEPTED)


async def test_many_jobs_are_answered_in_their_order(store: JobStore) -> None:
    specs = [a_spec(team=f"team-{number % 3}") for number in range(1_200)]
    accepted = await store.accept([new(spec) for spec in specs])
    assert [answer.job_id for answer in accepted] == [spec.id for spec in specs]
    assert {answer.acceptance for answer in accepted} == {Acceptance.NEW}


async def test_nothing_to_accept_is_nothing_accepted(store: JobStore) -> None:
    assert await store.accept([]) == []


async def test_a_job_with_an_outcome_is_final_at_once(store: JobStore) -> None:
    spec = a_spec()
    [accepted] = await store.accept([new(spec, outcome=SUCCESS)])
    job = await seen(store, spec)
    assert accepted == Accepted(Acceptance.NEW, spec.id, JobStatus.SUCCEEDED)
    assert (job.status, job.outcome, job.attempts, job.started_at) == (JobStatus.SUCCEEDED, SUCCESS, (), None)
    assert job.finished_at is not None


async def test_a_job_accepted_again_is_the_same_job(store: JobStore) -> None:
    spec = await queued(store)
    assert await store.accept([new(spec)]) == [Accepted(Acceptance.NEW, spec.id, JobStatus.QUEUED)]
    page = await store.list(TEAM, JobFilter(), None, 10)
    assert len(page.jobs) == 1


async def test_a_repeated_key_and_body_give_the_first_job(store: JobStore) -> None:
    first, second = a_spec(), a_spec()
    await store.accept([new(first, key="k")])
    assert await store.accept([new(second, key="k")]) == [Accepted(Acceptance.REPEATED, first.id, JobStatus.ACCEPTED)]
    assert await store.get(TEAM, second.id) is None


async def test_a_repeat_tells_how_far_the_first_job_is(store: JobStore) -> None:
    first = a_spec()
    await store.accept([new(first, key="k")])
    await store.mark_queued(TEAM, [first])
    await finished(store, first)
    [repeated] = await store.accept([new(a_spec(), key="k")])
    assert repeated.status is JobStatus.SUCCEEDED


async def test_a_key_with_another_body_is_a_conflict(store: JobStore) -> None:
    first, second = a_spec(), a_spec()
    await store.accept([new(first, key="k", digest="d1")])
    [answer] = await store.accept([new(second, key="k", digest="d2")])
    assert answer.acceptance is Acceptance.CONFLICT
    assert await store.get(TEAM, second.id) is None


async def test_a_key_repeated_in_one_list_counts_once(store: JobStore) -> None:
    first, second = a_spec(), a_spec()
    answers = await store.accept([new(first, key="k"), new(second, key="k")])
    assert [(answer.acceptance, answer.job_id) for answer in answers] == [
        (Acceptance.NEW, first.id),
        (Acceptance.REPEATED, first.id),
    ]


async def test_teams_do_not_share_idempotency_keys(store: JobStore) -> None:
    answers = await store.accept([new(a_spec(team="a"), key="k"), new(a_spec(team="b"), key="k", digest="d2")])
    assert [answer.acceptance for answer in answers] == [Acceptance.NEW, Acceptance.NEW]


async def test_fifty_callers_with_one_key_make_one_job(store: JobStore) -> None:
    answers = await asyncio.gather(*(store.accept([new(a_spec(), key="k")]) for _ in range(50)))
    kinds = [answer.acceptance for [answer] in answers]
    assert (kinds.count(Acceptance.NEW), kinds.count(Acceptance.REPEATED)) == (1, 49)
    assert len({answer.job_id for [answer] in answers}) == 1


async def test_an_idempotency_key_is_forgotten_after_the_retention(client: Client) -> None:
    store = RedisJobStore(client, retention_s=0.05)
    await store.accept([new(a_spec(), key="k", outcome=SUCCESS)])
    key = of_team(TEAM).idempotency("k")

    async def is_gone() -> bool:
        return not await client.exists(key)

    await eventually(is_gone)
    [answer] = await store.accept([new(a_spec(), key="k", digest="d2")])
    assert answer.acceptance is Acceptance.NEW


@pytest.mark.parametrize(("run_at", "status"), [(None, JobStatus.QUEUED), (1_800_000_000.0, JobStatus.SCHEDULED)])
async def test_a_published_job_waits_in_its_queue_or_for_its_time(
    store: JobStore, run_at: float | None, status: JobStatus
) -> None:
    spec = await queued(store, a_spec(run_at=run_at))
    assert (await seen(store, spec)).status is status


async def test_a_late_confirm_does_not_set_a_job_back(store: JobStore) -> None:
    running, done = a_spec(), a_spec()
    await store.accept([new(running), new(done)])
    await claimed(store, running)
    await finished(store, done, FAILURE)
    await store.mark_queued(TEAM, [running, done])
    assert (await seen(store, running)).status is JobStatus.RUNNING
    assert (await seen(store, done)).status is JobStatus.FAILED


async def test_marking_a_job_that_is_not_there_makes_none(store: JobStore) -> None:
    spec = a_spec()
    await store.mark_queued(TEAM, [spec])
    assert await store.get(TEAM, spec.id) is None


async def test_a_job_never_published_is_stranded_with_its_message(store: JobStore) -> None:
    specs = [a_spec(team="a"), a_spec(team="b")]
    await store.accept([new(spec) for spec in specs])
    stranded = await store.stranded(0.0, 10)
    assert {(one.team, one.job_id, one.message) for one in stranded} == {
        (spec.team, spec.id, b"message of " + spec.id.encode()) for spec in specs
    }


async def test_a_job_accepted_just_now_is_not_stranded(store: JobStore) -> None:
    await store.accept([new(a_spec())])
    assert await store.stranded(60.0, 10) == []


async def test_stranded_jobs_come_oldest_first_and_no_more_than_asked(store: JobStore) -> None:
    specs = [a_spec() for _ in range(5)]
    for spec in specs:
        await store.accept([new(spec)])
    assert [one.job_id for one in await store.stranded(0.0, 2)] == [specs[0].id, specs[1].id]


async def test_a_job_that_moved_on_is_not_stranded_and_its_message_is_dropped(store: JobStore, client: Client) -> None:
    published, running, cancelled, at_once = (a_spec() for _ in range(4))
    await store.accept([new(published), new(running), new(cancelled), new(at_once, outcome=SUCCESS)])
    await store.mark_queued(TEAM, [published])
    await claimed(store, running)
    await store.cancel(TEAM, cancelled.id)
    assert await store.stranded(0.0, 10) == []
    for spec in (published, running, cancelled, at_once):
        assert not await client.hexists(of_team(TEAM).job(spec.id), "message")


async def test_a_lost_record_does_not_block_the_stranded_ones(store: JobStore, client: Client) -> None:
    lost, kept = a_spec(), a_spec()
    await store.accept([new(lost)])
    await store.accept([new(kept)])
    await client.delete(of_team(TEAM).job(lost.id))
    await store.stranded(0.0, 1)
    assert [one.job_id for one in await store.stranded(0.0, 1)] == [kept.id]
