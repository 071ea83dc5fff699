"""Delays of any length, on queues with one fixed delay each.

A message goes by the longest rung of the ladder that is not longer than its delay. If a rest is left it arrives in
``forebay.hops``, and whoever consumes anything there sends it on for the rest, confirmed, before it acknowledges: a
crash in between may double it, and loses nothing. Hops have a queue of their own, because in the queue that the
message is for it would wait behind that one's backlog once for each rung. What is left is counted in seconds, so no
wall clock matters.

Limits to know: a delay ends up to a second late, because rungs are whole seconds. While no process consumes, hops wait.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Self

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.consumer_channel import RabbitMQDelivery
from shared.adapters.rabbitmq.message_format import marks_of_burial
from shared.adapters.rabbitmq.names import DEAD, HOPS, LEFT, QUEUE_KEY, RUNGS, delay_name, routing_key
from shared.adapters.rabbitmq.publisher import Publisher
from shared.adapters.rabbitmq.queue_consumer import QueueConsumer
from shared.adapters.rabbitmq.topology import Topology
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable, ConfigurationError, Unroutable
from shared.domain.work_queue import Message

_AT_ONCE: Final = 100
"""Hops that one process makes side by side: one sync of the broker's disk serves many."""

_AFTER_TROUBLE_S: Final = 0.5
"""Seconds that a hop is kept back after it could not be sent on."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of a delay: the rung to wait in, and the seconds that are left after it."""

    rung_s: int
    left_s: int

    @classmethod
    def of(cls, delay_s: float) -> Self:
        """Give the first leg of a delay; parts of a second are rounded up."""
        seconds = max(1, math.ceil(delay_s))
        rung = max(rung for rung in RUNGS if rung <= seconds)
        return cls(rung, seconds - rung)


class Delays:
    """Sends messages over the ladder, and sends on what arrives in between."""

    def __init__(self, publisher: Publisher, consuming: BrokerConnection, topology: Topology, clock: Clock) -> None:
        """``consuming``: where hops are consumed, once begun."""
        self._publisher = publisher
        self._topology = topology
        self._clock = clock
        self._consumer = QueueConsumer(HOPS, _AT_ONCE, self._hand_over, consuming, topology, clock)
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def consumer(self) -> QueueConsumer:
        """What consumes the hops."""
        return self._consumer

    def start(self) -> None:
        """Begin to consume the hops; without effect if it has begun."""
        self._consumer.start()

    async def close(self) -> None:
        """Stop consuming, and end the hops that were begun."""
        await self._consumer.stop()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def send(self, key: str, message: Message, delay_s: float) -> None:
        """Publish a message that is to be in the queue of this routing key after the delay. As ``Publisher.publish``."""
        leg = Leg.of(delay_s)
        if leg.left_s == 0:
            await self._publisher.publish(delay_name(leg.rung_s), key, message)
        else:
            marks = {QUEUE_KEY: key, LEFT: str(leg.left_s)}
            await self._publisher.publish(delay_name(leg.rung_s), routing_key(HOPS), message, marks)

    def _hand_over(self, delivery: RabbitMQDelivery) -> None:
        hop = asyncio.create_task(self._send_on(delivery))
        self._under_way.add(hop)
        hop.add_done_callback(self._under_way.discard)

    async def _send_on(self, delivery: RabbitMQDelivery) -> None:
        version = self._topology.version
        try:
            async with self._publisher.deadline():
                try:
                    await self._next_leg(delivery)
                except Unroutable:  # a rung is gone
                    await self._topology.restore(version)
                    await self._next_leg(delivery)
            await delivery.ack()
        except (BrokerUnavailable, ConfigurationError, Unroutable):
            await self._clock.sleep(_AFTER_TROUBLE_S)  # it goes back below, and comes again
        finally:
            await delivery.give_back()  # without effect once it is acknowledged

    async def _next_leg(self, delivery: RabbitMQDelivery) -> None:
        onward = delivery.onward
        if onward is None:
            reason = f"it came to `{HOPS.lane}` without saying how long it waits for which queue"
            marks = marks_of_burial(reason, self._clock.now(), None)
            await self._publisher.publish("", DEAD, delivery.message, marks)
        else:
            await self.send(onward.key, delivery.message, onward.left_s)
