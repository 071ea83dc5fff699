"""Who runs a job, and whose result counts."""

import asyncio

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.domain.job import JobStatus, Outcome
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import DEFAULT_RETENTION_S, JobStore
from tests.contracts.store.examples import (
    ATTEMPT,
    FAILED_ATTEMPT,
    FAILURE,
    SUCCESS,
    TEAM,
    a_spec,
    claimed,
    finished,
    new,
    queued,
    seen,
)
from tests.eventually import eventually


async def test_a_claimed_job_runs(store: JobStore) -> None:
    spec = await queued(store)
    claim = await store.claim(spec, "w1")
    assert (claim.result, claim.holder, claim.starts, claim.attempts) == (ClaimResult.GRANTED, "w1", 1, ())
    job = await seen(store, spec)
    assert job.status is JobStatus.RUNNING
    assert job.started_at is not None


async def test_a_job_claimed_before_its_confirm_is_noted_runs_all_the_same(store: JobStore) -> None:
    spec = a_spec()
    await store.accept([new(spec)])
    assert (await store.claim(spec, "w1")).result is ClaimResult.GRANTED


async def test_a_held_job_is_refused_and_its_holder_named(store: JobStore) -> None:
    spec = await queued(store)
    await claimed(store, spec, "w1")
    claim = await store.claim(spec, "w2")
    assert (claim.result, claim.holder, claim.starts) == (ClaimResult.HELD, "w1", 1)


async def test_a_worker_is_told_that_it_holds_the_job_itself(store: JobStore) -> None:
    spec = await queued(store)
    await claimed(store, spec, "w1")
    claim = await store.claim(spec, "w1")
    assert (claim.result, claim.holder) == (ClaimResult.HELD, "w1")


async def test_of_twenty_workers_one_gets_the_job(store: JobStore) -> None:
    spec = await queued(store)
    claims = await asyncio.gather(*(store.claim(spec, f"w{number}") for number in range(20)))
    results = [claim.result for claim in claims]
    assert (results.count(ClaimResult.GRANTED), results.count(ClaimResult.HELD)) == (1, 19)
    [winner] = {claim.holder for claim in claims}
    assert claims[int(winner[1:])].result is ClaimResult.GRANTED


async def test_a_dead_workers_job_is_taken_over(store: JobStore) -> None:
    spec = await queued(store)
    first = await claimed(store, spec, "w1")
    second = await store.claim(spec, "w2", instead_of="w1")
    assert (second.result, second.holder, second.starts) == (ClaimResult.GRANTED, "w2", 2)
    assert second.fence > first.fence


async def test_a_job_is_taken_only_from_the_worker_that_was_found_dead(store: JobStore) -> None:
    spec = await queued(store)
    await claimed(store, spec, "w1")
    await store.claim(spec, "w2", instead_of="w1")
    third = await store.claim(spec, "w3", instead_of="w1")
    assert (third.result, third.holder) == (ClaimResult.HELD, "w2")


async def test_a_superseded_workers_result_is_refused(store: JobStore) -> None:
    spec = await queued(store)
    stale = await claimed(store, spec, "w1")
    current = await store.claim(spec, "w2", instead_of="w1")
    assert not await store.finish(spec, stale.fence, FAILURE, (ATTEMPT,))
    assert not await store.release(spec, stale.fence, (ATTEMPT,))
    assert (await seen(store, spec)).attempts == ()
    assert await store.finish(spec, current.fence, SUCCESS, (ATTEMPT,))
    assert not await store.finish(spec, stale.fence, FAILURE, (ATTEMPT,))
    assert (await seen(store, spec)).outcome == SUCCESS


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, Outcome(JobStatus.EXPIRED)])
async def test_a_finished_job_is_read_as_it_was_written(store: JobStore, outcome: Outcome) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    assert await store.finish(spec, claim.fence, outcome, (ATTEMPT,))
    job = await seen(store, spec)
    assert (job.spec, job.status, job.outcome, job.attempts) == (spec, outcome.status, outcome, (ATTEMPT,))
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.started_at <= job.finished_at


