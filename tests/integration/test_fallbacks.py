"""The walk over deployments and models, with a real store, real queues and a simulated provider."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.domain.answer_cache import CachePolicy, CacheResult
from shared.domain.catalog import Fallbacks, Lane
from shared.domain.circuit import BreakerPolicy
from shared.domain.events import BreakerMoved, FellBack
from shared.domain.job import Job, JobStatus
from shared.domain.retry import RetryPolicy
from shared.domain.routing import ConfiguredLimits, RoutingWish
from tests.integration.worker_rig import Rig, sim_deployment, worker_rig
from workers.executor import Executor, Verdict

NEVER_OPENS = BreakerPolicy(allowed_fails=1_000)


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    """A lane of two deployments, and two models to fall back to."""
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=2, base_s=0), deployments=2) as rig:
        rig.lane = replace(rig.lane, fallbacks=Fallbacks(("spare", "last")), breaker=NEVER_OPENS)
        rig.others = tuple(
            Lane(name, (sim_deployment(0, rig.provider.url, name),), rig.lane.retry) for name in ("spare", "last")
        )
        yield rig


async def run(rig: Rig, executor: Executor | None = None) -> Verdict:
    """Do with the next message what a lane's runner does."""
    delivery = await rig.take()
    verdict = await (executor or rig.executor()).execute(delivery, rig.lane)
    if verdict.rest_s > 0:
        await delivery.give_back()
    return verdict


def trail(job: Job) -> list[tuple[str, str]]:
    return [(attempt.deployment, attempt.outcome) for attempt in job.attempts]


async def test_the_first_answer_ends_the_walk(rig: Rig) -> None:
    spec = await rig.submit("In order")
    await rig.provider.faults("status", status=503, model="sim-0")
    await rig.provider.faults("status", status=503, model="sim-1")
    await run(rig)
    job = await rig.job(spec)
    assert trail(job) == [("sim/0", "overloaded"), ("sim/1", "overloaded"), ("spare/0", "succeeded")]
    assert job.outcome is not None
    assert job.outcome.served_by == "spare/0"
    assert [event for event in rig.events if isinstance(event, FellBack)] == [
        FellBack(spec.id, "sim", "spare", "overloaded")
    ]


@pytest.mark.hazard(17)
async def test_when_nobody_answers_the_job_comes_back_and_each_is_tried_as_often_as_allowed(rig: Rig) -> None:
    spec = await rig.submit("Nobody")
    await rig.provider.faults("status", status=503)
    executor = rig.executor()
    await run(rig, executor)
    assert (await rig.job(spec)).status is JobStatus.QUEUED
    await run(rig, executor)
    job = await rig.job(spec)
    assert job.status is JobStatus.FAILED
    calls = [deployment for deployment, _ in trail(job)]
    assert {name: calls.count(name) for name in calls} == {"sim/0": 1, "sim/1": 1, "spare/0": 2, "last/0": 2}


async def test_a_request_that_is_wrong_everywhere_is_asked_once(rig: Rig) -> None:
    spec = await rig.submit("Wrong")
    await rig.provider.faults("status", status=400)
    await run(rig)
    job = await rig.job(spec)
    assert (job.status, len(job.attempts)) == (JobStatus.FAILED, 1)


async def test_a_request_that_is_too_long_goes_to_the_models_for_long_ones(rig: Rig) -> None:
    rig.lane = replace(rig.lane, fallbacks=Fallbacks(("spare",), context_window=("last",)))
    spec = await rig.submit("Long")
    await rig.provider.faults("context_length_exceeded", model="sim-0")
    await rig.provider.faults("context_length_exceeded", model="sim-1")
    await run(rig)
    assert trail(await rig.job(spec))[-1] == ("last/0", "succeeded")


async def test_a_request_that_was_refused_for_its_content_goes_to_the_models_for_those(rig: Rig) -> None:
    rig.lane = replace(rig.lane, fallbacks=Fallbacks(("spare",), content_policy=("last",)))
    spec = await rig.submit("Delicate")
    await rig.provider.faults("content_filter", model="sim-0")
    await rig.provider.faults("content_filter", model="sim-1")
    await run(rig)
    assert trail(await rig.job(spec))[-1] == ("last/0", "succeeded")


async def test_a_job_may_name_its_own_fallbacks(rig: Rig) -> None:
    spec = await rig.submit("My own", routing=RoutingWish(fallbacks=("last",)))
    await rig.provider.faults("status", status=503, model="sim-0")
    await rig.provider.faults("status", status=503, model="sim-1")
    await run(rig)
    assert trail(await rig.job(spec))[-1] == ("last/0", "succeeded")


