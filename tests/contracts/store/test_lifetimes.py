"""How long what is kept of a job is kept: never shorter than somebody may still ask for it."""

from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import of_team
from shared.domain.clock import SystemClock
from shared.domain.job import JobSpec
from shared.domain.job_intake import Acceptance
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from shared.domain.lanes import Priority
from tests.contracts.store.examples import FAILURE, SUCCESS, TEAM, a_batch, a_spec, claimed, finished, new, queued
from tests.eventually import eventually

NOW = SystemClock().now()
DAY_S = 86_400.0
KEY = of_team(TEAM).idempotency("k")


@pytest.fixture
def brief(client: Client) -> RedisJobStore:
    """A store whose retention is over at once."""
    return RedisJobStore(client, retention_s=0.05)


async def after_the_retention(store: RedisJobStore) -> None:
    """Wait until a job that has just ended would be gone."""
    spec = await queued(store)
    await finished(store, spec)

    async def is_gone() -> bool:
        return await store.get(TEAM, spec.id) is None

    await eventually(is_gone)


async def repeated(store: RedisJobStore) -> Acceptance:
    [answer] = await store.accept([new(a_spec(idempotency_key="k"), key="k")])
    return answer.acceptance


@pytest.mark.parametrize(
    "times", [{}, {"run_at": NOW + DAY_S}, {"deadline": NOW + DAY_S}], ids=["at once", "later", "with a deadline"]
)
async def test_an_idempotency_key_stands_for_its_job_for_as_long_as_that_has_not_ended(
    brief: RedisJobStore, times: dict[str, Any]
) -> None:
    await brief.accept([new(a_spec(idempotency_key="k", **times), key="k")])
    await after_the_retention(brief)
    assert await repeated(brief) is Acceptance.REPEATED


async def end_by_a_worker(store: RedisJobStore, client: Client, spec: JobSpec) -> None:
    await store.finish(spec, (await claimed(store, spec)).fence, SUCCESS, ())


async def end_by_its_client(store: RedisJobStore, client: Client, spec: JobSpec) -> None:
    await store.cancel(TEAM, spec.id)


async def end_by_its_deadline(store: RedisJobStore, client: Client, spec: JobSpec) -> None:
    assert len(await RedisJobUpkeep(client).expire(9)) == 1


@pytest.mark.parametrize("end", [end_by_a_worker, end_by_its_client, end_by_its_deadline])
@pytest.mark.parametrize("batch_id", [None, "batch_1"])
async def test_an_idempotency_key_is_forgotten_with_its_job_however_that_ends(
    client: Client, end: object, batch_id: str | None
) -> None:
    store = RedisJobStore(client)
    await store.open_batch(a_batch())
    spec = a_spec(idempotency_key="k", deadline=1.0, batch_id=batch_id)
    await store.accept([new(spec, key="k")])
    assert await client.ttl(KEY) == -1
    assert callable(end)
    await end(store, client, spec)
    of_job, of_key = await client.pttl(of_team(TEAM).job(spec.id)), await client.pttl(KEY)
    assert abs(of_job - of_key) < 60_000
    assert of_key > 0


async def test_a_key_that_stands_for_another_job_by_now_is_left_alone(brief: RedisJobStore, client: Client) -> None:
    old = a_spec(idempotency_key="k")
    await brief.accept([new(a_spec(idempotency_key="k"), key="k")])
    await brief.finish(old, 7, SUCCESS, ())  # its record was lost; it is made again from the message
    assert await client.ttl(KEY) == -1


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_what_ended_before_its_message_came_never_runs_though_its_retention_is_over(
    brief: RedisJobStore, client: Client, how: str
) -> None:
    spec = await queued(brief, a_spec(deadline=None if how == "cancelled" else 1.0))
    if how == "cancelled":
        await brief.cancel(TEAM, spec.id)
    else:
        await RedisJobUpkeep(client, retention_s=0.05).expire(9)
    await after_the_retention(brief)
    assert (await brief.claim(spec, "w1")).result is ClaimResult.FINISHED
    assert [job.spec.id for job in (await brief.list(TEAM, JobFilter(), None, 9)).jobs] == []


