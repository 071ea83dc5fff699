"""A mailbox is a queue like every other, under its own name; another process may have it at the same time."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest

from shared.adapters.redis.connection import connect
from shared.domain.clock import SystemClock
from shared.domain.lanes import DEFAULT_WEIGHTS, MAIL, Mailbox
from shared.domain.work_queue import Message, QueueDepth, WorkQueue
from tests.contracts.test_work_queue import take, take_all, until_depth
from tests.contracts.transports import RestartableRabbitMQBroker, RestartableValkeyBroker, Transport
from tests.servers.rabbitmq import RestartableRabbitMQ
from tests.servers.valkey import PrivateValkey

WEBHOOKS = Mailbox.WEBHOOKS.queue


@pytest.fixture(params=["rabbitmq", "streams"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """On servers of our own: the mailboxes of shared ones are everybody's."""
    if request.param == "rabbitmq":
        return RestartableRabbitMQBroker(request.getfixturevalue("restartable_rabbitmq")).transport
    return RestartableValkeyBroker(request.getfixturevalue("private_valkey")).transport


@pytest.fixture
async def queue(transport: Transport) -> AsyncIterator[WorkQueue]:
    """An open work queue; the mailbox is declared, and empty again afterwards."""
    async with transport.connected() as queue:
        await queue.declare([Mailbox.WEBHOOKS.value])
        yield queue
        left = await queue.depth(WEBHOOKS)
        await take_all(queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 10), left.ready)


async def test_what_is_put_into_a_mailbox_arrives_as_it_was(queue: WorkQueue) -> None:
    message = Message(b"notice", "job_1", {"traceparent": "00-ab-cd-01"})
    await queue.publish(WEBHOOKS, message)
    await until_depth(queue, WEBHOOKS, QueueDepth(1, 0))
    intake = queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 10)
    assert intake.classes == (MAIL,)
    delivery = await take(intake)
    assert (delivery.message, delivery.queue, delivery.redelivered) == (message, WEBHOOKS, False)
    await until_depth(queue, WEBHOOKS, QueueDepth(0, 1))
    await delivery.ack()
    await until_depth(queue, WEBHOOKS, QueueDepth(0, 0))


async def test_a_webhook_that_waits_for_its_next_attempt_comes_back_at_its_time(queue: WorkQueue) -> None:
    clock = SystemClock()
    intake = queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 10)
    began = clock.monotonic()
    await asyncio.gather(  # a broker that confirms late would let the delay run out meanwhile
        queue.publish(WEBHOOKS, Message(b"later", "job_1"), delay_s=1),
        queue.publish(WEBHOOKS, Message(b"now", "job_1")),
    )
    assert [delivery.message.body for delivery in await take_all(intake, 2)] == [b"now", b"later"]
    assert 1 <= clock.monotonic() - began < 10


async def test_what_is_given_back_to_a_mailbox_comes_again(queue: WorkQueue) -> None:
    intake = queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 1)
    await queue.publish(WEBHOOKS, Message(b"", "job_1"))
    await (await take(intake)).give_back()
    again = await take(intake)
    assert (again.message.job_id, again.redelivered) == ("job_1", True)
    await again.ack()


async def test_a_mailbox_whose_queue_was_deleted_on_rabbitmq_is_made_again(
    restartable_rabbitmq: RestartableRabbitMQ,
) -> None:
    async with RestartableRabbitMQBroker(restartable_rabbitmq).transport.connected() as queue:
        await queue.declare([Mailbox.WEBHOOKS.value])
        async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
            await channel.queue_delete("forebay.webhooks")
        await queue.publish(WEBHOOKS, Message(b"", "job_1"))
        async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
            found = await channel.declare_queue("forebay.webhooks", passive=True)
            assert found.declaration_result.message_count == 1
        await take_all(queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 10), 1)


async def test_a_mailbox_whose_stream_was_deleted_is_made_again(private_valkey: PrivateValkey) -> None:
    async with RestartableValkeyBroker(private_valkey).transport.connected() as queue:
        await queue.declare([Mailbox.WEBHOOKS.value])
        client = connect(private_valkey.url)
        assert await client.delete("forebay.webhooks") == 1
        await client.aclose()
        await queue.publish(WEBHOOKS, Message(b"", "job_1"))
        await take_all(queue.intake(Mailbox.WEBHOOKS.value, DEFAULT_WEIGHTS, 10), 1)
