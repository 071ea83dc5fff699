"""Consuming one queue, over every loss."""

import asyncio
import contextlib
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import ConsumerChannel, HandOver
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import QueueName

_PAUSE_S: Final = 0.2
_WATCH_S: Final = 5.0


class QueueConsumer:
    """Keeps a consumer registered, on one channel after another, until it is told to stop."""

    def __init__(
        self,
        queue: QueueName,
        prefetch: int,
        hand_over: HandOver,
        connection: BrokerConnection,
        topology: Topology,
        clock: Clock,
    ) -> None:
        """``topology`` makes the queue again if the broker lost it."""
        self._queue = queue
        self._prefetch = prefetch
        self._hand_over = hand_over
        self._connection = connection
        self._topology = topology
        self._clock = clock
        self._channels: list[ConsumerChannel] = []
        self._keeper = EnduringTask(f"consumer of {queue}", self._keep_consuming, clock, connection.emit)

    @property
    def queue(self) -> QueueName:
        """What it consumes."""
        return self._queue

    @property
    def unsettled(self) -> int:
        """The number of deliveries that were handed over and are not settled; over earlier channels too."""
        return sum(channel.unsettled for channel in self._channels)

    def start(self) -> None:
        """Begin to consume; without effect if it has begun."""
        self._keeper.start()

    async def stop(self) -> None:
        """Stop consuming; what was handed over can still be settled."""
        await self._keeper.stop()
        await self._stop_channels()

    async def _keep_consuming(self) -> None:
        while True:
            await self._stop_channels()
            version = self._topology.version
            try:
                await self._until_lost(await self._consume(), version)
            except BrokerUnavailable as error:
                await self._recover_from(error, version)

    async def _consume(self) -> ConsumerChannel:
        channel = ConsumerChannel(await self._connection.channel(), self._connection, self._queue)
        self._channels.append(channel)
        await channel.consume(self._prefetch, self._hand_over)
        return channel

    async def _until_lost(self, channel: ConsumerChannel, version: int) -> None:
        # The broker says when it cancels a consumer; should that get lost, the look around finds it missing. Of a
        # consumer that was registered while its queue was being deleted nobody ever hears again: so it begins anew
        # when something had to be declared since.
        while channel.is_consuming and self._topology.version == version:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await channel.ended.wait()

    async def _recover_from(self, error: BrokerUnavailable, version: int) -> None:
        with contextlib.suppress(BrokerUnavailable):
            if isinstance(error.__cause__, ChannelNotFoundEntity) and self._topology.knows(self._queue.lane):
                await self._topology.restore(version)
        await self._clock.sleep(_PAUSE_S)

    async def _stop_channels(self) -> None:
        for channel in self._channels:
            if not channel.is_stopped:
                await channel.stop()
        self._channels = [channel for channel in self._channels if channel.unsettled]
