"""What happens when calls are cancelled, and when the server is away."""

import asyncio
import inspect
import random

import pytest
from redis import exceptions
from redis.asyncio import Redis

from shared.adapters.redis.answer_cache import RedisAnswerCache
from shared.adapters.redis.connection import MOST_CONNECTIONS, Client, connect
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips
from shared.adapters.redis.worker_leases import RedisWorkerLeases
from shared.domain.answer_cache import CachedAnswer, CacheKey
from shared.domain.clock import SystemClock
from shared.domain.errors import ConfigurationError, StoreUnavailable
from shared.domain.job_store import JobStore
from shared.domain.usage import Usage
from tests.contracts.store.examples import TEAM, a_spec, new
from tests.contracts.store.servers import SentinelServer, StoreServer

_GENEROUSLY_S = 15.0


async def _refused_in_time(store: JobStore) -> None:
    clock = SystemClock()
    begin = clock.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.get(TEAM, "job_1")
    with pytest.raises(StoreUnavailable):
        await store.accept([new(a_spec())])
    assert clock.monotonic() - begin < _GENEROUSLY_S


@pytest.mark.hazard(14)
async def test_cancelled_calls_never_yield_anothers_reply(client: Client) -> None:
    cache, chance = RedisAnswerCache(client), random.Random(14)
    keys = [CacheKey(TEAM, str(number)) for number in range(40)]
    for number, key in enumerate(keys):
        await cache.store(key, CachedAnswer({"number": number}, "d", Usage(1)), 60)

    async def look_up(number: int) -> None:
        if number % 2:
            found = [await cache.look_up(keys[number])]
        else:
            found = (await cache.look_up_many([keys[number], None]))[:1]
        assert [answer and answer.response["number"] for answer in found] == [number]

    cancelled = 0
    for _ in range(600):
        untouched = [asyncio.create_task(look_up(chance.randrange(40))) for _ in range(2)]
        call = asyncio.create_task(look_up(chance.randrange(40)))
        for _ in range(chance.randrange(7)):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.sleep(0)
        call.cancel()  # a second time, in the midst of the clearing up
        await asyncio.gather(*untouched)
        await asyncio.wait([call])
        cancelled += call.cancelled()
        assert call.cancelled() or call.exception() is None
    assert cancelled > 100


async def test_cancelled_calls_cost_the_pool_no_connection(mortal_client: Redis, mortal_server: StoreServer) -> None:
    mortal_server.freeze()
    store = RedisJobStore(mortal_client)
    for _ in range(3):
        calls = [asyncio.create_task(store.get(TEAM, "job_1")) for _ in range(MOST_CONNECTIONS + 10)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    mortal_server.thaw()
    assert await asyncio.gather(*(store.get(TEAM, "job_1") for _ in range(2 * MOST_CONNECTIONS))) == [None] * 128


async def test_a_caller_cancelled_while_it_waits_takes_nobodys_turn(mortal_server: StoreServer) -> None:
    client, chance = connect(f"redis://127.0.0.1:{mortal_server.port}/0?max_connections=4"), random.Random(1)

    async def echo() -> bytes:
        reply: bytes = await client.execute_command("ECHO", "x")
        return reply

    for _ in range(100):
        calls = [asyncio.create_task(echo()) for _ in range(30)]
        for _ in range(12):
            for call in calls[:20]:
                if chance.random() < 0.6:
                    call.cancel()
            await asyncio.sleep(0)
        assert await asyncio.gather(*calls[20:]) == [b"x"] * 10
        await asyncio.wait(calls)
    await client.aclose()


async def test_more_callers_than_connections_wait_for_their_turn(store: JobStore) -> None:
    assert await asyncio.gather(*(store.get(TEAM, "job_1") for _ in range(90))) == [None] * 90


async def test_a_server_that_is_gone_is_unavailable_until_it_is_back(
    mortal_client: Redis, mortal_server: StoreServer
) -> None:
    store = RedisJobStore(mortal_client)
    assert await store.get(TEAM, "job_1") is None
    mortal_server.kill()
    await _refused_in_time(store)
    mortal_server.start()
    assert await store.get(TEAM, "job_1") is None


async def test_a_server_that_hangs_is_unavailable_until_it_goes_on(
    mortal_client: Redis, mortal_server: StoreServer
) -> None:
    store = RedisJobStore(mortal_client)
    assert await store.get(TEAM, "job_1") is None
    mortal_server.freeze()
    await _refused_in_time(store)
    mortal_server.thaw()
    assert await store.get(TEAM, "job_1") is None


async def test_a_server_that_was_restarted_is_found_at_once(mortal_client: Redis, mortal_server: StoreServer) -> None:
    store = RedisJobStore(mortal_client)
    await asyncio.gather(*(store.get(TEAM, "job_1") for _ in range(20)))
    mortal_server.kill()
    mortal_server.start()
    assert await asyncio.gather(*(store.get(TEAM, "job_1") for _ in range(20))) == [None] * 20


async def test_a_cluster_that_is_not_there_is_unavailable(mortal_server: StoreServer) -> None:
    mortal_server.kill()
    client = connect(f"redis+cluster://127.0.0.1:{mortal_server.port}")
    await _refused_in_time(RedisJobStore(client))
    with pytest.raises(StoreUnavailable):
        await RedisWorkerLeases(client).is_alive("w1")
    await client.aclose()


async def test_a_server_that_refuses_a_command_is_unavailable_and_nothing_is_quoted(
    client: Client, store: JobStore
) -> None:
    spec = a_spec()
    await client.set(of_team(TEAM).job(spec.id), "not a hash")
    for doomed in (store.get(TEAM, spec.id), store.accept([new(spec)]), store.claim(spec, "w1")):
        with pytest.raises(StoreUnavailable) as caught:
            await doomed
        assert spec.id not in caught.value.message
        assert "message of" not in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        error
        for _, error in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(error, Exception) and error.__module__ == exceptions.__name__
    ],
)
async def test_every_error_of_the_library_is_translated(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise error("1 127.0.0.1:1")

    client = Redis()
    monkeypatch.setattr(client, "execute_command", fail)
    with pytest.raises(StoreUnavailable):
        await RoundTrips(client).send(("PING",))


async def test_the_sentinels_lead_to_the_server(mortal_server: StoreServer) -> None:
    sentinel = SentinelServer("main", mortal_server.port)
    sentinel.start()
    try:
        client = connect(f"redis+sentinel://127.0.0.1:{sentinel.port},127.0.0.1:{sentinel.port}/main/2")
        store = RedisJobStore(client)
        spec = a_spec()
        await store.accept([new(spec)])
        assert await store.get(TEAM, spec.id) is not None
        await client.aclose()
    finally:
        sentinel.remove()
    assert "db2:keys=" in mortal_server.ask("INFO", "keyspace")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379",
        "127.0.0.1:6379",
        "redis+sentinel://:secret@127.0.0.1:26379",
        "redis+sentinel://127.0.0.1:nonsense/main",
        "redis://:secret@127.0.0.1:nonsense/0",
        "redis://127.0.0.1/0?socket_timeout=nonsense",
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(url)
    assert "secret" not in caught.value.message
