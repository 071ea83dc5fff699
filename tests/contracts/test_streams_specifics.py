"""What the streams keep beyond the common contract: everything here a broker would do by itself."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.adapters.streams.names import CONSUMERS, DEAD, DELAYED, GROUP, queue_stream, returned_stream
from shared.adapters.streams.publisher import Parcel, Publisher
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Event, ServerBack, ServerLost
from shared.domain.lanes import DEFAULT_WEIGHTS, DEFERRABLE_WINDOWS, JobClass, QueueName, overdue_queue
from shared.domain.work_queue import Message, QueueDepth
from tests.contracts.test_work_queue import SOON_S, numbered, publish_all, take, take_all, until_depth, until_fetched
from tests.contracts.transports import StreamsTransport, Transport, ignore
from tests.eventually import eventually
from tests.servers.proxy import Proxy
from tests.servers.valkey import PrivateValkey

STANDARD = QueueName("lane", JobClass("standard"))
OVERDUE = overdue_queue("lane")
DEFERRABLE = QueueName("lane", JobClass("deferrable.4h"))

_WORKER: Final = """
import asyncio, sys
from redis.asyncio import Redis
from shared.adapters.streams.work_queue import StreamsWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.lanes import DEFAULT_WEIGHTS

async def work():
    queue = StreamsWorkQueue(Redis.from_url(sys.argv[1]), SystemClock(), lambda event: None)
    await queue.open()
    intake = queue.intake("lane", DEFAULT_WEIGHTS, 4)
    delivery = await intake.take()
    print(delivery.message.job_id, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await delivery.ack()
    print("acknowledged", flush=True)
    await asyncio.Event().wait()

asyncio.run(work())
"""


@pytest.fixture
def transport(valkey_url: str) -> Transport:
    return StreamsTransport(valkey_url)


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
async def queue(client: Redis) -> AsyncIterator[StreamsWorkQueue]:
    async with opened(client) as queue:
        await queue.declare(["lane"])
        yield queue


@asynccontextmanager
async def opened(client: Redis) -> AsyncIterator[StreamsWorkQueue]:
    queue = StreamsWorkQueue(client, SystemClock(), ignore)
    await queue.open()
    yield queue
    await queue.close()


@asynccontextmanager
async def worker_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process, which has taken a message and will acknowledge it when it is given a line."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, url, stdin=pipe, stdout=pipe)
    try:
        assert (await next_line(process)).startswith("job_")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def server_ms(client: Redis) -> int:
    seconds, microseconds = await client.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


async def consumers_of(client: Redis, queue: QueueName) -> set[str]:
    streams = (queue_stream(queue), returned_stream(queue))
    return {str(facts["name"]) for stream in streams for facts in await client.xinfo_consumers(stream, GROUP)}


async def test_a_killed_process_gives_its_messages_to_another_and_is_forgotten(
    queue: StreamsWorkQueue, client: Redis, valkey_url: str
) -> None:
    await publish_all(queue, STANDARD, numbered(3))
    async with worker_process(valkey_url) as worker:
        await until_fetched(queue, STANDARD)
        dead = await consumers_of(client, STANDARD)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        intake = queue.intake("lane", DEFAULT_WEIGHTS, 10)
        deliveries = [await take(intake) for _ in range(3)]
    assert {delivery.message.job_id for delivery in deliveries} == {message.job_id for message in numbered(3)}
    assert all(delivery.redelivered for delivery in deliveries)

    async def is_forgotten() -> bool:
        registered = {str(name) for name in await client.zrange(CONSUMERS, 0, -1)}
        return not dead & (registered | await consumers_of(client, STANDARD))

    await eventually(is_forgotten)


async def test_a_paused_process_that_wakes_up_takes_nothing_from_the_new_owner(
    queue: StreamsWorkQueue, valkey_url: str
) -> None:
    await publish_all(queue, STANDARD, numbered(1))
    async with worker_process(valkey_url) as worker:
        worker.send_signal(signal.SIGSTOP)
        again = await take(queue.intake("lane", DEFAULT_WEIGHTS, 1))
        worker.send_signal(signal.SIGCONT)
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        assert await next_line(worker) == "acknowledged"
        assert again.redelivered
        assert await queue.depth(STANDARD) == QueueDepth(0, 1)
        await again.ack()
        assert await queue.depth(STANDARD) == QueueDepth(0, 0)


async def test_settling_twice_does_what_settling_once_did(queue: StreamsWorkQueue) -> None:
    await publish_all(queue, STANDARD, numbered(1))
    intake = queue.intake("lane", DEFAULT_WEIGHTS, 1)
    first = await take(intake)
    await first.give_back()
    second = await take(intake)
    await first.ack()
    await first.give_back()
    assert await queue.depth(STANDARD) == QueueDepth(0, 1)
    await second.ack()
    assert await queue.depth(STANDARD) == QueueDepth(0, 0)


async def test_a_consumer_that_never_said_it_lives_is_found_and_reaped(queue: StreamsWorkQueue, client: Redis) -> None:
    await publish_all(queue, STANDARD, numbered(1))
    await client.xreadgroup(GROUP, "a ghost", {queue_stream(STANDARD): ">"})
    async with opened(client) as another:  # it takes its census soon after it opened
        again = await take(another.intake("lane", DEFAULT_WEIGHTS, 1))
        assert again.redelivered
        await again.ack()


async def test_what_was_returned_is_delivered_before_what_waits(queue: StreamsWorkQueue) -> None:
    await publish_all(queue, STANDARD, numbered(5))
    first_intake = queue.intake("lane", DEFAULT_WEIGHTS, 1)
    first = await take(first_intake)
    await first_intake.close()
    await first.give_back()
    again = await take(queue.intake("lane", DEFAULT_WEIGHTS, 5))
    assert again.message == first.message


async def test_an_entry_whose_reply_was_lost_comes_again_to_the_same_intake(
    queue: StreamsWorkQueue, distant: StreamsWorkQueue, line: Proxy, client: Redis
) -> None:
    intake = distant.intake("lane", DEFAULT_WEIGHTS, 2)
    await queue.publish(STANDARD, Message(b"", "job_1"))
    held = await take(intake)

    async def waits_for_more() -> bool:
        return bool((await client.info("clients"))["blocked_clients"])

    await eventually(waits_for_more)
    line.freeze()
    await queue.publish(STANDARD, Message(b"", "job_2"))
    await until_depth(queue, STANDARD, QueueDepth(0, 2))
    await line.drop()
    line.thaw()
    lost = await take(intake)
    assert lost.message.job_id == "job_2"
    await lost.ack()
    await held.ack()
    await until_depth(queue, STANDARD, QueueDepth(0, 0))


@pytest.mark.hazard(5)
async def test_a_batch_whose_reply_was_lost_is_published_once(queue: StreamsWorkQueue) -> None:
    publisher: Publisher = queue._publisher
    parcels = [Parcel(queue_stream(STANDARD), message) for message in numbered(3)]
    answers = [await publisher._send(number, parcels) for number in (7, 7, 6)]
    assert answers == [[True] * 3] * 3
    assert await queue.depth(STANDARD) == QueueDepth(3, 0)


async def test_the_longest_delay_is_kept_to_the_millisecond(queue: StreamsWorkQueue, client: Redis) -> None:
    month_ms = 30 * 86_400_000
    before = await server_ms(client)
    await queue.publish(STANDARD, Message(b"", "job_1"), delay_s=month_ms / 1_000)
    assert await client.zcount(DELAYED, before + month_ms, await server_ms(client) + month_ms + 1) == 1


async def test_hundreds_of_delayed_messages_all_arrive_once(queue: StreamsWorkQueue, client: Redis) -> None:
    sent = numbered(300)
    await asyncio.gather(*(queue.publish(STANDARD, message, delay_s=0.3) for message in sent))
    async with opened(client):  # two of them promote
        await until_depth(queue, STANDARD, QueueDepth(len(sent), 0))
    assert await client.zcard(DELAYED) == 0


async def test_a_delayed_message_whose_queue_is_gone_becomes_a_dead_letter(
    queue: StreamsWorkQueue, client: Redis
) -> None:
    message = Message(b"body", "job_1", {"header": "value"})
    await queue.publish(STANDARD, message, delay_s=2.0)
    await client.delete(queue_stream(STANDARD))

    async def is_buried() -> bool:
        return bool(await queue.dead_letters(1))

    await eventually(is_buried)
    (letter,) = await queue.dead_letters(10)
    assert letter.message == message
    assert "gone" in letter.reason


async def test_lost_dead_letters_have_their_stream_made_again_by_the_next_burial(
    queue: StreamsWorkQueue, client: Redis
) -> None:
    await client.delete(DEAD)
    await queue.bury(Message(b"", "job_1"), "no hope")
    assert [letter.message.job_id for letter in await queue.dead_letters(10)] == ["job_1"]


async def test_deferrable_work_is_overdue_when_the_servers_clock_says_so(
    queue: StreamsWorkQueue, client: Redis
) -> None:
    patience_ms = next(window.patience_s for window in DEFERRABLE_WINDOWS if window.label == "4h") * 1_000
    now = await server_ms(client)
    stream, returned = queue_stream(DEFERRABLE), returned_stream(DEFERRABLE)
    overdue, fresh = round(now - patience_ms - 1_000), now - 1_000
    for age, where, job in ((overdue, stream, "job_overdue"), (fresh, stream, "job_fresh")):
        await client.xadd(where, {"b": b"", "j": job}, id=f"{age}-0")
    for arrival, job in ((fresh, "job_fresh_again"), (overdue, "job_overdue_again")):
        await client.xadd(returned, {"r": "1", "s": arrival, "b": b"", "j": job})
    await until_depth(queue, OVERDUE, QueueDepth(2, 0))
    assert await queue.depth(DEFERRABLE) == QueueDepth(2, 0)
    deliveries = await take_all(queue.intake("lane", DEFAULT_WEIGHTS, 10), 4)
    assert {delivery.message.job_id: delivery.queue for delivery in deliveries} == {
        "job_overdue": OVERDUE,
        "job_overdue_again": OVERDUE,
        "job_fresh": DEFERRABLE,
        "job_fresh_again": DEFERRABLE,
    }


async def test_deferrable_work_in_somebodys_hands_is_not_moved(queue: StreamsWorkQueue, client: Redis) -> None:
    await client.xadd(queue_stream(DEFERRABLE), {"b": b"", "j": "job_held"}, id="1-0")
    await client.xreadgroup(GROUP, "a ghost", {queue_stream(DEFERRABLE): ">"})
    await client.xadd(queue_stream(DEFERRABLE), {"b": b"", "j": "job_waiting"}, id="2-0")
    await until_depth(queue, OVERDUE, QueueDepth(1, 0))
    assert await queue.depth(DEFERRABLE) == QueueDepth(0, 1)


async def test_a_lost_server_and_its_return_are_announced_once(private_valkey: PrivateValkey) -> None:
    announced: list[Event] = []
    client = Redis.from_url(private_valkey.url)
    queue = StreamsWorkQueue(client, SystemClock(), announced.append)
    await queue.open()
    await queue.declare(["lane"])
    intake = queue.intake("lane", DEFAULT_WEIGHTS, 1)
    await private_valkey.kill()
    with pytest.raises(BrokerUnavailable):
        await queue.publish(STANDARD, Message(b"", "job_lost"))
    await private_valkey.start()

    async def works_again() -> bool:
        try:
            await queue.publish(STANDARD, Message(b"", "job_1"))
        except BrokerUnavailable:
            return False
        return True

    await eventually(works_again)
    await (await take(intake)).ack()
    await queue.close()
    await client.aclose()
    assert [type(event) for event in announced] == [ServerLost, ServerBack]


async def test_a_frozen_server_is_an_error_soon_and_work_goes_on_when_it_thaws(private_valkey: PrivateValkey) -> None:
    async with Redis.from_url(private_valkey.url) as client, opened(client) as queue:
        await queue.declare(["lane"])
        intake = queue.intake("lane", DEFAULT_WEIGHTS, 1)
        await queue.publish(STANDARD, Message(b"", "job_1"))
        held = await take(intake)
        private_valkey.freeze()
        for attempt in (queue.publish(STANDARD, Message(b"", "job_2")), queue.ping()):
            with pytest.raises(BrokerUnavailable):
                async with asyncio.timeout(SOON_S):
                    await attempt
        private_valkey.thaw()
        await held.ack()
        await queue.publish(STANDARD, Message(b"", "job_3"))
        came: set[str] = set()
        while "job_3" not in came:
            delivery = await take(intake)
            came.add(delivery.message.job_id)
            await delivery.ack()
        assert came <= {"job_2", "job_3"}
        await until_depth(queue, STANDARD, QueueDepth(0, 0))


@pytest.mark.parametrize("headers", ["no JSON", "[]", ""])
async def test_what_a_stranger_wrote_is_handed_over_and_blocks_nobody(
    client: Redis, queue: StreamsWorkQueue, headers: str
) -> None:
    intake = queue.intake(STANDARD.lane, DEFAULT_WEIGHTS, 10)
    await client.xadd(queue_stream(STANDARD), {"h": headers})
    await queue.publish(STANDARD, Message(b"ours", "job_1"))
    strange, ours = await take(intake), await take(intake)
    assert (strange.message, ours.message.body) == (Message(b"", ""), b"ours")
    await strange.ack()
    await ours.ack()