async def test_a_finish_repeated_is_true_and_changes_nothing(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    before = await seen(store, spec)
    assert await store.finish(spec, claim.fence, FAILURE, (ATTEMPT,))
    assert await seen(store, spec) == before


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE])
async def test_a_final_job_is_not_run_again(store: JobStore, outcome: Outcome) -> None:
    spec = await queued(store)
    await finished(store, spec, outcome)
    assert (await store.claim(spec, "w2", instead_of="w1")).result is ClaimResult.FINISHED
    assert (await seen(store, spec)).outcome == outcome


async def test_a_released_job_waits_again_and_remembers_the_attempt(store: JobStore) -> None:
    spec = await queued(store)
    first = await claimed(store, spec, "w1")
    assert await store.release(spec, first.fence, (FAILED_ATTEMPT,))
    job = await seen(store, spec)
    assert (job.status, job.attempts) == (JobStatus.QUEUED, (FAILED_ATTEMPT,))
    second = await claimed(store, spec, "w2")
    assert (second.starts, second.attempts) == (2, (FAILED_ATTEMPT,))
    assert second.fence > first.fence
    assert await store.finish(spec, second.fence, SUCCESS, (ATTEMPT,))
    assert (await seen(store, spec)).attempts == (FAILED_ATTEMPT, ATTEMPT)


async def test_a_release_without_an_attempt_takes_back_the_start(store: JobStore) -> None:
    spec = await queued(store)
    first = await claimed(store, spec, "w1")
    assert await store.release(spec, first.fence, ())
    job = await seen(store, spec)
    assert (job.status, job.attempts, job.started_at) == (JobStatus.QUEUED, (), None)
    second = await claimed(store, spec, "w2")
    assert (second.starts, second.attempts) == (1, ())
    assert second.fence > first.fence


async def test_a_release_repeated_is_true_and_counts_once(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    assert await store.release(spec, claim.fence, (FAILED_ATTEMPT,))
    assert await store.release(spec, claim.fence, (FAILED_ATTEMPT,))
    assert (await seen(store, spec)).attempts == (FAILED_ATTEMPT,)


async def test_a_released_job_cannot_be_finished_by_who_released_it(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    await store.release(spec, claim.fence, ())
    assert not await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert (await seen(store, spec)).status is JobStatus.QUEUED


async def test_starts_without_a_trace_are_counted(store: JobStore) -> None:
    spec = await queued(store)
    await claimed(store, spec, "w0")
    for number in range(1, 4):
        claim = await store.claim(spec, f"w{number}", instead_of=f"w{number - 1}")
    assert (claim.starts, claim.attempts) == (4, ())


async def test_a_cancelled_job_never_runs(store: JobStore) -> None:
    spec = await queued(store)
    job = await store.cancel(TEAM, spec.id)
    assert job is not None
    assert (job.status, job.outcome) == (JobStatus.CANCELLED, Outcome(JobStatus.CANCELLED))
    assert job.finished_at is not None
    assert (await store.claim(spec, "w1")).result is ClaimResult.FINISHED


async def test_a_cancel_beats_the_finish_of_the_worker_that_runs_the_job(store: JobStore) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    await store.cancel(TEAM, spec.id)
    assert not await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert not await store.release(spec, claim.fence, (ATTEMPT,))
    assert (await seen(store, spec)).status is JobStatus.CANCELLED


async def test_a_cancel_comes_too_late_for_a_final_job(store: JobStore) -> None:
    spec = await queued(store)
    await finished(store, spec)
    before = await seen(store, spec)
    assert await store.cancel(TEAM, spec.id) == before
    assert await seen(store, spec) == before


async def test_cancelling_what_is_not_there_finds_nothing(store: JobStore) -> None:
    assert await store.cancel(TEAM, "job_none") is None


async def test_cancel_or_finish_exactly_one_wins(store: JobStore) -> None:
    for _ in range(20):
        spec = await queued(store)
        claim = await claimed(store, spec)
        won, _ = await asyncio.gather(store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,)), store.cancel(TEAM, spec.id))
        assert (await seen(store, spec)).status is (JobStatus.SUCCEEDED if won else JobStatus.CANCELLED)


