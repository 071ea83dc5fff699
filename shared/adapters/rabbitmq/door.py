"""Submissions that come as messages, and the replies to them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp.commands import Queue

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.message_format import properties_of_reply
from shared.adapters.rabbitmq.names import SUBMIT
from shared.adapters.rabbitmq.parcel import RabbitMQParcel
from shared.adapters.rabbitmq.publisher import Publisher, Refused
from shared.adapters.rabbitmq.queue_consumer import QueueConsumer
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.door import Parcel, Reply, is_direct
from shared.domain.errors import BrokerUnavailable, Unroutable
from shared.domain.events import Emit
from shared.domain.lanes import MAIL, QueueName
from shared.domain.work_queue import PUBLISH_DEADLINE_S

PREFETCH: Final = 64
"""Submissions that this process has at a time, untaken or not acknowledged."""


class RabbitMQDoor:
    """Keeps ``shared.domain.door.Door``.

    Submissions have a connection of their own: what strangers send disturbs nothing else.
    """

    def __init__(self, url: str, publishing: BrokerConnection, clock: Clock, emit: Emit) -> None:
        """Reply over the connection ``publishing``, which its owner opens and closes."""
        self._consuming = BrokerConnection(url, "submissions", clock, emit)
        self._publishing = publishing
        self._topology = Topology(self._consuming)
        self._publisher = Publisher(publishing, clock)
        self._arrived: asyncio.Queue[RabbitMQDelivery] = asyncio.Queue()
        queue = QueueName(SUBMIT, MAIL)
        self._consumer = QueueConsumer(
            queue, PREFETCH, self._arrived.put_nowait, self._consuming, self._topology, clock
        )
        self._on_their_way: dict[str, asyncio.Event] = {}

    async def open(self) -> None:
        """Connect, make what is missing, and begin to consume."""
        await self._consuming.open()
        await self._topology.declare(())
        self._consumer.start()

    async def take(self) -> Parcel:
        """Wait for the next submission."""
        return RabbitMQParcel(await self._next())

    async def _next(self) -> RabbitMQDelivery:
        # What came over a channel that was lost meanwhile is dropped: the broker delivers it again.
        while not (delivery := await self._arrived.get()).is_valid:
            pass
        return delivery

    async def put_last(self, parcel: Parcel) -> None:
        """Publish it again: what is given back comes first."""
        assert isinstance(parcel, RabbitMQParcel)
        properties = parcel.properties_again
        async with self._alone(str(properties.message_id)), self._publisher.deadline():
            await self._publisher.send("", SUBMIT, parcel.body, properties)
        await parcel.ack()

    async def close(self) -> None:
        """Stop consuming; what was not taken goes back."""
        await self._consumer.stop()
        while not self._arrived.empty():
            await self._arrived.get_nowait().give_back()

    async def leave(self) -> None:
        """Disconnect; what was taken and not acknowledged is delivered again."""
        await self.close()
        await self._consuming.close()

    async def reply(self, queue: str, reply: Reply) -> None:
        """Publish a reply to the default exchange, confirmed and mandatory."""
        async with self._alone(reply.message_id), self._publisher.deadline():
            if is_direct(queue):
                await self._reply_directly(queue, reply)
            else:
                await self._send(queue, reply)

    async def _reply_directly(self, queue: str, reply: Reply) -> None:
        # The broker passes it on to the client, and returns it all the same: behind such a name there is no queue
        # (3.10 to 4.1). So it is asked first whether the client is there.
        await self._find_client(queue)
        with contextlib.suppress(Unroutable):
            await self._send(queue, reply)

    async def _send(self, queue: str, reply: Reply) -> None:
        try:
            await self._publisher.send("", queue, reply.body, properties_of_reply(reply))
        except Refused as error:
            # Somebody else's queue may be full for ever. To wait for it like for the broker would keep out all others.
            raise Unroutable(f"The queue `{queue}` takes no more.") from error

    async def _find_client(self, queue: str) -> None:
        try:
            async with self._publishing.errand(PUBLISH_DEADLINE_S) as channel:
                await channel.rpc(_AnyName(queue=queue, passive=True))  # type: ignore[attr-defined]  # a channel has it
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise Unroutable(f"The client behind `{queue}` is gone.") from error
            raise

    @contextlib.asynccontextmanager
    async def _alone(self, message_id: str) -> AsyncIterator[None]:
        """Wait until no other reply by that name is on its way."""
        while (earlier := self._on_their_way.get(message_id)) is not None:
            await earlier.wait()
        arrived = self._on_their_way[message_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._on_their_way[message_id]
            arrived.set()


class _AnyName(Queue.Declare):
    """A declaration of a queue by a name that the broker made: the library knows no ``=`` in names."""

    def validate(self) -> None:
        """Leave it to the broker."""
