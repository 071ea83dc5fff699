"""One channel that consumes the queues of a lane, and the deliveries that came over it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from shared.adapters.rabbitmq.broker_errors import lost_broker_is_unavailable
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.message_format import message_in
from shared.adapters.rabbitmq.names import queue_name, queues_of
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import QueueName
from shared.domain.work_queue import Message

_STOP_DEADLINE_S: Final = 5.0
_SETTLE_DEADLINE_S: Final = 5.0


class RabbitMQDelivery:
    """A message that came over a consumer channel; it can be settled only over that one."""

    def __init__(self, delivered: DeliveredMessage, queue: QueueName, origin: "ConsumerChannel") -> None:
        """``origin`` is where it is settled."""
        self.message: Message = message_in(delivered)
        self.queue = queue
        self.redelivered = bool(delivered.redelivered)
        self.tag = delivered.delivery_tag or 0
        self._origin = origin

    @property
    def is_valid(self) -> bool:
        """Whether it can still be settled; if not, the broker delivers the message again."""
        return self._origin.holds(self)

    async def ack(self) -> None:
        """Forget the message. Without effect if its channel is gone: then it is delivered again."""
        await self._origin.settle(self, Basic.Ack(delivery_tag=self.tag))

    async def give_back(self) -> None:
        """Put the message back into its queue. Without effect if its channel is gone: then it is there already."""
        await self._origin.settle(self, Basic.Nack(delivery_tag=self.tag, requeue=True))


class ConsumerChannel:
    """Consumes until ``stop``, or until ``ended`` says that the channel or one of its consumers is gone.

    Consuming again takes a new one: RabbitMQ 3.10 can fail a channel whose quorum-queue consumer is
    cancelled and registered again while deliveries are in flight.
    """

    def __init__(self, channel: AbstractChannel, connection: BrokerConnection) -> None:
        """Take over a channel without confirms, freshly opened on the connection."""
        self._channel = channel
        self._connection = connection
        self._tags: set[str] = set()
        self._unsettled: dict[int, QueueName] = {}
        self._stopped = False
        self._registering: asyncio.Task[None] | None = None
        self.ended = asyncio.Event()
        """Set once nothing more will come."""
        channel.closing.add_done_callback(lambda _: self._on_closed())

    @property
    def complete(self) -> bool:
        """Whether every consumer that was registered is still there."""
        present = self._channel.consumers.keys() if isinstance(self._channel, Channel) else self._tags
        return not self._channel.is_closed and self._tags <= present

    async def consume(self, lane: str, prefetch: int, hand_over: Callable[[RabbitMQDelivery], None]) -> None:
        """Register a consumer for each class of the lane, each with its own ``prefetch``.

        Raises:
            BrokerUnavailable: the channel was lost. A queue that does not exist is that too
                (cause: ``ChannelNotFoundEntity``).
        """
        # Cancelling a call of aiormq closes the channel, with what was taken from it; so a caller that is
        # cancelled leaves the registering to itself, and ``stop`` ends it.
        self._registering = asyncio.create_task(self._register(lane, prefetch, hand_over))
        await asyncio.shield(self._registering)

    async def stop(self) -> None:
        """Cancel the consumers; what arrives meanwhile goes back. What was handed over can still be settled."""
        self._stopped = True
        self.ended.set()
        with contextlib.suppress(BrokerUnavailable), lost_broker_is_unavailable():
            async with asyncio.timeout(_STOP_DEADLINE_S):
                if self._registering is not None:
                    await self._registering
                for tag in self._tags:
                    await self._channel.basic_cancel(tag)
        self._close_when_settled()

    async def settle(self, delivery: RabbitMQDelivery, verdict: Basic.Ack | Basic.Nack) -> None:
        """Tell the broker the verdict on a delivery, once; without effect if the channel is gone."""
        if self._unsettled.pop(delivery.tag, None) is None:
            return
        with contextlib.suppress(BrokerUnavailable), lost_broker_is_unavailable():
            try:
                async with asyncio.timeout(_SETTLE_DEADLINE_S):
                    await self._send(verdict)
            except TimeoutError:
                self._connection.discard(self._channel)
            except asyncio.CancelledError:
                self._unsettled[delivery.tag] = delivery.queue
                raise
        self._close_when_settled()

    def holds(self, delivery: RabbitMQDelivery) -> bool:
        """Whether the delivery can still be settled."""
        return delivery.tag in self._unsettled

    def unsettled(self) -> Counter[QueueName]:
        """Count the deliveries, by queue, that this process has and the broker waits for."""
        return Counter(self._unsettled.values())

    async def _register(self, lane: str, prefetch: int, hand_over: Callable[[RabbitMQDelivery], None]) -> None:
        with lost_broker_is_unavailable():
            self._channel.on_consumer_cancel_callbacks.add(lambda _: self.ended.set())
            await self._channel.basic_qos(prefetch_count=prefetch)
            for queue in queues_of(lane):
                if self._stopped:
                    return
                registered = await self._channel.basic_consume(
                    queue_name(queue), partial(self._on_delivery, queue, hand_over)
                )
                self._tags.add(str(registered.consumer_tag))

    async def _on_delivery(
        self, queue: QueueName, hand_over: Callable[[RabbitMQDelivery], None], delivered: DeliveredMessage
    ) -> None:
        # Closing a channel cancels its callbacks, so this one hands over and does nothing else.
        delivery = RabbitMQDelivery(delivered, queue, self)
        self._unsettled[delivery.tag] = queue
        if self._stopped:
            await delivery.give_back()
        elif not self._channel.is_closed:
            hand_over(delivery)

    async def _send(self, verdict: Basic.Ack | Basic.Nack) -> None:
        # Without waiting for the socket to drain, so that a cancelled settling has either been sent or not.
        if isinstance(verdict, Basic.Ack):
            await self._channel.basic_ack(verdict.delivery_tag, wait=False)
        else:
            await self._channel.basic_nack(verdict.delivery_tag, requeue=True, wait=False)

    def _on_closed(self) -> None:
        self._unsettled.clear()
        self.ended.set()

    def _close_when_settled(self) -> None:
        if self._stopped and not self._unsettled:
            self._connection.discard(self._channel)