async def test_no_attempt_leaves_the_region(rig: Rig) -> None:
    eu, us = rig.lane.deployments
    rig.lane = replace(rig.lane, deployments=(replace(us, region="us"), replace(eu, region="eu-west-1")))
    rig.others = (
        replace(rig.others[0], deployments=(replace(rig.others[0].deployments[0], region="us"),)),
        replace(rig.others[1], deployments=(replace(rig.others[1].deployments[0], region="eu"),)),
    )
    spec = await rig.submit("Stay", routing=RoutingWish(region="eu"))
    await rig.provider.faults("status", status=503)
    executor = rig.executor()
    while not (await rig.job(spec)).status.is_final:
        await run(rig, executor)
    assert {deployment for deployment, _ in trail(await rig.job(spec))} == {"sim/0", "last/0"}


async def test_a_model_that_is_down_is_left_out_at_once(rig: Rig) -> None:
    rig.lane = replace(rig.lane, breaker=BreakerPolicy(allowed_fails=0, cooldown_s=60))
    await rig.provider.faults("status", status=503, model="sim-0")
    await rig.provider.faults("status", status=503, model="sim-1")
    executor = rig.executor()
    first, second = await rig.submit("First"), await rig.submit("Second")
    await run(rig, executor)
    await run(rig, executor)
    assert trail(await rig.job(first)) == [("sim/0", "overloaded"), ("sim/1", "overloaded"), ("spare/0", "succeeded")]
    assert trail(await rig.job(second)) == [("spare/0", "succeeded")]
    opened = [event for event in rig.events if isinstance(event, BreakerMoved)]
    assert opened == [BreakerMoved("sim", "sim/0", "open"), BreakerMoved("sim", "sim/1", "open")]


async def test_a_model_that_is_closed_for_long_is_left_out_and_nothing_is_held_against_the_job(rig: Rig) -> None:
    shut = ConfiguredLimits(requests_per_minute=0)
    rig.lane = replace(rig.lane, deployments=tuple(replace(each, limits=shut) for each in rig.lane.deployments))
    spec = await rig.submit("Elsewhere")
    await run(rig)
    assert trail(await rig.job(spec)) == [("spare/0", "succeeded")]


async def test_without_a_fallback_a_job_waits_in_the_queue_for_a_model_that_is_down(rig: Rig) -> None:
    """No attempt is burnt against a provider that is known to be down."""
    rig.lane = replace(rig.lane, breaker=BreakerPolicy(allowed_fails=0, cooldown_s=60), fallbacks=Fallbacks())
    await rig.provider.faults("status", status=503)
    executor = rig.executor()
    await rig.submit("Opens both")
    await run(rig, executor)
    spec = await rig.submit("Waits")
    verdicts = [await run(rig, executor), await run(rig, executor)]
    assert all(verdict.rest_s > 5 for verdict in verdicts)
    job = await rig.job(spec)
    assert (job.status, job.attempts) == (JobStatus.QUEUED, ())


async def test_a_fallbacks_answer_is_not_kept_for_those_who_ask_for_the_model(rig: Rig) -> None:
    await rig.provider.faults("status", status=503, model="sim-0", count=1)
    await rig.provider.faults("status", status=503, model="sim-1", count=1)
    executor = rig.executor()
    await rig.submit("Same question", cache=CachePolicy())
    await run(rig, executor)
    again = await rig.submit("Same question", cache=CachePolicy())
    await run(rig, executor)
    job = await rig.job(again)
    assert job.outcome is not None
    assert (job.outcome.cache, job.outcome.served_by) == (CacheResult.MISS, "sim/0")


async def test_a_probe_that_fails_is_not_held_against_its_job(rig: Rig) -> None:
    only = (rig.lane.deployments[0],)
    policy = BreakerPolicy(allowed_fails=0, cooldown_s=0.05)
    rig.lane = replace(rig.lane, deployments=only, breaker=policy, fallbacks=Fallbacks())
    await rig.provider.faults("status", status=503, count=4)
    executor = rig.executor()
    spec = await rig.submit("Feels the way")
    while not (await rig.job(spec)).status.is_final:
        await run(rig, executor)
    job = await rig.job(spec)
    assert job.status is JobStatus.SUCCEEDED
    assert [attempt.is_probe for attempt in job.attempts] == [False, True, True, True, True]


async def test_a_hanging_model_is_left_after_its_timeout(rig: Rig) -> None:
    hangs = replace(rig.lane.deployments[0], timeout_s=0.2)
    rig.lane = replace(rig.lane, deployments=(hangs,))
    await rig.provider.faults("hang", model="sim-0")
    spec = await rig.submit("Hangs")
    await run(rig)
    assert trail(await rig.job(spec)) == [("sim/0", "timed_out"), ("spare/0", "succeeded")]


async def test_what_a_job_tried_is_in_its_record_in_order(rig: Rig) -> None:
    spec = await rig.submit("Everything")
    await rig.provider.faults("status", status=503)
    executor = rig.executor()
    while not (await rig.job(spec)).status.is_final:
        await run(rig, executor)
    attempts = (await rig.job(spec)).attempts
    assert list(attempts) == sorted(attempts, key=lambda attempt: attempt.started_at)
