"""What is declared on the broker. Every declaration is idempotent and the same in all processes and versions.

Limits to know:

- A delayed message whose queue is deleted during its delay stays in its rung (nothing is lost), and
  the broker moves at most 32 such messages of a rung at once: delete a lane's queues only when no
  delayed message aims at them.
- The broker counts deliveries, ours that were given back among them. ``_DELIVERY_LIMIT`` is
  therefore far above what any job sees: attempts are counted by the workers, and this is the
  backstop against a message that spins. The arithmetic: a worker keeps what it fetched for 60 s
  (``workers.rests``), and asks the provider's limits for 5 s (``workers.quota_gate``), before it gives
  a message back unstarted. So a message that is always in somebody's hands, and never started, is
  delivered at most every 5 s: 17,280 times a day, 115,000 times in the longest usual window. In a
  window of seconds it is kept for half the margin, a fortieth of the window, and so is delivered
  at most 38 times.
- The broker closes the channel of whoever keeps a message unacknowledged for 30 minutes
  (``consumer_timeout``). Ours keep it for 60 s untaken, for 10 minutes on the way to a limit
  (``workers.lane_runner``), and for as long as its calls take: deployments whose timeout is above a
  quarter of an hour want a longer ``consumer_timeout``.
- The queues of windows that are configured no more stay. What waits in them still moves to
  ``standard`` when its time comes; delete them when they are empty.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.abc import AbstractChannel
from pamqp.common import FieldTable

from shared.adapters.rabbitmq.connection import BrokerConnection
from shared.adapters.rabbitmq.names import (
    DEAD,
    HOPS,
    REQUESTS,
    RUNGS,
    SUBMIT,
    delay_name,
    queue_name,
    queues_of,
    routing_key,
)
from shared.domain.errors import BrokerUnavailable, ConfigurationError, Unroutable
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow, QueueName, overdue_queue
from shared.domain.work_queue import PUBLISH_DEADLINE_S

_DELIVERY_LIMIT: Final = 1_000_000
_DECLARE_DEADLINE_S: Final = 30.0
"""Seconds for one lane; a new quorum queue takes a busy broker some 20 ms."""

_QUORUM: Final[FieldTable] = {"x-queue-type": "quorum", "x-delivery-limit": _DELIVERY_LIMIT}
_AT_LEAST_ONCE: Final[FieldTable] = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
_INTO_THE_DEAD_LETTERS: Final[FieldTable] = {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    **_AT_LEAST_ONCE,
}


class Topology:
    """The exchanges and queues, and which lanes this process has declared."""

    def __init__(self, connection: BrokerConnection, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> None:
        """Declare over this connection; ``windows``: of deferrable work, the shortest first."""
        self._connection = connection
        self._windows = tuple(windows)
        self._lanes: set[str] = set()
        self._found: set[QueueName] = set()
        self._declaring = asyncio.Lock()
        self._version = 0

    @property
    def version(self) -> int:
        """How often something was declared; see ``restore``."""
        return self._version

    def queues_of(self, lane: str) -> tuple[QueueName, ...]:
        """Give every queue of a lane."""
        return queues_of(lane, self._windows)

    def knows(self, lane: str) -> bool:
        """Whether this process declared the lane; what all lanes have in common belongs to every one."""
        return lane in self._lanes or lane == HOPS.lane or (lane == SUBMIT and self._version > 0)

    async def declare(self, lanes: Iterable[str]) -> None:
        """Make what is missing: the exchanges, the ladder, the dead letters, the door and the lanes' queues.

        Raises:
            BrokerUnavailable: the broker cannot be reached in time.
            ConfigurationError: a name cannot be a queue's, or the broker has such a queue with other arguments.
        """
        new = tuple(lanes)
        for lane in new:
            for queue in self.queues_of(lane):
                queue_name(queue)
        async with self._declaring:
            await self._declare(new)
            self._lanes.update(new)
            self._version += 1

    async def find(self, queue: QueueName) -> None:
        """Return if the queue exists, as far as this process knows; ask the broker the first time.

        Raises:
            Unroutable: it does not.
            BrokerUnavailable: the broker does not answer.
        """
        if queue.lane in self._lanes or queue in self._found:
            return
        try:
            async with self._connection.errand(PUBLISH_DEADLINE_S) as channel:
                await channel.queue_declare(queue_name(queue), passive=True)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                raise Unroutable(f"There is no queue `{queue_name(queue)}`.") from error
            raise
        self._found.add(queue)

    async def restore(self, version: int) -> None:
        """Make again whatever was declared, unless that happened after ``version`` was read. Raises as ``declare``."""
        async with self._declaring:
            if self._version == version:
                await self._declare(tuple(self._lanes))
                self._version += 1

    async def _declare(self, lanes: tuple[str, ...]) -> None:
        try:
            await self._connection.ping()
            async with self._connection.errand(_DECLARE_DEADLINE_S) as channel:
                await _declare_common(channel)
            for lane in lanes:
                async with self._connection.errand(_DECLARE_DEADLINE_S) as channel:
                    await _declare_queues(channel, self.queues_of(lane))
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, ChannelPreconditionFailed):
                found = str(error.__cause__)
                raise ConfigurationError(
                    "the broker's queues", found, "queues as this version declares them"
                ) from error
            raise


async def _declare_common(channel: AbstractChannel) -> None:
    await channel.exchange_declare(REQUESTS, exchange_type="topic", durable=True)
    await _declare_queue(channel, DEAD, {})
    await _declare_queues(channel, [HOPS])
    await channel.exchange_declare(SUBMIT, exchange_type="fanout", durable=True)
    await _declare_queue(channel, SUBMIT, _INTO_THE_DEAD_LETTERS)
    await channel.queue_bind(SUBMIT, SUBMIT)
    for seconds in RUNGS:
        name = delay_name(seconds)
        await channel.exchange_declare(name, exchange_type="fanout", durable=True)
        waiting: FieldTable = {"x-message-ttl": seconds * 1_000, "x-dead-letter-exchange": REQUESTS, **_AT_LEAST_ONCE}
        await _declare_queue(channel, name, waiting)
        await channel.queue_bind(name, name)


async def _declare_queues(channel: AbstractChannel, queues: Iterable[QueueName]) -> None:
    for queue in queues:
        await _declare_queue(channel, queue_name(queue), _arguments(queue))
        await channel.queue_bind(queue_name(queue), REQUESTS, routing_key=routing_key(queue))


def _arguments(queue: QueueName) -> FieldTable:
    window = queue.job_class.window
    if window is None:
        return _INTO_THE_DEAD_LETTERS
    return {
        "x-message-ttl": int(window.patience_s * 1_000),
        "x-dead-letter-exchange": REQUESTS,
        "x-dead-letter-routing-key": routing_key(overdue_queue(queue.lane)),
        **_AT_LEAST_ONCE,
    }


async def _declare_queue(channel: AbstractChannel, name: str, arguments: FieldTable) -> None:
    await channel.queue_declare(name, durable=True, arguments={**_QUORUM, **arguments})
