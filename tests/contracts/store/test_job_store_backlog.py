"""How many unfinished jobs a team has in a class of a lane: each is counted once, and leaves the count once."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import backlog_field, of_team
from shared.domain.job import JobSpec, JobStatus
from shared.domain.job_intake import Acceptance, IdempotencyKey, NewJob
from shared.domain.job_store import JobStore
from shared.domain.lanes import JobClass, QueueName
from tests.contracts.store.examples import ATTEMPT, FAILURE, SUCCESS, TEAM, a_batch, a_spec, claimed, finished, new

BULK = JobClass("bulk")
LANE = a_spec().lane


def counted(spec: JobSpec, job_class: JobClass = BULK) -> NewJob:
    return replace(new(spec), counted_in=job_class)


async def accepted(store: JobStore, job_class: JobClass = BULK, **changes: str) -> tuple[JobSpec, int]:
    """Accept a job; give it and the backlog that the answer tells."""
    spec = a_spec(**changes)
    [answer] = await store.accept([counted(spec, job_class)])
    return spec, answer.backlog


async def kept(client: Client) -> dict[str, int]:
    """The counts as they are kept."""
    fields = await client.hgetall(of_team(TEAM).backlog)
    return {field.decode(): int(count) for field, count in fields.items() if isinstance(field, bytes)}


async def test_the_answer_to_a_new_job_tells_the_teams_backlog_with_it(store: JobStore) -> None:
    answers = await store.accept([counted(a_spec()) for _ in range(3)])
    assert [answer.backlog for answer in answers] == [1, 2, 3]


async def test_each_class_lane_and_team_has_a_backlog_of_its_own(store: JobStore) -> None:
    for _ in range(2):
        await accepted(store)
    others = [
        await accepted(store, JobClass("interactive")),
        await accepted(store, lane="embedder"),
        await accepted(store, team="others"),
    ]
    assert [backlog for _, backlog in others] == [1, 1, 1]
    assert (await accepted(store))[1] == 3


async def test_surplus_jobs_count_with_those_of_the_main_class(store: JobStore) -> None:
    await accepted(store)
    assert (await accepted(store, BULK.surplus))[1] == 2


async def test_a_finished_job_leaves_the_backlog_once(store: JobStore) -> None:
    spec, _ = await accepted(store)
    await accepted(store)
    claim = await claimed(store, spec)
    for _ in range(3):
        assert await store.finish(spec, claim.fence, SUCCESS, (ATTEMPT,))
    assert (await accepted(store))[1] == 2


async def test_a_failed_or_a_cancelled_job_leaves_the_backlog_once(store: JobStore, client: Client) -> None:
    failed, _ = await accepted(store)
    cancelled, _ = await accepted(store)
    await accepted(store)
    await finished(store, failed, FAILURE)
    for _ in range(2):
        await store.cancel(TEAM, cancelled.id)
    assert await kept(client) == {backlog_field(QueueName(LANE, BULK)): 1}


async def test_a_job_that_is_tried_again_is_still_one(store: JobStore) -> None:
    spec, _ = await accepted(store)
    await store.mark_queued(TEAM, [spec])
    for _ in range(3):
        claim = await claimed(store, spec)
        assert await store.release(spec, claim.fence, (ATTEMPT,))
    assert (await accepted(store))[1] == 2


async def test_a_job_answered_at_once_or_meant_to_count_nowhere_is_not_counted(store: JobStore, client: Client) -> None:
    answered = replace(counted(a_spec()), outcome=SUCCESS)
    uncounted = new(a_spec(run_at=1_800_000_000.0))
    assert [answer.backlog for answer in await store.accept([answered, uncounted])] == [0, 0]
    await finished(store, uncounted.spec)
    assert await kept(client) == {}


async def test_a_job_accepted_again_is_counted_once(store: JobStore) -> None:
    spec = a_spec()
    assert [(await store.accept([counted(spec)]))[0].backlog for _ in range(3)] == [1, 1, 1]


async def test_a_repeated_key_tells_the_backlog_without_adding_to_it(store: JobStore) -> None:
    first, again = (replace(new(a_spec(), key="k"), counted_in=BULK) for _ in range(2))
    await store.accept([first])
    [answer] = await store.accept([again])
    assert (answer.acceptance, answer.backlog) == (Acceptance.REPEATED, 1)
    await finished(store, first.spec)
    assert (await accepted(store))[1] == 1


async def test_a_job_whose_record_was_lost_takes_nothing_out_of_the_backlog(store: JobStore, client: Client) -> None:
    lost, _ = await accepted(store)
    await client.delete(of_team(TEAM).job(lost.id), of_team(TEAM).backlog)
    await accepted(store)
    await finished(store, lost)
    assert (await accepted(store))[1] == 2


async def test_the_end_of_a_job_after_the_counts_were_lost_leaves_no_negative_one(
    store: JobStore, client: Client
) -> None:
    spec, _ = await accepted(store)
    await client.delete(of_team(TEAM).backlog)
    await finished(store, spec)
    assert await kept(client) == {}
    assert (await accepted(store))[1] == 1


async def test_a_job_of_a_batch_is_counted_as_any_other(store: JobStore, client: Client) -> None:
    await store.open_batch(a_batch())
    spec, backlog = await accepted(store, batch_id="batch_1")
    await finished(store, spec)
    batch = await store.batch(TEAM, "batch_1")
    assert batch is not None
    assert (backlog, batch.total, batch.succeeded, await kept(client)) == (1, 1, 1, {})


STEPS = st.lists(st.tuples(st.sampled_from(["accept", "claim", "release", "finish", "cancel"]), st.integers(0, 3)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_happens_to_jobs_the_backlog_is_the_number_of_the_unfinished(
    store: JobStore, client: Client, steps: list[tuple[str, int]]
) -> None:
    await client.flushdb()
    specs = [a_spec() for _ in range(4)]
    fences = dict.fromkeys(range(4), 0)
    accepted_jobs: set[int] = set()
    for step, number in steps:
        spec = specs[number]
        if step == "accept":
            await store.accept([counted(spec)])
            accepted_jobs.add(number)
        elif number not in accepted_jobs:
            continue
        elif step == "claim":
            fences[number] = (await store.claim(spec, "w1")).fence
        elif step == "release":
            await store.release(spec, fences[number], (ATTEMPT,))
        elif step == "finish":
            await store.finish(spec, fences[number], SUCCESS, (ATTEMPT,))
        else:
            await store.cancel(TEAM, spec.id)
    jobs = [await store.get(TEAM, specs[number].id) for number in accepted_jobs]
    unfinished = sum(job is not None and not job.status.is_final for job in jobs)
    assert sum((await kept(client)).values()) == unfinished


@pytest.mark.parametrize(("digest", "acceptance"), [("d1", Acceptance.REPEATED), ("d2", Acceptance.CONFLICT)])
async def test_who_used_an_idempotency_key_can_be_asked_without_using_it(
    store: JobStore, digest: str, acceptance: Acceptance
) -> None:
    assert await store.earlier(TEAM, IdempotencyKey("k", digest)) is None
    first = a_spec()
    await store.accept([new(first, key="k")])
    found = await store.earlier(TEAM, IdempotencyKey("k", digest))
    assert found is not None
    assert (found.acceptance, found.job_id, found.status) == (acceptance, first.id, JobStatus.ACCEPTED)
    assert await store.earlier("others", IdempotencyKey("k", digest)) is None
