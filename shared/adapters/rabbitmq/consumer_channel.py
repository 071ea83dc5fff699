"""One channel that consumes one queue, and the deliveries that came over it."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from shared.adapters.rabbitmq.broker_errors import lost_broker_is_unavailable
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.message_format import Onward, message_in, onward_in
from shared.adapters.rabbitmq.names import queue_name
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import QueueName
from shared.domain.work_queue import Message

_ANSWER_DEADLINE_S: Final = 5.0


class RabbitMQDelivery:
    """A message that came over a consumer channel; it can be settled only over that one."""

    def __init__(self, delivered: DeliveredMessage, queue: QueueName, origin: "ConsumerChannel") -> None:
        """``origin`` is where it is settled."""
        self.message: Message = message_in(delivered)
        self.onward: Onward | None = onward_in(delivered)
        self.queue = queue
        self.redelivered = bool(delivered.redelivered)
        self.tag = delivered.delivery_tag or 0
        self.properties = delivered.header.properties
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


HandOver = Callable[[RabbitMQDelivery], None]
"""Takes what arrived; it must not wait."""


class ConsumerChannel:
    """Consumes until ``stop``, or until ``ended`` says that the channel or its consumer is gone.

    Each queue has a channel of its own: RabbitMQ (3.10.8, just restarted) can leave a consumer's registration
    unanswered for a minute, and does nothing else for that channel meanwhile.

    Consuming again takes a new channel: RabbitMQ 3.10 can fail one whose quorum-queue consumer is
    cancelled and registered again while deliveries are in flight.
    """

    def __init__(self, channel: AbstractChannel, connection: BrokerConnection, queue: QueueName) -> None:
        """Take over a channel without confirms, freshly opened on the connection."""
        self._channel = channel
        self._connection = connection
        self._queue = queue
        self._tag: str | None = None
        self._unsettled: set[int] = set()
        self._stopped = False
        self.ended = asyncio.Event()
        """Set once nothing more will come."""
        channel.closing.add_done_callback(lambda _: self._on_closed())

    @property
    def is_consuming(self) -> bool:
        """Whether the consumer that was registered is still there."""
        present = self._tag in self._channel.consumers if isinstance(self._channel, Channel) else True
        return present and not self._channel.is_closed and not self.ended.is_set()

    @property
    def is_stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stopped

    @property
    def unsettled(self) -> int:
        """The number of deliveries that this process has and the broker waits for."""
        return len(self._unsettled)

    async def consume(self, prefetch: int, hand_over: HandOver) -> None:
        """Register a consumer. If it is cancelled meanwhile, the channel is lost.

        Raises:
            BrokerUnavailable: the channel was lost, or the broker did not answer in time. A queue that does
                not exist is that too (cause: ``ChannelNotFoundEntity``).
        """

        async def on_delivery(delivered: DeliveredMessage) -> None:
            # Closing a channel cancels its callbacks, so this one hands over and does nothing else.
            delivery = RabbitMQDelivery(delivered, self._queue, self)
            self._unsettled.add(delivery.tag)
            if self._stopped:
                await delivery.give_back()
            elif not self._channel.is_closed:
                hand_over(delivery)

        self._channel.on_consumer_cancel_callbacks.add(lambda _: self.ended.set())
        with lost_broker_is_unavailable():
            async with asyncio.timeout(_ANSWER_DEADLINE_S):
                await self._channel.basic_qos(prefetch_count=prefetch)
                registered = await self._channel.basic_consume(queue_name(self._queue), on_delivery)
                self._tag = registered.consumer_tag

    async def stop(self) -> None:
        """Cancel the consumer; what arrives meanwhile goes back. What was handed over can still be settled."""
        self._stopped = True
        self.ended.set()
        with contextlib.suppress(BrokerUnavailable), lost_broker_is_unavailable():
            if self._tag is not None and not self._channel.is_closed:
                async with asyncio.timeout(_ANSWER_DEADLINE_S):
                    await self._channel.basic_cancel(self._tag)
        self._close_when_settled()

    async def settle(self, delivery: RabbitMQDelivery, verdict: Basic.Ack | Basic.Nack) -> None:
        """Tell the broker the verdict on a delivery, once; without effect if the channel is gone."""
        if delivery.tag not in self._unsettled:
            return
        self._unsettled.discard(delivery.tag)
        with contextlib.suppress(BrokerUnavailable), lost_broker_is_unavailable():
            try:
                async with asyncio.timeout(_ANSWER_DEADLINE_S):
                    await self._send(verdict)
            except TimeoutError:
                self._connection.discard(self._channel)
            except asyncio.CancelledError:
                self._unsettled.add(delivery.tag)
                raise
        self._close_when_settled()

    def holds(self, delivery: RabbitMQDelivery) -> bool:
        """Whether the delivery can still be settled."""
        return delivery.tag in self._unsettled

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