@pytest.mark.parametrize(
    "times",
    [{"run_at": NOW + 30 * DAY_S}, {"deadline": NOW + 30 * DAY_S}, {}],
    ids=["later", "with a deadline", "at once"],
)
async def test_a_cancelled_job_is_known_until_its_message_can_come_no_more(
    client: Client, times: dict[str, Any]
) -> None:
    store = RedisJobStore(client, retention_s=1.0, longest_window_s=7 * DAY_S)
    spec = a_spec(**({"deadline": None} | times))
    await queued(store, spec)
    await store.cancel(TEAM, spec.id)
    seconds = await client.ttl(of_team(TEAM).job(spec.id))
    assert seconds == pytest.approx((30 if times else 0) * DAY_S + 7 * DAY_S, abs=3600)


async def test_a_batch_is_kept_for_as_long_as_its_jobs_may_take(client: Client) -> None:
    store = RedisJobStore(client, retention_s=60.0)
    await store.open_batch(a_batch())
    created_at = NOW
    for days in (9, 30, 1):
        spec = a_spec(batch_id="batch_1", created_at=created_at, deadline=created_at + days * DAY_S)
        await queued(store, spec)
    brief = await queued(store, a_spec(batch_id="batch_1"))
    await finished(store, brief)
    keys = of_team(TEAM)
    for key in (keys.batch("batch_1"), keys.batch_jobs("batch_1")):
        assert await client.ttl(key) == pytest.approx(30 * DAY_S + 60, abs=3600)


async def test_a_batch_is_kept_for_as_long_as_deferrable_work_without_a_deadline_may_wait(client: Client) -> None:
    store = RedisJobStore(client, retention_s=60.0, longest_window_s=7 * DAY_S)
    await store.open_batch(a_batch())
    spec = a_spec(batch_id="batch_1", priority=Priority.DEFERRABLE, deadline=None, created_at=NOW)
    await queued(store, spec)
    keys = [of_team(TEAM).batch("batch_1"), of_team(TEAM).batch_jobs("batch_1")]
    for key in keys:
        assert await client.ttl(key) == pytest.approx(7 * DAY_S + 60, abs=10)
    await finished(store, spec, FAILURE)
    await store.close_batch(TEAM, "batch_1")
    assert await client.ttl(keys[0]) <= 60
    await store.revive(spec, b"message")
    for key in keys:
        assert await client.ttl(key) == pytest.approx(7 * DAY_S + 60, abs=10)


@pytest.mark.parametrize("is_closed_last", [True, False])
async def test_a_batch_whose_end_is_told_is_kept_until_the_last_attempt_to_tell_it(
    client: Client, *, is_closed_last: bool
) -> None:
    store = RedisJobStore(client, retention_s=60.0)
    await store.open_batch(replace(a_batch(), webhook="https://example.com/hook"))
    spec = await queued(store, a_spec(batch_id="batch_1"))
    if is_closed_last:
        await finished(store, spec)
    await store.close_batch(TEAM, "batch_1")
    if not is_closed_last:
        await finished(store, spec)
    for key in (of_team(TEAM).batch("batch_1"), of_team(TEAM).batch_jobs("batch_1")):
        assert await client.ttl(key) == pytest.approx(4 * DAY_S, abs=10)


async def test_a_job_that_is_kept_for_its_retention_is_kept_from_its_end_on(client: Client) -> None:
    store = RedisJobStore(client, retention_s=100.0)
    spec = await queued(store)
    key = of_team(TEAM).job(spec.id)
    assert await client.ttl(key) == -1
    await finished(store, spec)
    assert 90 < await client.ttl(key) <= 100
