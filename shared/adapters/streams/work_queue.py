"""The queues on streams of Valkey or Redis: the same promises as RabbitMQ's, without a broker.

Everything is on one server; a script may touch several streams. A Redis Cluster cannot serve it.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar

from redis.asyncio import Redis

from shared.adapters.streams.connection import StreamsServer
from shared.adapters.streams.intake import StreamsIntake, Surroundings
from shared.adapters.streams.liveness import Liveness
from shared.adapters.streams.message_format import RawEntry, dead_letter_in
from shared.adapters.streams.names import DEAD, GROUP, queue_stream, returned_stream
from shared.adapters.streams.publisher import Publisher
from shared.adapters.streams.settlement import Settlement
from shared.adapters.streams.topology import Topology
from shared.adapters.streams.upkeep import Upkeep
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable, NotFound
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

_T = TypeVar("_T")

_NAME_LENGTH: Final = 16
_LETTERS_AT_ONCE: Final = 100
"""Dead letters that a judge is shown together."""


class StreamsWorkQueue:
    """Keeps ``WorkQueue`` with streams, a consumer group on each, and scripts.

    Differences that remain: delays are kept to the millisecond instead of rounded up, and a message
    that is delivered again comes before those of its queue that nobody had yet.
    """

    def __init__(
        self, client: Redis, clock: Clock, emit: Emit, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS
    ) -> None:
        """Use the server of ``client``, over connections of its own. The server must sync each write (see Publisher).

        ``windows``: of deferrable work, the shortest first.
        """
        self._instance = uuid.uuid4().hex[:_NAME_LENGTH]
        self._clock = clock
        self._server = StreamsServer(client, emit)
        self._topology = Topology(self._server, windows)
        self._settlement = Settlement(self._server, clock)
        self._liveness = Liveness(self._server)
        self._upkeep = Upkeep(self._server, self._liveness, clock, windows)
        self._publisher = Publisher(self._server, self._topology, self._instance, clock, self._upkeep.look_again)
        self._intakes: list[StreamsIntake] = []

    async def open(self) -> None:
        """Connect. Raises ``BrokerUnavailable`` when the server cannot be reached in time."""
        await self.ping()
        self._publisher.open()
        self._settlement.open()
        self._upkeep.open()

    async def close(self) -> None:
        """Let go of everything. Messages taken and not acknowledged are delivered again at once."""
        for intake in self._intakes:
            await intake.close()
        await self._publisher.close()
        await self._settlement.close()
        await self._upkeep.close()
        await self._server.close()

    async def ping(self) -> None:
        """Return if the server answers; raise ``BrokerUnavailable`` within ``PUBLISH_DEADLINE_S`` if not."""
        await _in_time(self._server.call("PING"))

    async def declare(self, lanes: Sequence[str]) -> None:
        """Make the streams of these lanes and that of the dead letters, where they are missing."""
        await _in_time(self._topology.declare(lanes))

    async def publish(self, queue: QueueName, message: Message, delay_s: float = 0.0) -> None:
        """Put a message into a queue, durably; see ``WorkQueue.publish``."""
        await self._publisher.publish(queue, message, delay_s)

    async def bury(self, message: Message, reason: str, queue: QueueName | None = None) -> None:
        """Put a message into the dead-letter queue with the reason, durably. Raises as ``publish``."""
        await self._publisher.bury(message, reason, queue)

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Show up to ``limit`` dead letters; they stay where they are."""
        return [dead_letter_in(entry) for entry in await self._dead_entries(b"-", limit)]

    async def judge_dead_letters(self, judge: Judge, limit: int = MOST_DEAD_LETTERS) -> int:
        """Show dead letters to ``judge``, and delete those that may go."""
        seen, begin = 0, b"-"
        while entries := await self._dead_entries(begin, min(_LETTERS_AT_ONCE, limit - seen)):
            seen, begin = seen + len(entries), b"(" + entries[-1][0]
            verdicts = await judge([dead_letter_in(entry) for entry in entries])
            gone = [entry_id for (entry_id, _), may_go in zip(entries, verdicts, strict=True) if may_go]
            if gone:
                await _in_time(self._server.call("XDEL", DEAD, *gone))
        return seen

    async def depth(self, queue: QueueName) -> QueueDepth:
        """Count a queue's messages. Raises ``NotFound`` if there is no such queue."""
        streams = [queue_stream(queue), returned_stream(queue)]
        counts = await _in_time(self._server.run("depth", streams, [GROUP]))
        if counts is None:
            raise NotFound(f"There is no queue `{streams[0]}`.")
        return QueueDepth(ready=counts[0], unacknowledged=counts[1])

    def intake(self, lane: str, weights: Mapping[Priority, int], prefetch: int) -> Intake:
        """Begin to consume a lane; up to ``prefetch`` messages of each class wait in the buffer."""
        parts = Surroundings(self._server, self._topology, self._settlement, self._liveness, self._clock)
        consumer = f"{self._instance}.{len(self._intakes)}"
        intake = StreamsIntake(lane, Turns(weights), prefetch, consumer, parts)
        self._intakes.append(intake)
        return intake

    async def _dead_entries(self, begin: bytes, most: int) -> Sequence[RawEntry]:
        if most <= 0:
            return ()
        entries: Sequence[RawEntry] = await _in_time(self._server.run("dead_letters", [DEAD], [begin, most]))
        return entries


async def _in_time(call: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(PUBLISH_DEADLINE_S):
            return await call
    except TimeoutError:
        raise BrokerUnavailable(f"The server of the queues did not answer within {PUBLISH_DEADLINE_S:g} s.") from None
