"""What only RabbitMQ does to its clients, and what the adapter does about it."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.names import (
    DEAD,
    HOPS,
    JOB_ID,
    LEFT,
    REQUESTS,
    delay_name,
    queue_name,
    queues_of,
    routing_key,
)
from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.errors import BrokerUnavailable, ConfigurationError, NotFound
from shared.domain.events import BackgroundTaskDied, Event
from shared.domain.lanes import DEFAULT_WEIGHTS, JobClass, QueueName, overdue_queue
from shared.domain.work_queue import DeadLetter, Message, QueueDepth, WorkQueue
from tests.contracts.test_work_queue import STANDARD, take, take_all, until_depth, until_fetched
from tests.contracts.transports import RabbitMQTransport, Transport, ignore
from tests.eventually import eventually
from tests.servers.rabbitmq import RestartableRabbitMQ

THAT_OF_THE_HOPS = 1
"""A channel: who consumes anything consumes the hops as well."""


@pytest.fixture
def transport(rabbitmq_url: str) -> Transport:
    return RabbitMQTransport(rabbitmq_url)


@pytest.fixture
async def channel(rabbitmq_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel of somebody else, with all rights."""
    async with await aio_pika.connect(rabbitmq_url) as connection, connection.channel() as channel:
        yield channel


async def test_a_queue_that_was_deleted_is_made_again_by_the_next_publish(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    await channel.queue_delete(queue_name(name))
    await queue.publish(name, Message(b"", "job_1"))
    assert (await queue.depth(name)).ready == 1


@pytest.mark.hazard(6)
async def test_a_lost_binding_is_made_again_by_the_next_publish(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    work = await channel.get_queue(queue_name(name), ensure=False)
    await work.unbind(REQUESTS, routing_key(name))
    await asyncio.gather(*(queue.publish(name, Message(b"", f"job_{number}")) for number in range(50)))
    assert (await queue.depth(name)).ready == 50


async def test_a_lost_rung_is_made_again_by_the_next_delayed_publish(
    restartable_rabbitmq: RestartableRabbitMQ, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    own = RabbitMQTransport(restartable_rabbitmq.url)  # the rungs of a shared one may be in use
    async with own.connected() as queue:
        await queue.declare([lane])
        async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
            await channel.queue_delete(delay_name(1))
            await channel.exchange_delete(delay_name(1))
        await asyncio.gather(
            queue.publish(name, Message(b"", "job_delayed"), delay_s=1),
            *(queue.publish(name, Message(b"", f"job_{number}")) for number in range(50)),
        )
        taken = await take_all(queue.intake(lane, DEFAULT_WEIGHTS, 10), 51)
        assert taken[-1].message.job_id == "job_delayed"
    await own.clean_up(lane)


async def test_a_lost_dead_letter_queue_is_made_again_by_the_next_burial(
    restartable_rabbitmq: RestartableRabbitMQ, lane: str
) -> None:
    own = RabbitMQTransport(restartable_rabbitmq.url)  # the dead letters of a shared one may be looked at
    async with own.connected() as queue:
        await queue.declare([lane])
        async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
            await channel.queue_delete(DEAD)
        buried = [Message(b"", f"job_{number}") for number in range(10)]
        await asyncio.gather(*(queue.bury(message, "no hope") for message in buried))
        assert len(await queue.dead_letters(20)) == len(buried)
    await own.clean_up(lane)


async def test_a_hop_waits_for_somebody_who_consumes(restartable_rabbitmq: RestartableRabbitMQ, lane: str) -> None:
    own = RabbitMQTransport(restartable_rabbitmq.url)  # others consume the hops of a shared one
    name = QueueName(lane, STANDARD)
    async with own.connected() as queue, own.connected() as worker:
        await queue.declare([lane])
        await queue.publish(name, Message(b"", "job_1"), delay_s=3)
        await until_depth(queue, HOPS, QueueDepth(1, 0))
        assert (await take_all(worker.intake(lane, DEFAULT_WEIGHTS, 10), 1))[0].message.job_id == "job_1"
        await until_depth(queue, HOPS, QueueDepth(0, 0))
    await own.clean_up(lane)


async def test_a_hop_that_finds_no_rung_has_it_made_again(restartable_rabbitmq: RestartableRabbitMQ, lane: str) -> None:
    own = RabbitMQTransport(restartable_rabbitmq.url)
    async with own.connected() as queue, own.connected() as worker:
        await queue.declare([lane])
        async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
            await queue.publish(QueueName(lane, STANDARD), Message(b"", "job_1"), delay_s=3)
            await channel.queue_delete(delay_name(1))
        assert (await take_all(worker.intake(lane, DEFAULT_WEIGHTS, 10), 1))[0].message.job_id == "job_1"
    await own.clean_up(lane)


async def test_a_hop_that_cannot_be_sent_on_goes_back_and_is_another_processes(
    restartable_rabbitmq: RestartableRabbitMQ, lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = RabbitMQTransport(restartable_rabbitmq.url)
    failures = 0

    async def fail(*_: object) -> None:
        nonlocal failures
        failures += 1
        raise BrokerUnavailable

    async with own.connected() as broken, own.connected() as worker:
        await broken.declare([lane])
        await broken.publish(QueueName(lane, STANDARD), Message(b"", "job_1"), delay_s=3)
        monkeypatch.setattr(broken._publisher, "publish", fail)  # type: ignore[attr-defined]  # this suite knows whose it is
        broken.intake(lane, DEFAULT_WEIGHTS, 10)

        async def has_failed() -> bool:
            return failures > 0

        await eventually(has_failed)
        await broken.close()
        assert (await take_all(worker.intake(lane, DEFAULT_WEIGHTS, 10), 1))[0].message.job_id == "job_1"
    await own.clean_up(lane)


async def test_what_a_stranger_put_among_the_hops_is_a_dead_letter(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    queue.intake(lane, DEFAULT_WEIGHTS, 10)
    strange = aio_pika.Message(b"?", headers={JOB_ID: f"job_1 of {lane}", LEFT: "soon"})
    await channel.default_exchange.publish(strange, queue_name(HOPS))

    async def ours() -> list[DeadLetter]:
        return [letter for letter in await queue.dead_letters(1_000) if letter.message.job_id.endswith(lane)]

    (letter,) = await eventually(ours)
    assert "forebay.hops" in letter.reason


async def test_a_consumer_that_the_broker_cancelled_comes_back(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    name = QueueName(lane, STANDARD)
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await queue.publish(name, Message(b"", "job_1"))
    await take_all(intake, 1)
    await channel.queue_delete(queue_name(name))
    await queue.publish(name, Message(b"", "job_2"))
    assert (await take_all(intake, 1))[0].message.job_id == "job_2"


async def test_deferrable_work_whose_window_is_over_stands_in_the_queue_of_overdue_work(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    deferred = QueueName(lane, JobClass("deferrable.7d"))
    requests = await channel.get_exchange(REQUESTS, ensure=False)
    overdue = aio_pika.Message(b"{}", headers={"forebay-job-id": "job_1"}, expiration=0.2)
    await requests.publish(overdue, routing_key(deferred))
    await until_depth(queue, overdue_queue(lane), QueueDepth(1, 0))
    delivery = await take(queue.intake(lane, DEFAULT_WEIGHTS, 10))
    assert delivery.queue == overdue_queue(lane)
    assert delivery.message == Message(b"{}", "job_1")
    await delivery.ack()


async def test_a_message_of_a_stranger_arrives_without_a_job_id(
    queue: WorkQueue, channel: AbstractChannel, lane: str
) -> None:
    requests = await channel.get_exchange(REQUESTS, ensure=False)
    await requests.publish(aio_pika.Message(b"?", headers={"number": 7}), routing_key(QueueName(lane, STANDARD)))
    delivery = await take(queue.intake(lane, DEFAULT_WEIGHTS, 10))
    assert delivery.message == Message(b"?", "", {"number": "7"})
    await delivery.ack()


async def test_what_the_broker_itself_gave_up_says_so(queue: WorkQueue, channel: AbstractChannel, lane: str) -> None:
    requests = await channel.get_exchange(REQUESTS, ensure=False)
    given_up = aio_pika.Message(b"{}", headers={"forebay-job-id": f"job_1 of {lane}"}, expiration=0.2)
    await requests.publish(given_up, routing_key(QueueName(lane, STANDARD)))

    async def ours() -> list[DeadLetter]:
        return [letter for letter in await queue.dead_letters(1_000) if letter.message.job_id.endswith(lane)]

    assert [letter.reason for letter in await eventually(ours)] == ["expired"]


async def test_a_queue_of_that_name_with_other_arguments_is_said_clearly(
    queue: WorkQueue, channel: AbstractChannel
) -> None:
    lane = f"test-{uuid.uuid4().hex}"
    foreign = await channel.declare_queue(queue_name(QueueName(lane, STANDARD)), durable=True)
    with pytest.raises(ConfigurationError, match=lane):
        await queue.declare([lane])
    await foreign.delete()


async def test_the_depth_of_a_queue_that_does_not_exist_is_an_error(queue: WorkQueue) -> None:
    with pytest.raises(NotFound):
        await queue.depth(QueueName("nobody-declared-this", STANDARD))


async def test_pausing_again_and_again_uses_the_same_channel_numbers(queue: WorkQueue, lane: str) -> None:
    intakes = [queue.intake(lane, DEFAULT_WEIGHTS, 1) for _ in range(2)]
    consumers = len(queues_of(lane))
    await until_channels(queue, 2 * consumers + THAT_OF_THE_HOPS)
    for number in range(12):
        await intakes[number % 2].pause()
        await until_channels(queue, consumers + THAT_OF_THE_HOPS)
        await intakes[number % 2].resume()
        await until_channels(queue, 2 * consumers + THAT_OF_THE_HOPS)
    assert open_channels(queue) == set(range(1, 2 * consumers + THAT_OF_THE_HOPS + 1))
    await queue.publish(QueueName(lane, STANDARD), Message(b"", "job_1"))
    await until_fetched(queue, QueueName(lane, STANDARD))


def open_channels(queue: WorkQueue) -> set[int]:
    """Give the numbers of the channels that consume, or that the broker has not confirmed to be closed."""
    consuming: BrokerConnection = queue._consuming  # type: ignore[attr-defined]  # this suite knows whose it is
    connection = consuming._current
    assert connection is not None
    assert connection.transport is not None
    return set(connection.transport.connection.channels) - {0}


async def until_channels(queue: WorkQueue, number: int) -> None:
    async def are_open() -> bool:
        return len(open_channels(queue)) == number

    await eventually(are_open)


async def test_a_consumer_whose_queue_cannot_be_made_again_says_so_and_comes_back(
    rabbitmq_url: str, channel: AbstractChannel, lane: str
) -> None:
    events = list[Event]()
    own, other = QueueName(lane, STANDARD), QueueName(f"{lane}-other", STANDARD)
    queue = RabbitMQWorkQueue(rabbitmq_url, SystemClock(), events.append)
    await queue.open()
    await queue.declare([own.lane, other.lane])
    intake = queue.intake(lane, DEFAULT_WEIGHTS, 10)
    await until_channels(queue, len(queues_of(lane)) + THAT_OF_THE_HOPS)
    await channel.queue_delete(queue_name(other))
    foreign = await channel.declare_queue(queue_name(other), durable=True)
    await channel.queue_delete(queue_name(own))

    async def said_so() -> bool:
        return BackgroundTaskDied(f"consumer of {own}", "ConfigurationError") in events

    await eventually(said_so)
    await foreign.delete()
    await queue.publish(own, Message(b"", "job_1"))
    assert (await take_all(intake, 1))[0].message.job_id == "job_1"
    await queue.close()
    for used in (own.lane, other.lane):
        await RabbitMQTransport(rabbitmq_url).clean_up(used)


async def test_a_fault_while_connecting_is_announced() -> None:
    events = list[Event]()
    no_host_name = "a" * 100
    connection = BrokerConnection(f"amqp://{no_host_name}/", "publishing", SystemClock(), events.append)
    with pytest.raises(BrokerUnavailable):
        await connection.open()
    assert {event.task for event in events if isinstance(event, BackgroundTaskDied)} == {"rabbitmq publishing"}
    assert len(asyncio.all_tasks()) == 1


async def test_a_connection_that_never_opened_leaves_nothing_behind() -> None:
    connection = BrokerConnection("amqp://127.0.0.1:1/", "publishing", SystemClock(), ignore)
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        await connection.open()
    assert len(asyncio.all_tasks()) == 1


async def test_a_dead_letter_is_not_worn_out_by_being_looked_at(queue: WorkQueue, lane: str) -> None:
    await queue.bury(Message(b"", f"job_1 of {lane}"), "why")
    for _ in range(30):  # RabbitMQ 4 drops a message after 20 deliveries, unless told otherwise
        letters = await queue.dead_letters(1_000)
    assert [letter.reason for letter in letters if letter.message.job_id.endswith(lane)] == ["why"]
