"""One worker's mouth at one lane."""

import asyncio
from collections.abc import Collection, Mapping

from shared.adapters.intake_buffer import IntakeBuffer
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.queue_consumer import QueueConsumer
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.lanes import JobClass, QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Allowed, Delivery, any_class


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
        self._consumers = {
            queue.job_class: QueueConsumer(queue, prefetch, self._hand_over, connection, topology, clock)
            for queue in topology.queues_of(lane)
        }
        self._buffer: IntakeBuffer[RabbitMQDelivery] = IntakeBuffer(self.classes, turns, clock)
        self._changing = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._start(self.classes)

    @property
    def classes(self) -> tuple[JobClass, ...]:
        """The lane's classes."""
        return tuple(self._consumers)

    async def take(self, allowed: Allowed = any_class) -> Delivery:
        """Wait for the next message whose turn it is, of a class that is ``allowed``. Safe to cancel."""
        # What came over a channel that was lost meanwhile is dropped: the broker delivers it again.
        while not (delivery := await self._buffer.take(allowed)).is_valid:
            pass
        return delivery

    def reconsider(self) -> None:
        """Let ``take`` ask again what is allowed."""
        self._buffer.reconsider()

    def kept_waiting(self) -> Mapping[JobClass, float]:
        """Give the seconds since the oldest untaken message of each class was fetched."""
        return self._buffer.kept_waiting()

    async def pause(self, classes: Collection[JobClass] | None = None) -> None:
        """Stop consuming these classes; what was fetched of them and not taken goes back. Done even if cancelled."""
        stopping = asyncio.create_task(self._stop(self.classes if classes is None else classes))
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)
        await asyncio.shield(stopping)

    async def resume(self, classes: Collection[JobClass] | None = None) -> None:
        """Consume these classes again; without effect once closed."""
        async with self._changing:
            if not self._is_closed:
                self._start(self.classes if classes is None else classes)

    async def close(self) -> None:
        """As ``pause``, for good."""
        self._is_closed = True
        await self.pause()

    def unsettled(self, queue: QueueName) -> int:
        """Count the messages of a queue that were delivered here and are not settled."""
        return sum(consumer.unsettled for consumer in self._consumers.values() if consumer.queue == queue)

    def _start(self, classes: Collection[JobClass]) -> None:
        for job_class in classes:
            self._consumers[job_class].start()

    async def _stop(self, classes: Collection[JobClass]) -> None:
        async with self._changing:
            await asyncio.gather(*(self._consumers[job_class].stop() for job_class in classes))
            for delivery in self._buffer.drain(classes):
                await delivery.give_back()

    def _hand_over(self, delivery: RabbitMQDelivery) -> None:
        self._buffer.put(delivery.queue.job_class, delivery)
