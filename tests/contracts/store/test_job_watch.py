"""Watching single jobs."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from shared.adapters.redis import channels
from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.job_watch import RedisJobWatch
from shared.adapters.redis.keys import of_team
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.job import JobSpec, JobStatus
from shared.domain.job_runs import ClaimResult
from shared.domain.job_store import JobStore
from tests.contracts.store.examples import ATTEMPT, SUCCESS, TEAM, a_spec, claimed, finished, new, queued
from tests.contracts.store.servers import StoreServer
from tests.eventually import eventually

_GENEROUSLY_S = 20.0


@pytest.fixture
async def watch(client: Client) -> AsyncIterator[RedisJobWatch]:
    events: list[Event] = []
    watch = RedisJobWatch(client, SystemClock(), events.append)
    yield watch
    await watch.close()
    assert events == []


async def rings(bell: asyncio.Event) -> None:
    async with asyncio.timeout(_GENEROUSLY_S):
        await bell.wait()
    bell.clear()


async def statuses(watch: RedisJobWatch, spec: JobSpec) -> list[str]:
    seen = await watch.look(TEAM, spec.id)
    assert seen is not None
    return [change.status.value for change in seen.changes]


async def test_a_jobs_changes_are_told_in_their_order(watch: RedisJobWatch, store: JobStore) -> None:
    spec = a_spec()
    assert await watch.look(TEAM, spec.id) is None
    await store.accept([new(spec)])
    assert await statuses(watch, spec) == []
    await store.mark_queued(TEAM, [spec])
    claim = await claimed(store, spec)
    await store.release(spec, claim.fence, (ATTEMPT,))
    await finished(store, spec)
    seen = await watch.look(TEAM, spec.id)
    assert seen is not None
    assert [change.status.value for change in seen.changes] == ["queued", "running", "queued", "running", "succeeded"]
    moments = [change.at_us for change in seen.changes]
    assert moments == sorted(set(moments))
    assert seen.job == await store.get(TEAM, spec.id)
    assert await watch.look("another", spec.id) is None


async def test_a_run_that_left_no_trace_is_no_change(watch: RedisJobWatch, store: JobStore) -> None:
    spec = await queued(store)
    for _ in range(3):
        claim = await claimed(store, spec)
        await store.release(spec, claim.fence, ())
    assert await statuses(watch, spec) == ["queued"]


async def test_a_job_that_was_taken_before_it_was_known_as_queued_has_a_change_all_the_same(
    watch: RedisJobWatch, store: JobStore
) -> None:
    spec = a_spec()
    await store.accept([new(spec)])
    claim = await claimed(store, spec)
    await store.release(spec, claim.fence, ())
    assert await statuses(watch, spec) == ["queued"]


async def test_a_job_that_goes_back_and_forth_for_days_shows_its_first_changes_and_its_last(
    watch: RedisJobWatch, store: JobStore
) -> None:
    spec = await queued(store)
    seen = await watch.look(TEAM, spec.id)
    assert seen is not None
    first = seen.changes[0]
    for number in range(120):  # each time its worker is lost
        claim = await store.claim(spec, f"w{number}", instead_of=f"w{number - 1}")
        assert claim.result is ClaimResult.GRANTED
        if number % 2:
            assert await store.release(spec, claim.fence, (ATTEMPT,))
    for _ in range(3):
        claim = await claimed(store, spec)
        assert await store.release(spec, claim.fence, ())
    await finished(store, spec)
    seen = await watch.look(TEAM, spec.id)
    assert seen is not None
    assert 90 <= len(seen.changes) <= 100
    assert seen.changes[0] == first
    assert [change.status.value for change in seen.changes[-2:]] == ["running", "succeeded"]
    moments = [change.at_us for change in seen.changes]
    assert moments == sorted(set(moments))


async def test_a_change_is_later_than_what_was_told_before_also_when_the_stores_clock_was_set_back(
    watch: RedisJobWatch, store: JobStore, client: Client
) -> None:
    spec = await queued(store)
    ahead_us = 9_000_000_000_999_999
    await client.hset(of_team(TEAM).job(spec.id), "history", "queued 9000000000.999999")
    claim = await claimed(store, spec)
    told = await watch.look(TEAM, spec.id)
    assert told is not None
    assert [change.at_us for change in told.changes] == [ahead_us, ahead_us + 1]
    await store.release(spec, claim.fence, ())
    await finished(store, spec)
    seen = await watch.look(TEAM, spec.id)
    assert seen is not None
    later = seen.changes_after(told.changes[-1].at_us)
    assert [(change.status.value, change.at_us - ahead_us) for change in later] == [("running", 2), ("succeeded", 3)]


async def test_the_bell_rings_when_the_watch_begins_and_at_each_change(watch: RedisJobWatch, store: JobStore) -> None:
    spec, other = await queued(store), await queued(store)
    with watch.watching(TEAM, spec.id) as bell, watch.watching(TEAM, other.id) as other_bell:
        await rings(bell)
        await rings(other_bell)
        claim = await claimed(store, spec)
        await rings(bell)
        await store.release(spec, claim.fence, ())
        await rings(bell)
        await finished(store, spec)
        await rings(bell)
        assert not other_bell.is_set()


async def test_everybody_who_watches_a_job_hears_of_it(watch: RedisJobWatch, store: JobStore) -> None:
    spec = await queued(store)
    with watch.watching(TEAM, spec.id) as first:
        await rings(first)
        with watch.watching(TEAM, spec.id) as second:
            await store.cancel(TEAM, spec.id)
            await rings(first)
            await rings(second)


async def test_who_leaves_at_once_harms_nobody(watch: RedisJobWatch, store: JobStore) -> None:
    spec = await queued(store)
    with watch.watching(TEAM, spec.id):
        pass
    await asyncio.sleep(0)
    with watch.watching(TEAM, spec.id) as bell:
        await rings(bell)


async def test_only_what_is_watched_is_subscribed_to_and_by_one_connection(
    watch: RedisJobWatch, store: JobStore, client: Client
) -> None:
    specs = [await queued(store) for _ in range(600)]
    channels = [of_team(TEAM).job(spec.id) for spec in specs]

    async def subscribers() -> set[int]:
        counted = await client.execute_command("PUBSUB", "NUMSUB", *channels)
        return set(counted[1::2])

    async def everybody() -> bool:
        return await subscribers() == {1}

    async def nobody() -> bool:
        return await subscribers() == {0}

    leaving = [watch.watching(TEAM, spec.id) for spec in specs]
    for one in leaving:
        one.__enter__()
    await eventually(everybody)
    for one in leaving:
        one.__exit__(None, None, None)
    await eventually(nobody)
    with watch.watching(TEAM, specs[0].id) as bell:
        await rings(bell)


async def test_a_watch_goes_on_after_the_restart_of_the_server(
    mortal_client: Redis, mortal_server: StoreServer
) -> None:
    store = RedisJobStore(mortal_client)
    watch = RedisJobWatch(mortal_client, SystemClock(), list[Event]().append)
    specs = [await queued(store) for _ in range(3)]
    with watch.watching(TEAM, specs[0].id) as first, watch.watching(TEAM, specs[1].id) as second:
        await rings(first)
        await rings(second)
        mortal_server.kill()
        mortal_server.start()
        await rings(first)
        await rings(second)
        await store.accept([new(specs[0])])
        await store.cancel(TEAM, specs[0].id)
        await rings(first)
        seen = await watch.look(TEAM, specs[0].id)
    await watch.close()
    assert seen is not None
    assert seen.job.status is JobStatus.CANCELLED


async def test_a_watch_notices_a_server_that_fell_silent(
    mortal_client: Redis, mortal_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "SILENCE_S", 0.1)
    watch = RedisJobWatch(mortal_client, SystemClock(), list[Event]().append)
    with watch.watching(TEAM, "job_1") as bell:
        await rings(bell)
        mortal_server.freeze()
        hearing = asyncio.create_task(rings(bell))
        await asyncio.wait([hearing], timeout=0.5)
        mortal_server.thaw()
        await hearing
    await watch.close()


async def test_a_watch_that_hears_nothing_is_no_lost_one(
    watch: RedisJobWatch, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "SILENCE_S", 0.1)
    spec = await queued(store)
    with watch.watching(TEAM, spec.id) as bell:
        hearing = asyncio.create_task(rings(bell))
        async with asyncio.timeout(_GENEROUSLY_S):
            while (await asyncio.wait([hearing], timeout=0.6))[0]:  # a busy machine may answer too late now and then
                hearing = asyncio.create_task(rings(bell))
        await finished(store, spec, SUCCESS)
        await hearing
