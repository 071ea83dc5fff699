"""Answers on their way from a worker to the API, piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from shared.adapters.redis.answer_streams import RedisAnswerStreams
from shared.adapters.redis.connection import Client, connect
from shared.adapters.redis.keys import answer_pieces
from shared.adapters.redis.stream_patience import StreamPatience
from shared.domain.answer_streams import AnswerReader, AnswerStreams
from shared.domain.clock import SystemClock
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Event
from shared.domain.provider_errors import StreamBroken
from tests.contracts.store.servers import StoreServer
from tests.eventually import eventually
from tests.servers.proxy import Proxy, proxy_to, tcp

_GENEROUSLY_S = 60.0
QUICK = StreamPatience(look_s=0.1, with_writers=8, with_readers=8, window=1000)
USUAL = StreamPatience(look_s=1.0, window=1000)
UNHURRIED = StreamPatience(look_s=60.0, window=1000)
JOB = "job_1"


@asynccontextmanager
async def streams_of(client: Client, patience: StreamPatience = QUICK) -> AsyncIterator[RedisAnswerStreams]:
    events: list[Event] = []
    streams = RedisAnswerStreams(client, SystemClock(), events.append, patience)
    yield streams
    await streams.close()
    assert events == []


@pytest.fixture
async def api(client: Client) -> AsyncIterator[AnswerStreams]:
    async with streams_of(client) as streams:
        yield streams


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[AnswerStreams]:
    async with streams_of(client) as streams:
        yield streams


@pytest.fixture
async def proxy(private_server: StoreServer) -> AsyncIterator[Proxy]:
    async with proxy_to(tcp("127.0.0.1", private_server.port)) as proxy:
        yield proxy


@pytest.fixture
async def straight(private_server: StoreServer) -> AsyncIterator[Redis]:
    async for client in client_of(private_server.port):
        yield client


@pytest.fixture
async def through_proxy(proxy: Proxy) -> AsyncIterator[Redis]:
    async for client in client_of(proxy.port):
        yield client


async def client_of(port: int) -> AsyncIterator[Redis]:
    client = connect(f"redis://127.0.0.1:{port}/0")
    assert isinstance(client, Redis)
    yield client
    await client.aclose()


async def is_listened_to(client: Redis, *, is_so: bool = True) -> None:
    async def look() -> bool:
        [(_, listeners)] = await client.pubsub_numsub(answer_pieces(JOB))
        return (listeners > 0) is is_so

    await eventually(look)


async def all_of(reader: AnswerReader) -> list[bytes]:
    async with asyncio.timeout(_GENEROUSLY_S):
        return [piece async for piece in reader]


async def soon(work: Awaitable[object]) -> None:
    async with asyncio.timeout(_GENEROUSLY_S):
        await work


async def broken(reader: AnswerReader) -> list[bytes]:
    """Read until it breaks; give what came before."""
    seen: list[bytes] = []

    async def read() -> None:
        async for piece in reader:
            seen.append(piece)  # noqa: PERF401 - the exception would take a comprehension's list along

    with pytest.raises(StreamBroken):
        await soon(read())
    return seen


async def test_the_pieces_come_whole_in_order_and_end(api: AnswerStreams, worker: AnswerStreams) -> None:
    pieces = [f'{{"n": {n}, "ü": " "}}'.encode() for n in range(500)]
    async with api.reader(JOB) as reader, worker.writer(JOB) as writer:
        reading = asyncio.create_task(all_of(reader))
        for piece in pieces:
            await writer.send(piece)
        await writer.close()
        assert await reading == pieces


async def test_an_answer_without_pieces_ends_as_well(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with api.reader(JOB) as reader:
        async with worker.writer(JOB) as writer:
            await writer.close()
        assert await all_of(reader) == []


async def test_a_piece_comes_while_the_next_is_made(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with api.reader(JOB) as reader, worker.writer(JOB) as writer:
        pieces = aiter(reader)
        for piece in (b"1", b"2"):
            await writer.send(piece)
            async with asyncio.timeout(_GENEROUSLY_S):
                assert await anext(pieces) == piece


async def test_a_reader_that_stops_holds_the_writer_at_the_window_and_loses_nothing(
    api: AnswerStreams, worker: AnswerStreams
) -> None:
    sent = 0

    async def write() -> None:
        nonlocal sent
        async with worker.writer(JOB) as writer:
            for _ in range(100):
                await writer.send(b"x" * 100)
                sent += 1
            await writer.close()

    async with api.reader(JOB) as reader:
        writing = asyncio.create_task(write())
        pieces = aiter(reader)
        await soon(anext(pieces))
        await asyncio.wait([writing], timeout=QUICK.look_s * (QUICK.with_readers + 3))
        assert 10 <= sent <= 12  # of 100 bytes each; as long as the reader is there, it may be slow
        async with asyncio.timeout(_GENEROUSLY_S):
            assert len([piece async for piece in pieces]) == 99
        await writing


async def test_nobody_waits_for_ever_for_a_client_that_stopped_reading(client: Client, worker: AnswerStreams) -> None:
    impatient = replace(QUICK, with_clients=3)
    async with streams_of(client, impatient) as api, api.reader(JOB) as reader, worker.writer(JOB) as writer:
        pieces = aiter(reader)
        await writer.send(b"first")
        await soon(anext(pieces))
        for _ in range(100):
            await soon(writer.send(b"x" * 100))
        assert 8 <= len(await broken(reader)) <= 12  # what was granted; no gap, and no end


async def test_a_client_that_takes_a_piece_now_and_then_holds_the_writer_up_for_so_long_and_no_longer(
    client: Client, api: AnswerStreams
) -> None:
    async def write(worker: AnswerStreams) -> None:
        async with worker.writer(JOB) as writer:
            for _ in range(60):
                await writer.send(b"x" * 500)
            await writer.close()

    async def read(reader: AnswerReader, writing: asyncio.Task[None]) -> None:
        async for _ in reader:
            await asyncio.wait([writing], timeout=QUICK.look_s * 2)

    impatient = replace(QUICK, with_slow_clients=5)
    async with streams_of(client, impatient) as worker, api.reader(JOB) as reader:
        writing = asyncio.create_task(write(worker))
        with pytest.raises(StreamBroken):
            await soon(read(reader, writing))
        await soon(writing)


async def test_nobody_waits_for_a_reader_that_never_was(worker: AnswerStreams) -> None:
    async with worker.writer(JOB) as writer:
        for _ in range(100):
            await soon(writer.send(b"x" * 100))


async def test_nobody_waits_for_a_reader_that_went_away(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with worker.writer(JOB) as writer:
        async with api.reader(JOB) as reader:
            await writer.send(b"first")
            await soon(anext(aiter(reader)))
        for _ in range(100):
            await soon(writer.send(b"x" * 100))


async def test_nobody_waits_for_a_reader_whose_process_died(client: Client, worker: AnswerStreams) -> None:
    async with streams_of(client, UNHURRIED) as frozen, frozen.reader(JOB), worker.writer(JOB) as writer:
        for _ in range(100):
            await soon(writer.send(b"x" * 100))


async def test_a_writer_that_leaves_in_the_middle_breaks_the_stream(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with api.reader(JOB) as reader:
        async with worker.writer(JOB) as writer:
            await writer.send(b"half")
        assert await broken(reader) == [b"half"]


async def test_a_writer_whose_process_died_breaks_the_stream(client: Client, api: AnswerStreams) -> None:
    async with api.reader(JOB) as reader, streams_of(client, UNHURRIED) as frozen, frozen.writer(JOB) as writer:
        await writer.send(b"half")
        assert await broken(reader) == [b"half"]


async def test_a_writer_that_thinks_for_long_is_not_taken_for_gone(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with api.reader(JOB) as reader, worker.writer(JOB) as writer:
        await writer.send(b"Let me think.")
        pieces = aiter(reader)
        await soon(anext(pieces))
        following = asyncio.ensure_future(anext(pieces))
        await asyncio.wait([following], timeout=QUICK.look_s * (QUICK.with_writers + 3))
        await writer.send(b"Yes.")
        async with asyncio.timeout(_GENEROUSLY_S):
            assert await following == b"Yes."


async def test_an_attempt_that_failed_before_its_first_piece_leaves_no_trace(
    api: AnswerStreams, worker: AnswerStreams
) -> None:
    async with api.reader(JOB) as reader:
        async with worker.writer(JOB):
            pass
        async with worker.writer(JOB) as writer:
            await writer.send(b"whole")
            await writer.close()
        assert await all_of(reader) == [b"whole"]


async def test_a_second_writer_is_not_read_as_the_rest_of_the_first(
    client: Client, api: AnswerStreams, worker: AnswerStreams
) -> None:
    async with api.reader(JOB) as reader, streams_of(client, UNHURRIED) as frozen, frozen.writer(JOB) as first:
        await first.send(b"first half")
        pieces = aiter(reader)
        await soon(anext(pieces))
        async with worker.writer(JOB) as second:
            for _ in range(100):
                await soon(second.send(b"x" * 100))
            await second.close()
        assert await broken(reader) == []


async def test_a_reader_that_comes_late_is_not_shown_the_rest(api: AnswerStreams, worker: AnswerStreams) -> None:
    async with api.reader(JOB) as reader, worker.writer(JOB) as writer:
        await writer.send(b"1")
        await soon(anext(aiter(reader)))
        async with api.reader(JOB) as late:
            await writer.send(b"2")
            assert await broken(late) == []


async def test_a_thousand_streams_at_once(client: Client) -> None:
    async def one(api: AnswerStreams, worker: AnswerStreams, number: int) -> None:
        pieces = [f"{number}/{n}".encode() for n in range(20)]
        async with api.reader(f"job_{number}") as reader, worker.writer(f"job_{number}") as writer:
            reading = asyncio.create_task(all_of(reader))
            for piece in pieces:
                await writer.send(piece)
                await asyncio.sleep(0)
            await writer.close()
            assert await reading == pieces

    async with streams_of(client, USUAL) as api, streams_of(client, USUAL) as worker:
        await soon(asyncio.gather(*(one(api, worker, number) for number in range(1000))))


async def test_a_stream_outlives_a_lost_connection_that_lost_no_piece(
    straight: Redis, through_proxy: Redis, proxy: Proxy
) -> None:
    async with (
        streams_of(straight, USUAL) as worker,
        streams_of(through_proxy, USUAL) as api,
        api.reader(JOB) as reader,
        worker.writer(JOB) as writer,
    ):
        await writer.send(b"before")
        pieces = aiter(reader)
        await soon(anext(pieces))
        await proxy.go_away()
        await is_listened_to(straight, is_so=False)
        await proxy.listen()
        await is_listened_to(straight)
        await writer.send(b"after")
        async with asyncio.timeout(_GENEROUSLY_S):
            assert await anext(pieces) == b"after"


async def test_a_piece_lost_with_a_connection_breaks_the_stream_instead_of_leaving_a_gap(
    straight: Redis, through_proxy: Redis, proxy: Proxy
) -> None:
    async with (
        streams_of(straight, USUAL) as worker,
        streams_of(through_proxy, USUAL) as api,
        api.reader(JOB) as reader,
        worker.writer(JOB) as writer,
    ):
        await writer.send(b"before")
        pieces = aiter(reader)
        await soon(anext(pieces))
        await proxy.go_away()
        await is_listened_to(straight, is_so=False)
        await writer.send(b"lost")
        await proxy.listen()
        await is_listened_to(straight)
        for _ in range(100):
            await soon(writer.send(b"x" * 100))
        assert await broken(reader) == []


async def test_a_worker_that_loses_the_store_goes_on_without_its_reader(
    straight: Redis, through_proxy: Redis, proxy: Proxy
) -> None:
    async with (
        streams_of(straight) as api,
        api.reader(JOB) as reader,
        streams_of(through_proxy) as worker,
        worker.writer(JOB) as writer,
    ):
        await writer.send(b"before")
        await soon(anext(aiter(reader)))
        await proxy.go_away()
        for _ in range(100):
            await soon(writer.send(b"x" * 100))
        assert await broken(reader) == []


async def test_without_the_store_nobody_begins_to_read(through_proxy: Redis, proxy: Proxy) -> None:
    await proxy.go_away()
    async with streams_of(through_proxy) as api:
        with pytest.raises(StoreUnavailable):
            async with api.reader(JOB):
                pass
