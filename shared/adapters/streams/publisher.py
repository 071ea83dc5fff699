"""The only publish of this transport: durable, mandatory, and over within its deadline."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from shared.adapters.streams.batching import Batcher
from shared.adapters.streams.connection import Argument, StreamsServer
from shared.adapters.streams.message_format import words_of
from shared.adapters.streams.names import DEAD, DELAYED, queue_stream, receipt_key
from shared.adapters.streams.topology import Topology
from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable, Unroutable
from shared.domain.lanes import QueueName
from shared.domain.work_queue import PUBLISH_DEADLINE_S, Message

_RECEIPT_LIFETIME_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message and the stream it is for. ``reason`` and ``origin`` stand on dead letters alone."""

    stream: str
    message: Message
    delay_ms: int = 0
    reason: str = ""
    origin: QueueName | None = None


class Publisher:
    """Adds messages in batches. A batch whose reply was lost is sent again and still counts once.

    That a reply is a confirmation needs a server that syncs each write before it answers
    (``appendfsync always``). Otherwise the last second may be lost with the machine.
    """

    def __init__(
        self,
        server: StreamsServer,
        topology: Topology,
        instance: str,
        clock: Clock,
        on_delayed: Callable[[], None],
    ) -> None:
        """``instance``: a name no other publisher has; ``on_delayed`` is called after a delayed publish."""
        self._server = server
        self._topology = topology
        self._receipt = receipt_key(instance)
        self._on_delayed = on_delayed
        self._batcher: Batcher[Parcel, bool] = Batcher(
            self._send, lambda parcel: len(parcel.message.body), clock, server.emit
        )

    def open(self) -> None:
        """Begin to publish."""
        self._batcher.open()

    async def close(self) -> None:
        """Publish what waits, if the server is there; refuse the rest."""
        await self._batcher.close()

    async def publish(self, queue: QueueName, message: Message, delay_s: float) -> None:
        """Return when the server has the message. The delay is kept to the millisecond; see ``WorkQueue.publish``.

        If the stream of a lane declared here is gone, it is made again.
        """
        delay_ms = math.ceil(max(0.0, delay_s) * 1_000)
        parcel = Parcel(queue_stream(queue), message, delay_ms)
        async with _deadline():
            if not await self._batcher.submit(parcel):
                await self._topology.restore(queue.lane)
                await self._post(parcel)
        if delay_ms > 0:
            self._on_delayed()

    async def bury(self, message: Message, reason: str, queue: QueueName | None) -> None:
        """Put a message among the dead letters; see ``WorkQueue.bury``. If their stream is gone, it is made again."""
        parcel = Parcel(DEAD, message, reason=reason or "no reason given", origin=queue)
        async with _deadline():
            if not await self._batcher.submit(parcel):
                await self._topology.declare([])
                await self._post(parcel)

    async def _post(self, parcel: Parcel) -> None:
        if not await self._batcher.submit(parcel):
            raise Unroutable(f"There is no queue `{parcel.stream}`.")

    async def _send(self, number: int, parcels: Sequence[Parcel]) -> list[bool]:
        args: list[Argument] = [number, _RECEIPT_LIFETIME_MS]
        for parcel in parcels:
            args += [parcel.stream, parcel.delay_ms, *words_of(parcel.message, parcel.reason, parcel.origin)]
        answer: bytes = await self._server.run("publish", [self._receipt, DELAYED], args)
        return [taken == ord("1") for taken in answer]


@asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PUBLISH_DEADLINE_S):
            yield
    except TimeoutError:
        raise BrokerUnavailable(f"The server of the queues did not confirm within {PUBLISH_DEADLINE_S:g} s.") from None
