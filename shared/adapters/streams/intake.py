"""One worker's mouth at one lane."""

import asyncio
import functools
import itertools
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.adapters.intake_buffer import IntakeBuffer
from shared.adapters.streams.connection import StreamsServer
from shared.adapters.streams.delivery import StreamsDelivery, delivery_of
from shared.adapters.streams.lane_reader import LaneReader
from shared.adapters.streams.liveness import Liveness
from shared.adapters.streams.message_format import RawEntry
from shared.adapters.streams.names import returned_stream
from shared.adapters.streams.settlement import EntryRef, Settlement
from shared.adapters.streams.topology import Topology
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.lanes import JobClass, QueueName
from shared.domain.turns import Turns
from shared.domain.work_queue import Allowed, Delivery, any_class


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
        self._queues = surroundings.topology.queues_of(lane)
        self._filling = set(self._queues)
        self._paused: set[JobClass] = set()
        self._buffer: IntakeBuffer[StreamsDelivery] = IntakeBuffer(self.classes, turns, surroundings.clock)
        self._in_hand: set[EntryRef] = set()
        self._changing = asyncio.Lock()
        self._returning: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._reader: LaneReader
        self._reading: EnduringTask | None = None
        self._begin()

    @property
    def classes(self) -> tuple[JobClass, ...]:
        """The lane's classes."""
        return tuple(queue.job_class for queue in self._queues)

    async def take(self, allowed: Allowed = any_class) -> Delivery:
        """Wait for the next message whose turn it is, of a class that is ``allowed``. Safe to cancel."""
        delivery = await self._buffer.take(allowed)
        if delivery.queue not in self._filling and self._free(delivery.queue) >= self._prefetch - self._low_water:
            self._filling.add(delivery.queue)
            self._reader.look_again()
        return delivery

    def reconsider(self) -> None:
        """Let ``take`` ask again what is allowed."""
        self._buffer.reconsider()

    def kept_waiting(self) -> Mapping[JobClass, float]:
        """Give the seconds since the oldest untaken message of each class was fetched."""
        return self._buffer.kept_waiting()

    async def pause(self, classes: Collection[JobClass] | None = None) -> None:
        """Stop consuming these classes; what was fetched of them and not taken goes back. Done even if cancelled."""
        await asyncio.shield(self._in_background(self._pause(self.classes if classes is None else classes)))

    async def resume(self, classes: Collection[JobClass] | None = None) -> None:
        """Consume these classes again; without effect once closed."""
        async with self._changing:
            if self._is_closed:
                return
            self._paused.difference_update(self.classes if classes is None else classes)
            if self._reading is None and not self._is_all_paused:
                self._begin()
            else:
                self._reader.look_again()

    async def close(self) -> None:
        """As ``pause``, for good."""
        self._is_closed = True
        await self.pause()

    def room(self) -> Mapping[QueueName, int]:
        """Give the queues to read now, and for how many entries of each there is room."""
        return {queue: self._free(queue) for queue in self._filling if queue.job_class not in self._paused}

    def receive(self, stream: str, queue: QueueName, entry: RawEntry) -> None:
        """Put an entry into the buffer."""
        delivery = delivery_of(entry, stream, queue, self._surroundings.settlement, self._in_hand.discard)
        self._in_hand.add(delivery.entry)
        if queue.job_class in self._paused:  # since it was asked for
            self._in_background(delivery.give_back())
            return
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
        self._reader = LaneReader(surroundings.server, self._consumer, self._queues, surroundings.clock)
        self._reading = EnduringTask(
            f"intake of {self._lane}",
            functools.partial(self._reader.run, self),
            surroundings.clock,
            surroundings.server.emit,
        )
        self._reading.start()

    def _free(self, queue: QueueName) -> int:
        return self._prefetch - self._buffer.count(queue.job_class)

    @property
    def _is_all_paused(self) -> bool:
        return self._paused.issuperset(self.classes)

    async def _pause(self, classes: Collection[JobClass]) -> None:
        async with self._changing:
            self._paused.update(classes)
            if not self._is_all_paused:
                self._reader.look_again()
            elif self._reading is not None:
                self._reader.stop()
                await self._reading.finished()
                self._reading = None
            await self._give_back_the_untaken(classes)

    async def _give_back_the_untaken(self, classes: Collection[JobClass]) -> None:
        untaken = self._buffer.drain(classes)
        self._filling.update(queue for queue in self._queues if queue.job_class in classes)
        for queue, deliveries in itertools.groupby(untaken, lambda delivery: delivery.queue):
            entries = [delivery.entry for delivery in deliveries]
            self._in_hand.difference_update(entries)
            await self._surroundings.settlement.give_back(entries, returned_stream(queue))

    def _on_given_up(self) -> None:
        # Others may have these by now; whatever is still ours goes back, so that nobody works on a stale one.
        self._in_background(self._give_back_the_untaken(self.classes))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)
        return task
