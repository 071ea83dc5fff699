"""One worker's mouth at one lane."""

import asyncio

from shared.adapters.intake_buffer import IntakeBuffer
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.names import queues_of
from shared.adapters.rabbitmq.queue_consumer import QueueConsumer
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.lanes import QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Delivery


class RabbitMQIntake:
    """Consumes a lane's queues into a buffer, and goes on doing so over every loss.

    ``prefetch`` bounds, per class, what was delivered and not settled: taken messages count too. So
    choose it at least as high as the number of messages worked on at once.
    """

    def __init__(
        self,
        lane: str,
        turns: Turns,
        prefetch: int,
        connection: BrokerConnection,
        topology: Topology,
        clock: Clock,
    ) -> None:
        """Begin to consume."""
        self._buffer: IntakeBuffer[RabbitMQDelivery] = IntakeBuffer(turns)
        self._consumers = [
            QueueConsumer(queue, prefetch, self._hand_over, connection, topology, clock) for queue in queues_of(lane)
        ]
        self._changing = asyncio.Lock()
        self._stopping: asyncio.Task[None] | None = None
        self._start()

    async def take(self) -> Delivery:
        """Wait for the next message whose turn it is. Safe to cancel."""
        # What came over a channel that was lost meanwhile is dropped: the broker delivers it again.
        while not (delivery := await self._buffer.take()).is_valid:
            pass
        return delivery

    async def pause(self) -> None:
        """Stop consuming; what was fetched and not taken goes back. Once begun it is done, even if cancelled."""
        self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def resume(self) -> None:
        """Consume again."""
        async with self._changing:
            self._start()

    async def close(self) -> None:
        """As ``pause``, for good."""
        await self.pause()

    def unsettled(self, queue: QueueName) -> int:
        """Count the messages of a queue that were delivered here and are not settled."""
        return sum(consumer.unsettled for consumer in self._consumers if consumer.queue == queue)

    def _start(self) -> None:
        for consumer in self._consumers:
            consumer.start()

    async def _stop(self) -> None:
        async with self._changing:
            await asyncio.gather(*(consumer.stop() for consumer in self._consumers))
            for delivery in self._buffer.drain():
                await delivery.give_back()

    def _hand_over(self, delivery: RabbitMQDelivery) -> None:
        self._buffer.put(delivery.queue.job_class, delivery)
