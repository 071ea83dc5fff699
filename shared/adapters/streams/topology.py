"""What is declared on the server. Declaring is idempotent."""

from collections.abc import Iterable, Sequence

import orjson

from shared.adapters.streams.connection import Argument, StreamsServer
from shared.adapters.streams.names import (
    DEAD,
    GROUP,
    QUEUES,
    queue_stream,
    queues_of,
    returned_stream,
)
from shared.domain.lanes import DEFERRABLE_WINDOWS, DeferrableWindow, QueueName, overdue_queue


class Topology:
    """The streams, their groups, and which lanes this process has declared."""

    def __init__(self, server: StreamsServer, windows: Sequence[DeferrableWindow] = DEFERRABLE_WINDOWS) -> None:
        """Declare on this server; ``windows``: of deferrable work, the shortest first."""
        self._server = server
        self._windows = tuple(windows)
        self._lanes: set[str] = set()

    def queues_of(self, lane: str) -> tuple[QueueName, ...]:
        """Give every queue of a lane. Raises ``ConfigurationError`` if its name is empty or too long."""
        return queues_of(lane, self._windows)

    async def declare(self, lanes: Iterable[str]) -> None:
        """Make what is missing.

        Raises:
            BrokerUnavailable: the server cannot be reached.
            ConfigurationError: a lane's name is empty or too long.
        """
        wanted = set(lanes)
        args: list[Argument] = [GROUP]
        for queue in (queue for lane in sorted(wanted) for queue in self.queues_of(lane)):
            facts = _facts(queue)
            args += [queue_stream(queue), facts, returned_stream(queue), facts]
        await self._server.run("declare", [QUEUES, DEAD], args)
        self._lanes |= wanted

    async def restore(self, lane: str) -> None:
        """Make a lane's streams again, if this process declared it and the server lost them. Raises as ``declare``."""
        if lane in self._lanes:
            await self.declare([lane])


def _facts(queue: QueueName) -> bytes:
    facts: dict[str, str | int] = {"back": returned_stream(queue)}
    if (window := queue.job_class.window) is not None:
        facts |= {"patience_ms": round(window.patience_s * 1_000), "overdue": queue_stream(overdue_queue(queue.lane))}
    return orjson.dumps(facts)