async def test_a_lost_record_is_made_again_by_the_claim(store: JobStore, client: Client) -> None:
    spec = await queued(store)
    before = await claimed(store, spec, "w1")
    await client.flushdb()
    claim = await store.claim(spec, "w2")
    assert (claim.result, claim.starts, claim.attempts) == (ClaimResult.GRANTED, 1, ())
    assert claim.fence > before.fence
    assert (await seen(store, spec)).spec == spec
    assert (await store.list(TEAM, JobFilter(), None, 10)).jobs == (await seen(store, spec),)
    assert not await store.finish(spec, before.fence, FAILURE, (ATTEMPT,))
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))


async def test_a_result_whose_record_was_lost_is_kept(store: JobStore, client: Client) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    await client.flushdb()
    assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    job = await seen(store, spec)
    assert (job.status, job.outcome, job.attempts) == (JobStatus.SUCCEEDED, SUCCESS, (ATTEMPT,))
    assert (await store.list(TEAM, JobFilter(), None, 10)).jobs == (job,)


async def test_a_release_whose_record_was_lost_keeps_the_attempt(store: JobStore, client: Client) -> None:
    spec = await queued(store)
    claim = await claimed(store, spec)
    await client.flushdb()
    assert await store.release(spec, claim.fence, (FAILED_ATTEMPT,))
    again = await claimed(store, spec, "w2")
    assert (again.starts, again.attempts) == (2, (FAILED_ATTEMPT,))
    assert again.fence > claim.fence


async def test_only_a_finished_job_has_an_end_of_retention(store: JobStore, client: Client) -> None:
    spec = await queued(store)
    key = of_team(TEAM).job(spec.id)
    claim = await claimed(store, spec)
    await store.release(spec, claim.fence, ())
    claim = await claimed(store, spec)
    assert await client.ttl(key) == -1
    await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert DEFAULT_RETENTION_S - 60 < await client.ttl(key) <= DEFAULT_RETENTION_S


async def test_a_cancelled_job_has_an_end_of_retention(store: JobStore, client: Client) -> None:
    spec = await queued(store)
    await store.cancel(TEAM, spec.id)
    assert await client.ttl(of_team(TEAM).job(spec.id)) > 0


async def test_a_job_is_gone_after_its_retention(client: Client) -> None:
    store = RedisJobStore(client, retention_s=0.05)
    spec = await queued(store)
    await finished(store, spec)

    async def is_gone() -> bool:
        return await store.get(TEAM, spec.id) is None

    await eventually(is_gone)


@pytest.mark.hazard(29)
async def test_a_team_sees_no_job_of_another(store: JobStore) -> None:
    teams = ["acme", "acme2", "a{c}me", "}{", "", "%", "acme:job", "ACME", "ünïcode"]
    specs = [await queued(store, a_spec(team=team)) for team in teams]
    for spec in specs:
        for team in teams:
            job = await store.get(team, spec.id)
            assert (job is not None) == (team == spec.team)
            if team != spec.team:
                assert await store.cancel(team, spec.id) is None
    assert [(await seen(store, spec)).status for spec in specs] == [JobStatus.QUEUED] * len(specs)


async def test_scripts_that_the_server_forgot_are_taught_again(store: JobStore, client: Client) -> None:
    specs = [a_spec() for _ in range(3)]
    await client.script_flush()
    assert len(await store.accept([new(spec) for spec in specs])) == 3
    await client.script_flush()
    claim = await claimed(store, specs[0])
    await client.script_flush()
    assert await store.finish(specs[0], claim.fence, SUCCESS, (ATTEMPT,))
