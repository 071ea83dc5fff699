"""What a job really took is settled when it ends, whatever its end."""

from collections.abc import AsyncIterator

import pytest

from shared.adapters.redis.allowances import RedisAllowances
from shared.adapters.redis.keys import of_team
from shared.domain.allowances import UNLIMITED, Allowance, Charge, Charged, Owner, OwnerKind, owners_of
from shared.domain.job import JobSpec, JobStatus
from shared.domain.retry import RetryPolicy
from tests.integration.worker_rig import TEAM, Rig, worker_rig
from workers.outcomes import failed

BUDGET = Allowance(tokens_per_day=1_000)
ESTIMATE = 1_000.0


@pytest.fixture
async def rig(valkey_url: str) -> AsyncIterator[Rig]:
    async with worker_rig(valkey_url, RetryPolicy(max_attempts=1)) as rig:
        yield rig


async def charged(rig: Rig, text: str, tokens: float = ESTIMATE, **changes: object) -> JobSpec:
    """Submit a job that was charged all there is."""
    spec = await rig.submit(text, charged_tokens=tokens, **changes)
    owners = tuple((owner, BUDGET) for owner in owners_of(spec))
    [answer] = await rig.parts.allowances.take([Charge(spec, owners, UNLIMITED, (1.0, tokens))])
    assert answer == Charged()
    return spec


async def left(rig: Rig) -> float:
    """How many tokens the team has left."""
    allowances = rig.parts.allowances
    assert isinstance(allowances, RedisAllowances)
    buckets = of_team(TEAM).allowance(Owner(OwnerKind.TEAM, TEAM, TEAM))
    return float(await allowances._server.send(("HGET", buckets, "level4")))


async def run(rig: Rig) -> None:
    await rig.executor().execute(await rig.take(), rig.lane)


async def test_an_answered_job_costs_what_the_provider_counted(rig: Rig) -> None:
    spec = await charged(rig, "hello")
    await run(rig)
    outcome = (await rig.job(spec)).outcome
    assert outcome is not None
    assert outcome.usage is not None
    assert await left(rig) == pytest.approx(ESTIMATE - outcome.usage.total_tokens, abs=2)


async def test_a_job_whose_stream_broke_costs_what_came(rig: Rig) -> None:
    await rig.provider.faults("cut_stream", at_byte=700, count=1)
    spec = await charged(rig, "hello", streams=True)
    await run(rig)
    outcome = (await rig.job(spec)).outcome
    assert outcome is not None
    assert outcome.usage is not None
    assert 0 < outcome.usage.output_tokens < outcome.usage.total_tokens
    assert await left(rig) == pytest.approx(ESTIMATE - outcome.usage.total_tokens, abs=2)


async def test_a_job_that_failed_costs_no_tokens(rig: Rig) -> None:
    await rig.provider.faults("status", status=400, count=1)
    spec = await charged(rig, "hello")
    await run(rig)
    assert (await rig.job(spec)).status is JobStatus.FAILED
    assert await left(rig) == ESTIMATE


async def test_a_job_that_expired_in_its_queue_costs_no_tokens(rig: Rig) -> None:
    spec = await charged(rig, "hello", deadline=rig.clock.now() - 1)
    await run(rig)
    assert (await rig.job(spec)).status is JobStatus.EXPIRED
    assert await left(rig) == ESTIMATE


async def test_an_answer_that_the_worker_had_in_its_cache_costs_no_tokens(rig: Rig) -> None:
    await rig.submit("hello")
    await run(rig)
    spec = await charged(rig, "hello")
    await run(rig)
    assert (await rig.job(spec)).status is JobStatus.SUCCEEDED
    assert await left(rig) == ESTIMATE


async def test_a_job_that_nobody_counts_the_tokens_of_settles_nothing(rig: Rig) -> None:
    spec = await rig.submit("hello")
    await run(rig)
    assert (await rig.job(spec)).spec.charged_tokens is None


async def test_a_worker_that_dies_between_the_stored_result_and_the_settlement_leaves_no_estimate_charged(
    rig: Rig,
) -> None:
    spec = await charged(rig, "hello")
    claim = await rig.parts.store.claim(spec, "dead")
    delivery = await rig.take()
    assert await rig.parts.store.finish(spec, claim.fence, failed("content_filter", "Refused."), ())
    await delivery.give_back()
    await run(rig)
    assert await left(rig) == ESTIMATE
