"""The door of other programs, on a real RabbitMQ: what arrives, what is sent back, and what neither of them survives."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import DeliveryError
from pamqp import encode
from pamqp.common import FieldTable

from shared.adapters.rabbitmq.door import RabbitMQDoor
from shared.adapters.rabbitmq.names import SUBMIT
from shared.adapters.rabbitmq.work_queue import RabbitMQWorkQueue
from shared.domain.clock import SystemClock
from shared.domain.door import Parcel, Reply
from shared.domain.errors import BrokerUnavailable, Unroutable
from tests.contracts.transports import RabbitMQTransport, ignore
from tests.eventually import eventually
from tests.servers.proxy import proxy_to
from tests.servers.rabbitmq import RestartableRabbitMQ, own_rabbitmq

NEWS = Reply(b'{"n":1}', "reply_1", "job", "c-1")


@asynccontextmanager
async def a_door(url: str) -> AsyncIterator[RabbitMQDoor]:
    """Lend a door, closed, as each process has one."""
    queue = RabbitMQWorkQueue(url, SystemClock(), ignore)
    await queue.open()
    door = RabbitMQDoor(url, queue.publishing, SystemClock(), ignore)
    try:
        yield door
    finally:
        await door.leave()
        await queue.close()


@asynccontextmanager
async def a_client(url: str) -> AsyncIterator[AbstractChannel]:
    """Lend a channel of another program."""
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel(on_return_raises=True)


@pytest.fixture
async def door(restartable_rabbitmq: RestartableRabbitMQ) -> AsyncIterator[RabbitMQDoor]:
    """An open door, on a broker of our own: there is only one queue of submissions on each."""
    async with a_door(restartable_rabbitmq.url) as door:
        await door.open()
        yield door


@pytest.fixture
async def client(restartable_rabbitmq: RestartableRabbitMQ, door: RabbitMQDoor) -> AsyncIterator[AbstractChannel]:
    """A channel of another program."""
    async with a_client(restartable_rabbitmq.url) as client:
        yield client


async def submit(client: AbstractChannel, body: bytes = b"{}", key: str = "", **properties: object) -> None:
    exchange = await client.get_exchange(SUBMIT, ensure=False)
    await exchange.publish(aio_pika.Message(body, **properties), key)  # type: ignore[arg-type]  # the tests name them


async def take(door: RabbitMQDoor) -> Parcel:
    async with asyncio.timeout(20):
        return await door.take()


async def take_and_forget(door: RabbitMQDoor) -> Parcel:
    parcel = await take(door)
    await parcel.ack()
    return parcel


async def a_reply_queue(client: AbstractChannel) -> AbstractQueue:
    return await client.declare_queue(f"forebay.reply.{uuid.uuid4().hex}", exclusive=True)


async def directly(client: AbstractChannel, door: RabbitMQDoor) -> tuple[str, "asyncio.Queue[AbstractIncomingMessage]"]:
    """Have a client listen for direct replies; give the name that the door sees, and what the client gets."""
    received: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    listening = await client.get_queue("amq.rabbitmq.reply-to", ensure=False)
    await listening.consume(received.put, no_ack=True)
    await submit(client, reply_to="amq.rabbitmq.reply-to")
    reply_to = (await take_and_forget(door)).reply_to
    assert reply_to is not None
    assert reply_to.startswith("amq.rabbitmq.reply-to.")
    return reply_to, received


async def test_a_submission_arrives_as_it_was_sent_whatever_its_routing_key(
    door: RabbitMQDoor, client: AbstractChannel
) -> None:
    headers = {"Authorization": "Bearer fb-x", "x-api-key": bytearray(b"fb-y"), "number": 7}
    await submit(client, b"\xff{", "any", message_id="m", reply_to="r", correlation_id="c", headers=headers)
    parcel = await take_and_forget(door)
    assert (parcel.body, parcel.message_id, parcel.reply_to, parcel.correlation_id) == (b"\xff{", "m", "r", "c")
    assert parcel.headers == {"authorization": "Bearer fb-x", "x-api-key": "fb-y"}
    assert parcel.fault is None


async def test_a_submission_that_is_given_back_arrives_again(door: RabbitMQDoor, client: AbstractChannel) -> None:
    await submit(client, message_id="m-back")
    await (await take(door)).give_back()
    assert (await take_and_forget(door)).message_id == "m-back"


@pytest.mark.hazard(4)
async def test_properties_that_cannot_be_read_cost_nobody_the_connection(
    door: RabbitMQDoor, client: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setitem(encode.METHODS, "shortstr", lambda text: encode.octet(len(text)) + text.encode("latin-1"))
        await submit(client, correlation_id="\xff\xfe")
    await submit(client, headers={"authorization": bytearray(b"\xff\xfe")})
    await submit(client, message_id="m-good")
    parcels = [await take_and_forget(door) for _ in range(3)]
    assert [parcel.fault for parcel in parcels] == [
        "The properties of the message cannot be read.",
        "The header `authorization` is no UTF-8 text.",
        None,
    ]
    assert (parcels[0].body, parcels[2].message_id) == (b"{}", "m-good")


async def test_submissions_go_on_after_a_cut_connection_and_what_was_in_hand_comes_again(
    restartable_rabbitmq: RestartableRabbitMQ, client: AbstractChannel, door: RabbitMQDoor
) -> None:
    await door.close()
    transport = RabbitMQTransport(restartable_rabbitmq.url)
    async with (
        proxy_to(transport.dial) as line,
        a_door(str(transport._through(line.port))) as distant,
    ):
        await distant.open()
        await submit(client, message_id="m-cut")
        in_hand = await take(distant)
        await line.drop()
        again = await take_and_forget(distant)
        await in_hand.ack()
    assert (in_hand.message_id, again.message_id) == ("m-cut", "m-cut")


async def test_submissions_outlive_a_broker_that_is_killed_and_go_on_after_their_queue_was_deleted() -> None:
    # A node of its own: RabbitMQ 3.10 loses a queue that was deleted and made again when it is killed soon after.
    with own_rabbitmq() as server:
        async with a_door(server.url) as door:
            await door.open()
            async with a_client(server.url) as client:
                await submit(client, message_id="m-restart", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await take(door)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert (await take_and_forget(door)).message_id == "m-restart"
            async with a_client(server.url) as client:
                await client.queue_delete(SUBMIT)
                await eventually(lambda: is_taken_by_a_queue(client))
                assert (await take_and_forget(door)).message_id == "m-again"


async def is_taken_by_a_queue(client: AbstractChannel) -> bool:
    try:
        await submit(client, message_id="m-again")
    except DeliveryError:
        return False
    return True


async def test_a_reply_is_in_its_queue_with_its_names(door: RabbitMQDoor, client: AbstractChannel) -> None:
    queue = await a_reply_queue(client)
    await door.reply(queue.name, NEWS)
    await door.reply(queue.name, Reply(b"{}", "rejected_1", "error", retry_after_s=2.2))
    news, refusal = [await queue.get(no_ack=True) for _ in range(2)]
    assert (news.body, news.message_id, news.correlation_id, news.type) == (NEWS.body, "reply_1", "c-1", "job")
    assert (news.headers, news.delivery_mode) == ({}, aio_pika.DeliveryMode.PERSISTENT)
    assert (refusal.type, refusal.correlation_id, refusal.headers) == ("error", None, {"retry-after": 3})


async def test_a_reply_without_a_queue_is_refused_each_time_by_itself(
    door: RabbitMQDoor, client: AbstractChannel
) -> None:
    queue = await a_reply_queue(client)
    absent = ["forebay.reply.nobody"] * 10
    sent = await asyncio.gather(
        *(door.reply(name, NEWS) for name in [*absent, queue.name, *absent]), return_exceptions=True
    )
    assert [type(outcome) for outcome in sent] == [*[Unroutable] * 10, type(None), *[Unroutable] * 10]
    assert (await queue.get(no_ack=True)).message_id == "reply_1"


async def test_a_reply_to_a_queue_that_is_full_is_refused(door: RabbitMQDoor, client: AbstractChannel) -> None:
    full: FieldTable = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = await client.declare_queue(f"forebay.reply.{uuid.uuid4().hex}", exclusive=True, arguments=full)
    await door.reply(queue.name, NEWS)
    with pytest.raises(Unroutable, match="takes no more"):
        await door.reply(queue.name, NEWS)
    await queue.get(no_ack=True)
    await door.reply(queue.name, NEWS)


async def test_a_direct_reply_reaches_its_client_and_is_refused_once_that_is_gone(
    door: RabbitMQDoor, restartable_rabbitmq: RestartableRabbitMQ, client: AbstractChannel
) -> None:
    async with await aio_pika.connect(restartable_rabbitmq.url) as connection, connection.channel() as channel:
        reply_to, received = await directly(channel, door)
        await door.reply(reply_to, NEWS)
        news = await asyncio.wait_for(received.get(), 10)
        assert (news.body, news.correlation_id, news.message_id) == (NEWS.body, "c-1", "reply_1")
    with pytest.raises(Unroutable):
        await door.reply(reply_to, NEWS)
    with pytest.raises(Unroutable):
        await door.reply("amq.rabbitmq.reply-to.nonsense", NEWS)


async def test_a_reply_to_a_broker_that_is_away_is_an_error_of_the_broker() -> None:
    queue = RabbitMQWorkQueue("amqp://127.0.0.1:1/", SystemClock(), ignore)
    door = RabbitMQDoor("amqp://127.0.0.1:1/", queue.publishing, SystemClock(), ignore)
    failures = await asyncio.gather(door.reply("forebay.reply.q", NEWS), door.open(), return_exceptions=True)
    assert [type(failure) for failure in failures] == [BrokerUnavailable] * 2
