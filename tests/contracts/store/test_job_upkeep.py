"""What happens to jobs though nobody takes them: they expire, and they are forgotten."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_upkeep import RedisJobUpkeep
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.outbox import RedisOutbox
from shared.adapters.redis.round_trips import RoundTrips
from shared.domain.callbacks import Callback
from shared.domain.clock import SystemClock
from shared.domain.job import EXPIRED, JobSpec, JobStatus
from shared.domain.job_lookup import JobFilter
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import JobStore
from shared.domain.job_upkeep import JobUpkeep
from shared.domain.lanes import JobClass, Mailbox
from shared.domain.notices import Notice
from tests.contracts.store.examples import SUCCESS, TEAM, a_batch, a_spec, claimed, finished, new, queued, seen

now = SystemClock().now


@pytest.fixture
def upkeep(client: Client) -> JobUpkeep:
    return RedisJobUpkeep(client)


def overdue(team: str = TEAM, seconds: float = 1.0, **changes: object) -> JobSpec:
    """A job whose deadline was so many seconds ago."""
    return replace(a_spec(team), created_at=now() - 3600, deadline=now() - seconds, **changes)  # type: ignore[arg-type]  # the tests name the fields


async def test_whoever_does_not_run_expires_at_its_deadline(store: JobStore, upkeep: JobUpkeep) -> None:
    accepted, waiting = overdue(), await queued(store, overdue("another"))
    scheduled = await queued(store, overdue(run_at=now() - 9))
    retried = await queued(store, overdue())
    await store.release(retried, (await claimed(store, retried)).fence, ())
    in_time = await queued(store, a_spec(deadline=now() + 60))
    timeless = await queued(store, a_spec(deadline=None))
    await store.accept([new(accepted)])
    expired = await upkeep.expire(99)
    late = [accepted, waiting, scheduled, retried]
    assert {found.job.spec.id for found in expired} == {spec.id for spec in late}
    for spec in late:
        job = await seen(store, spec)
        assert (job.status, job.outcome) == (JobStatus.EXPIRED, EXPIRED)
    assert [(await seen(store, spec)).status for spec in (in_time, timeless)] == [JobStatus.QUEUED] * 2
    assert await upkeep.expire(99) == []
    assert await store.stranded(0.0, 9) == []


async def test_a_running_job_is_left_to_its_worker_unless_it_is_long_overdue(
    store: JobStore, upkeep: JobUpkeep
) -> None:
    spec = await queued(store, overdue(seconds=30))
    claim = await claimed(store, spec)
    assert await upkeep.expire(99, long_overdue_s=60) == []
    assert (await seen(store, spec)).status is JobStatus.RUNNING
    [expired] = await upkeep.expire(99, long_overdue_s=20)
    assert expired.job.spec == spec
    assert expired.job.started_at is not None
    assert not await store.finish(spec, claim.fence, SUCCESS, ())
    assert (await seen(store, spec)).outcome == EXPIRED


async def test_the_message_of_an_expired_job_finds_it_finished(store: JobStore, upkeep: JobUpkeep) -> None:
    spec = await queued(store, overdue())
    await upkeep.expire(99)
    assert (await store.claim(spec, "w1")).result is ClaimResult.FINISHED


async def test_a_job_that_expired_is_told_counted_and_leaves_the_backlog(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    await store.open_batch(a_batch())
    spec = overdue(batch_id="batch_1", callback=Callback(webhook="https://example.com", reply_to="forebay.reply.a"))
    await store.accept([replace(new(spec), counted_in=JobClass("bulk"))])
    [expired] = await upkeep.expire(99)
    assert set(expired.notices) == {Notice(TEAM, mailbox, spec.id) for mailbox in Mailbox}
    assert expired.job.sequence is not None
    batch = await store.close_batch(TEAM, "batch_1")
    assert (batch.total, batch.expired, batch.finished_at is None) == (1, 1, False)
    assert await client.hgetall(of_team(TEAM).backlog) == {}


async def test_no_more_are_ended_at_once_than_asked_and_those_left_alone_are_in_nobodys_way(
    store: JobStore, upkeep: JobUpkeep
) -> None:
    for number in range(3):
        await claimed(store, await queued(store, overdue(seconds=100 - number)))
    late = [await queued(store, overdue()) for _ in range(5)]
    first, second = await upkeep.expire(3), await upkeep.expire(3)
    assert [len(first), len(second)] == [3, 2]
    assert {found.job.spec.id for found in first + second} == {spec.id for spec in late}


async def test_a_job_of_which_only_the_deadline_is_left_is_forgotten(
    client: Client, store: JobStore, upkeep: JobUpkeep
) -> None:
    spec = await queued(store, overdue())
    await client.delete(of_team(TEAM).job(spec.id))
    assert await upkeep.expire(99) == []
    assert await client.zcard(of_team(TEAM).deadlines) == 0


async def test_jobs_whose_deadline_is_near_are_found(store: JobStore, upkeep: JobUpkeep) -> None:
    near, far, late = [await queued(store, a_spec(deadline=now() + seconds)) for seconds in (50, 500, -5)]
    assert [job.spec for job in await upkeep.close_to_deadline(100.0, 9)] == [near]
    assert [job.spec for job in await upkeep.close_to_deadline(1000.0, 9)] == [near, far]
    assert [job.spec for job in await upkeep.close_to_deadline(1000.0, 1)] == [near]
    await finished(store, near)
    assert [job.spec for job in await upkeep.close_to_deadline(100.0, 9)] == []
    assert (await seen(store, late)).status is JobStatus.QUEUED


@pytest.mark.hazard(22)
async def test_jobs_of_a_quiet_team_leave_its_listing_when_their_retention_is_over(client: Client) -> None:
    brief, upkeep = RedisJobStore(client, retention_s=0.05), RedisJobUpkeep(client)
    specs = [await queued(brief) for _ in range(3)]
    for spec in specs:
        await finished(brief, spec)
    kept = await queued(brief)

    async def are_forgotten() -> bool:
        return await client.zcard(of_team(TEAM).index) == 1

    forgotten = 0
    while not await are_forgotten():
        forgotten += await upkeep.forget(2)
    assert forgotten == 3
    assert [job.spec for job in (await brief.list(TEAM, JobFilter(), None, 9)).jobs] == [kept]


async def test_a_stranded_job_that_is_passed_over_comes_after_the_others(store: JobStore, upkeep: JobUpkeep) -> None:
    stuck, other = a_spec(), a_spec()
    await store.accept([new(stuck)])
    await store.accept([new(other)])
    first = await store.stranded(0.0, 1)
    await upkeep.pass_over(first)
    assert [job.job_id for job in (*first, *await store.stranded(0.0, 9))] == [stuck.id, other.id, stuck.id]
    await store.mark_queued(TEAM, [stuck, other])
    await upkeep.pass_over(first)
    assert await store.stranded(0.0, 9) == []


async def test_what_many_teams_left_is_found_in_a_few_round_trips_and_no_team_hides_another(
    store: JobStore, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[str] = []
    for name in ("send", "send_all", "run", "run_all"):
        monkeypatch.setattr(RoundTrips, name, counting(getattr(RoundTrips, name), trips))
    teams = [f"team {number:02}" for number in range(40)]
    callback = Callback(webhook="https://example.com")
    for team in teams:
        await finished(store, await queued(store, a_spec(team, callback=callback)), SUCCESS)
    await store.accept([new(a_spec(team)) for team in ("team 00", "team 00", *teams)])
    trips.clear()
    assert [job.team for job in await store.stranded(0.0, len(teams))] == teams
    assert [notice.team for notice in await RedisOutbox(client).overdue(0.0, len(teams))] == teams
    assert len(trips) <= 7


def counting(method: Callable[..., Awaitable[Any]], trips: list[str]) -> Callable[..., Awaitable[Any]]:
    """Give a method that notes each of its calls."""

    async def noted(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the method takes and gives
        trips.append(method.__name__)
        return await method(*arguments, **named)

    return noted
