"""One worker's mouth at one lane."""

import asyncio
import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.adapters.intake_buffer import IntakeBuffer
from shared.adapters.streams.connection import StreamsServer
from shared.adapters.streams.delivery import StreamsDelivery, delivery_of
from shared.adapters.streams.lane_reader import LaneReader
from shared.adapters.streams.liveness import Liveness
from shared.adapters.streams.message_format import RawEntry
from shared.adapters.streams.names import queues_of, returned_stream
from shared.adapters.streams.settlement import EntryRef, Settlement
from shared.adapters.streams.topology import Topology
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.lanes import QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Delivery


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all intakes of a process share."""

    server: StreamsServer
    topology: Topology
    settlement: Settlement
    liveness: Liveness
    clock: Clock


class StreamsIntake:
    """Fetches a lane's messages into a buffer, and goes on doing so over every loss.

    A queue is read until its part of the buffer is full, and then again once half of that was taken,
    so that a read brings several.
    """

    def __init__(self, lane: str, turns: Turns, prefetch: int, consumer: str, surroundings: Surroundings) -> None:
        """Begin to consume, under a name that nobody else has. ``prefetch``: most messages of a class in the buffer."""
        self._lane = lane
        self._consumer = consumer
        self._surroundings = surroundings
        self._prefetch = prefetch
        self._low_water = prefetch // 2
        self._filling = set(queues_of(lane))
        self._buffer: IntakeBuffer[StreamsDelivery] = IntakeBuffer(turns)
        self._in_hand: set[EntryRef] = set()
        self._changing = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._reader: LaneReader
        self._reading: EnduringTask | None = None
        self._begin()

    async def take(self) -> Delivery:
        """Wait for the next message whose turn it is. Safe to cancel."""
        delivery = await self._buffer.take()
        if delivery.queue not in self._filling and self._free(delivery.queue) >= self._prefetch - self._low_water:
            self._filling.add(delivery.queue)
            self._reader.look_again()
        return delivery

    async def pause(self) -> None:
        """Stop consuming; what was fetched and not taken goes back. Once begun it is done, even if cancelled."""
        self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def resume(self) -> None:
        """Consume again."""
        async with self._changing:
            if self._reading is None:
                self._begin()

    async def close(self) -> None:
        """As ``pause``, for good."""
        await self.pause()

    def room(self) -> Mapping[QueueName, int]:
        """Give the queues to read now, and for how many entries of each there is room."""
        return {queue: self._free(queue) for queue in self._filling}

    def receive(self, stream: str, queue: QueueName, entry: RawEntry) -> None:
        """Put an entry into the buffer."""
        delivery = delivery_of(entry, stream, queue, self._surroundings.settlement, self._in_hand.discard)
        self._in_hand.add(delivery.entry)
        self._buffer.put(queue.job_class, delivery)
        if self._free(queue) < 1:
            self._filling.discard(queue)

    def holds(self, entry: EntryRef) -> bool:
        """Whether the entry waits, is worked on, or is being settled here."""
        return entry in self._in_hand or self._surroundings.settlement.is_under_way(entry)

    async def prepare(self) -> None:
        """Be alive, and have the streams. Raises ``BrokerUnavailable``."""
        await self._surroundings.liveness.enter(self._consumer, self._on_given_up)
        await self._surroundings.topology.restore(self._lane)

    async def return_lost(self, queue: QueueName, entries: Sequence[EntryRef]) -> None:
        """Give back what never arrived."""
        await self._surroundings.settlement.give_back(entries, returned_stream(queue))

    def _begin(self) -> None:
        surroundings = self._surroundings
        self._reader = LaneReader(surroundings.server, self._consumer, self._lane, surroundings.clock)
        self._reading = EnduringTask(
            f"intake of {self._lane}",
            functools.partial(self._reader.run, self),
            surroundings.clock,
            surroundings.server.emit,
        )
        self._reading.start()

    def _free(self, queue: QueueName) -> int:
        return self._prefetch - self._buffer.count(queue.job_class)

    async def _end(self) -> None:
        async with self._changing:
            if self._reading is not None:
                self._reader.stop()
                await self._reading.finished()
                self._reading = None
            await self._give_back_the_untaken()

    async def _give_back_the_untaken(self) -> None:
        untaken = self._buffer.drain()
        self._filling = set(queues_of(self._lane))
        for queue, deliveries in itertools.groupby(untaken, lambda delivery: delivery.queue):
            entries = [delivery.entry for delivery in deliveries]
            self._in_hand.difference_update(entries)
            await self._surroundings.settlement.give_back(entries, returned_stream(queue))

    def _on_given_up(self) -> None:
        # Others may have these by now; whatever is still ours goes back, so that nobody works on a stale one.
        self._returning = asyncio.create_task(self._give_back_the_untaken())
