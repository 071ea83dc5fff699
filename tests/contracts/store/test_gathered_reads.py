"""Readings that are wanted at the same moment travel together, and are nobody else's business."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.connection import Client
from shared.adapters.redis.gathered_reads import MOST_TOGETHER, MOST_UNDER_WAY, GatheredReads
from shared.adapters.redis.job_store import RedisJobStore
from shared.adapters.redis.round_trips import Command, RoundTrips
from shared.domain.errors import StoreUnavailable
from shared.domain.job import JobStatus
from tests.contracts.store.examples import TEAM, queued
from tests.contracts.store.servers import StoreServer


class CountedRoundTrips(RoundTrips):
    """Notes the size of each group."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.groups: list[int] = []

    async def send_all(self, commands: Sequence[Command]) -> list[Any]:
        self.groups.append(len(commands))
        return await super().send_all(commands)


async def test_thousands_of_readings_at_once_take_few_round_trips_and_each_gets_its_own(client: Client) -> None:
    server = CountedRoundTrips(client)
    reads = GatheredReads(server)
    for number in range(2_000):
        await client.set(f"key:{number}", number) if number % 100 == 0 else None
    found = await asyncio.gather(*(reads.send(("GET", f"key:{number}")) for number in range(2_000)))
    assert found == [str(number).encode() if number % 100 == 0 else None for number in range(2_000)]
    assert max(server.groups) <= MOST_TOGETHER
    assert len(server.groups) <= 2_000 // MOST_TOGETHER + MOST_UNDER_WAY


async def test_one_reading_alone_leaves_at_once(client: Client) -> None:
    server = CountedRoundTrips(client)
    reads = GatheredReads(server)
    for _ in range(3):
        assert await reads.send(("GET", "nothing")) is None
    assert server.groups == [1, 1, 1]


async def test_who_leaves_takes_nobody_along(client: Client) -> None:
    reads = GatheredReads(RoundTrips(client))
    await client.set("kept", "yes")
    leaving, staying = list[asyncio.Task[Any]](), list[asyncio.Task[Any]]()
    for number in range(400):
        task = asyncio.create_task(reads.send(("GET", "kept")))
        (leaving if number % 2 else staying).append(task)
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    assert await asyncio.gather(*staying) == [b"yes"] * 200
    assert await reads.send(("GET", "kept")) == b"yes"


async def test_an_absent_store_is_told_to_all_who_wait_and_they_do_not_wait_in_turns(
    mortal_client: Redis, mortal_server: StoreServer
) -> None:
    loop = asyncio.get_running_loop()
    store = RedisJobStore(mortal_client)
    spec = await queued(store)
    mortal_server.freeze()
    began = loop.time()
    found = await asyncio.gather(*(store.get(TEAM, spec.id) for _ in range(5_000)), return_exceptions=True)
    assert {type(answer) for answer in found} == {StoreUnavailable}
    assert loop.time() - began < 20.0  # in turns it would be fifty
    mortal_server.thaw()
    job = await store.get(TEAM, spec.id)
    assert job is not None
    assert job.status is JobStatus.QUEUED


async def test_a_reading_that_cannot_be_done_fails_as_before(client: Client) -> None:
    reads = GatheredReads(RoundTrips(client))
    await client.set("text", "x")
    with pytest.raises(StoreUnavailable):
        await reads.send(("HGETALL", "text"))
