"""The announcements of final statuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from shared.adapters.redis import channels
from shared.adapters.redis.connection import Client
from shared.adapters.redis.job_feed import RedisJobFeed
from shared.adapters.redis.job_store import RedisJobStore
from shared.domain.clock import SystemClock
from shared.domain.events import Event
from shared.domain.job import JobStatus
from shared.domain.job_feed import JobChange
from shared.domain.job_store import JobStore
from tests.contracts.store.examples import ATTEMPT, FAILURE, SUCCESS, TEAM, a_spec, claimed, finished, new, queued
from tests.contracts.store.servers import StoreServer

_GENEROUSLY_S = 20.0


def a_feed(client: Client) -> RedisJobFeed:
    return RedisJobFeed(client, SystemClock(), list[Event]().append)


async def _next(changes: AsyncIterator[JobChange | None]) -> JobChange | None:
    async with asyncio.timeout(_GENEROUSLY_S):
        return await anext(changes)


async def test_a_follower_is_told_first_that_it_follows(client: Client) -> None:
    async with aclosing(a_feed(client).follow()) as changes:
        assert await _next(changes) is None


async def test_every_end_of_a_job_is_announced(client: Client, store: JobStore) -> None:
    succeeded, failed, cancelled, at_once = (a_spec() for _ in range(4))
    await store.accept([new(succeeded), new(failed), new(cancelled)])
    async with aclosing(a_feed(client).follow()) as changes:
        assert await _next(changes) is None
        await finished(store, succeeded, SUCCESS)
        await finished(store, failed, FAILURE)
        await store.cancel(TEAM, cancelled.id)
        await store.accept([new(at_once, outcome=SUCCESS)])
        assert [await _next(changes) for _ in range(4)] == [
            JobChange(succeeded.id, JobStatus.SUCCEEDED),
            JobChange(failed.id, JobStatus.FAILED),
            JobChange(cancelled.id, JobStatus.CANCELLED),
            JobChange(at_once.id, JobStatus.SUCCEEDED),
        ]


async def test_what_is_not_an_end_is_not_announced_and_an_end_only_once(client: Client, store: JobStore) -> None:
    spec = a_spec()
    async with aclosing(a_feed(client).follow()) as changes:
        assert await _next(changes) is None
        await queued(store, spec)
        claim = await claimed(store, spec)
        await store.release(spec, claim.fence, (ATTEMPT,))
        claim = await claimed(store, spec)
        for _ in range(3):
            await store.finish(spec, claim.fence, SUCCESS, ())
        await store.cancel(TEAM, spec.id)
        last = a_spec()
        await store.accept([new(last, outcome=FAILURE)])
        assert [await _next(changes) for _ in range(2)] == [
            JobChange(spec.id, JobStatus.SUCCEEDED),
            JobChange(last.id, JobStatus.FAILED),
        ]


async def test_every_follower_hears_everything(client: Client, store: JobStore) -> None:
    feed, spec = a_feed(client), a_spec()
    async with aclosing(feed.follow()) as first, aclosing(feed.follow()) as second:
        assert [await _next(first), await _next(second)] == [None, None]
        await store.accept([new(spec, outcome=SUCCESS)])
        assert [await _next(first), await _next(second)] == [JobChange(spec.id, JobStatus.SUCCEEDED)] * 2


async def test_a_follower_survives_the_restart_of_the_server_and_says_that_it_may_have_missed_something(
    mortal_client: Redis, mortal_server: StoreServer
) -> None:
    async with aclosing(a_feed(mortal_client).follow()) as changes:
        assert await _next(changes) is None
        mortal_server.kill()
        hearing = asyncio.create_task(_next(changes))
        await asyncio.sleep(0)
        mortal_server.start()
        assert await hearing is None
        spec = a_spec()
        await RedisJobStore(mortal_client).accept([new(spec, outcome=SUCCESS)])
        assert await _next(changes) == JobChange(spec.id, JobStatus.SUCCEEDED)


async def test_a_follower_notices_a_server_that_fell_silent(
    mortal_client: Redis, mortal_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "SILENCE_S", 0.1)
    async with aclosing(a_feed(mortal_client).follow()) as changes:
        assert await _next(changes) is None
        mortal_server.freeze()
        hearing = asyncio.create_task(_next(changes))
        await asyncio.wait([hearing], timeout=0.5)
        mortal_server.thaw()
        assert await hearing is None


async def test_a_quiet_feed_is_no_lost_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "SILENCE_S", 0.1)
    async with aclosing(a_feed(client).follow()) as changes:
        hearing = asyncio.create_task(_next(changes))
        async with asyncio.timeout(_GENEROUSLY_S):
            while (await asyncio.wait([hearing], timeout=0.6))[0]:  # a busy machine may answer too late now and then
                assert await hearing is None
                hearing = asyncio.create_task(_next(changes))
        hearing.cancel()
        await asyncio.wait([hearing])


async def test_a_follower_that_is_cancelled_gives_its_connection_back(client: Client, store: JobStore) -> None:
    async def follow() -> None:
        async with aclosing(a_feed(client).follow()) as changes:
            async for _ in changes:
                following.set()

    for _ in range(70):
        following = asyncio.Event()
        task = asyncio.create_task(follow())
        await following.wait()
        task.cancel()
        await asyncio.wait([task])
    assert await store.get(TEAM, "job_1") is None
