"""One worker's mouth at one lane."""

import asyncio
import contextlib
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity

from shared.adapters.intake_buffer import IntakeBuffer
from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import ConsumerChannel, RabbitMQDelivery
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Delivery

_PAUSE_S: Final = 0.2
_WATCH_S: Final = 5.0


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
        """Begin to consume. ``topology`` makes the queues again if the broker lost them."""
        self._lane = lane
        self._prefetch = prefetch
        self._connection = connection
        self._topology = topology
        self._clock = clock
        self._buffer: IntakeBuffer[RabbitMQDelivery] = IntakeBuffer(turns)
        self._present: ConsumerChannel | None = None
        self._earlier: list[ConsumerChannel] = []
        self._changing = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = asyncio.create_task(self._keep_consuming(), name=f"intake of {lane}")

    async def take(self) -> Delivery:
        """Wait for the next message whose turn it is. Safe to cancel."""
        while not (delivery := await self._buffer.take()).is_valid:
            pass
        return delivery

    async def pause(self) -> None:
        """Stop consuming; what was fetched and not taken goes back. Once begun it is done, even if cancelled."""
        self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def resume(self) -> None:
        """Consume again."""
        async with self._changing:
            if self._keeper is None:
                self._keeper = asyncio.create_task(self._keep_consuming(), name=f"intake of {self._lane}")

    async def close(self) -> None:
        """As ``pause``, for good."""
        await self.pause()

    def unsettled(self, queue: QueueName) -> int:
        """Count the messages of a queue that were delivered here and are not settled."""
        channels = [*self._earlier, *([self._present] if self._present else [])]
        return sum(channel.unsettled()[queue] for channel in channels)

    async def _keep_consuming(self) -> None:
        while True:
            try:
                channel = await self._consume()
            except BrokerUnavailable as error:
                await self._let_go()
                await self._recover_from(error)
            else:
                await _until_incomplete(channel)
                await self._let_go()

    async def _consume(self) -> ConsumerChannel:
        self._present = ConsumerChannel(await self._connection.channel(), self._connection)
        await self._present.consume(self._lane, self._prefetch, self._hand_over)
        return self._present

    def _hand_over(self, delivery: RabbitMQDelivery) -> None:
        self._buffer.put(delivery.queue.job_class, delivery)

    async def _recover_from(self, error: BrokerUnavailable) -> None:
        with contextlib.suppress(BrokerUnavailable):
            if isinstance(error.__cause__, ChannelNotFoundEntity) and self._topology.knows(self._lane):
                await self._topology.restore(self._topology.version)
        await self._clock.sleep(_PAUSE_S)

    async def _end(self) -> None:
        async with self._changing:
            if self._keeper is not None:
                self._keeper.cancel()
                await asyncio.wait([self._keeper])
                self._keeper = None
            await self._let_go()

    async def _let_go(self) -> None:
        unstarted = self._buffer.drain()
        channel, self._present = self._present, None
        if channel is not None:
            self._earlier.append(channel)
            await channel.stop()
        for delivery in [*unstarted, *self._buffer.drain()]:
            await delivery.give_back()
        self._earlier = [earlier for earlier in self._earlier if earlier.unsettled()]


async def _until_incomplete(channel: ConsumerChannel) -> None:
    while channel.complete and not channel.ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_S):
                await channel.ended.wait()
