"""The queues on RabbitMQ (3.10 and later, 4.x)."""

import asyncio
from collections.abc import Mapping, Sequence

from aio_pika.exceptions import ChannelNotFoundEntity

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.dead_letters import DeadLetterQueue
from shared.adapters.rabbitmq.delays import Delays
from shared.adapters.rabbitmq.intake import RabbitMQIntake
from shared.adapters.rabbitmq.message_format import marks_of_burial
from shared.adapters.rabbitmq.names import DEAD, REQUESTS, queue_name, routing_key
from shared.adapters.rabbitmq.publisher import Publisher
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable, NotFound, Unroutable
from shared.domain.events import Emit
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow, Priority, QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import (
    MOST_DEAD_LETTERS,
    PUBLISH_DEADLINE_S,
    DeadLetter,
    Intake,
    Judge,
    Message,
    QueueDepth,
)


class RabbitMQWorkQueue:
    """Keeps ``shared.domain.work_queue.WorkQueue``.

    Publishing and consuming have a connection each, because the broker stops reading from a
    connection that publishes while it is short of memory or disk.
    """

    def __init__(
        self, url: str, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> None:
        """``url``: ``amqp://`` or ``amqps://``, with the virtual host as its path. ``windows``: the shortest first."""
        self._clock = clock
        self._publishing = BrokerConnection(url, "publishing", clock, emit)
        self._consuming = BrokerConnection(url, "consuming", clock, emit)
        self._publisher = Publisher(self._publishing, clock)
        self._topology = Topology(self._consuming, windows)
        self._dead_letters = DeadLetterQueue(self._consuming)
        self._delays = Delays(self._publisher, self._consuming, self._topology, clock)
        self._intakes: list[RabbitMQIntake] = []

    async def open(self) -> None:
        """Connect. Raises ``BrokerUnavailable`` when the broker cannot be reached in time."""
        opened = await asyncio.gather(self._publishing.open(), self._consuming.open(), return_exceptions=True)
        failures = [failure for failure in opened if failure is not None]
        if failures:
            await self.close()
            raise failures[0]

    async def close(self) -> None:
        """Give back what was not taken, then disconnect; what was taken and not acknowledged is delivered again."""
        await asyncio.gather(*(intake.close() for intake in self._intakes), self._delays.close())
        await self._publishing.close()
        await self._consuming.close()

    @property
    def publishing(self) -> BrokerConnection:
        """The connection that publishes; for others of this process that do."""
        return self._publishing

    async def ping(self) -> None:
        """Return if the broker would take a publish; raise ``BrokerUnavailable`` within ``PUBLISH_DEADLINE_S``."""
        await self._publishing.ping()

    async def declare(self, lanes: Sequence[str]) -> None:
        """Make what is missing. Raises ``ConfigurationError`` for a lane whose name cannot be a queue's."""
        await self._topology.declare(lanes)

    async def publish(self, queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        """Put a message into a queue, durably; with ``delay_s`` not before that many seconds.

        If the queue of a lane declared here is gone, it is made again.
        """
        version = self._topology.version
        async with self._publisher.deadline():
            try:
                await self._publish(queue, message, delay_s)
            except Unroutable:
                if not self._topology.knows(queue.lane):
                    raise
                await self._topology.restore(version)
                await self._publish(queue, message, delay_s)

    async def bury(self, message: Message, reason: str, queue: QueueName | None = None) -> None:
        """Put a message into the dead-letter queue with the reason (its first 1,000 characters), durably.

        If that queue is gone, it is made again.
        """
        version = self._topology.version
        marks = marks_of_burial(reason, self._clock.now(), queue)
        async with self._publisher.deadline():
            try:
                await self._publisher.publish("", DEAD, message, marks)
            except Unroutable:
                await self._topology.restore(version)
                await self._publisher.publish("", DEAD, message, marks)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Show up to ``limit`` dead letters; they stay where they are."""
        return await self._dead_letters.oldest(limit)

    async def judge_dead_letters(self, judge: Judge, limit: int = MOST_DEAD_LETTERS) -> int:
        """Show dead letters to ``judge``, and remove those that may go."""
        return await self._dead_letters.judge(judge, limit)

    async def depth(self, queue: QueueName) -> QueueDepth:
        """Count a queue's messages.

        ``unacknowledged`` counts those delivered to this process alone: AMQP tells nobody of the others'.

        Raises:
            NotFound: there is no such queue.
        """
        try:
            async with self._consuming.errand(PUBLISH_DEADLINE_S) as channel:
                declared = await channel.queue_declare(queue_name(queue), passive=True)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise NotFound(f"There is no queue `{queue_name(queue)}`.") from error
            raise
        unacknowledged = sum(intake.unsettled(queue) for intake in self._intakes)
        return QueueDepth(ready=declared.message_count or 0, unacknowledged=unacknowledged)

    def intake(self, lane: str, weights: Mapping[Priority, int], prefetch: int) -> Intake:
        """Begin to consume a lane; up to ``prefetch`` messages of each class are held here, taken ones included.

        A process that consumes anything also sends on what waits longer than one rung of the ladder.
        """
        intake = RabbitMQIntake(lane, Turns(weights), prefetch, self._consuming, self._topology, self._clock)
        self._intakes.append(intake)
        self._delays.start()
        return intake

    async def _publish(self, queue: QueueName, message: Message, delay_s: float) -> None:
        if delay_s <= 0:
            await self._publisher.publish(REQUESTS, routing_key(queue), message)
        else:
            await self._topology.find(queue)
            await self._delays.send(routing_key(queue), message, delay_s)
