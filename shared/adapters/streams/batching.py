"""Many callers, one call at a time: what arrives while a call is under way goes with the next."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Emit

LARGEST_BATCH: Final = 256
"""Items of one call at most."""

LARGEST_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes after which a batch gets no further item."""

_RETRY_PAUSE_S: Final = 0.05
_FAREWELL_S: Final = 1.0

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Sends items in batches, in their order, and repeats a batch while somebody waits for it.

    A server that syncs its disk for each call syncs once for a batch, so the rate grows with the
    number of callers. A caller gives up by cancelling the future it got; then its item is not sent if
    it was not yet, and no longer repeated.
    """

    def __init__(
        self,
        send: Callable[[int, Sequence[Item]], Awaitable[Sequence[Answer]]],
        size: Callable[[Item], int],
        clock: Clock,
        emit: Emit,
    ) -> None:
        """Take what sends a batch, and what gives the bytes of an item.

        ``send`` gets the batch's number, which rises from batch to batch and is the same when one is
        repeated; it gives one answer per item, or raises ``BrokerUnavailable``.
        """
        self._send = send
        self._size = size
        self._clock = clock
        self._number = 0
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = EnduringTask("batches", self._run, clock, emit)

    def open(self) -> None:
        """Begin to send."""
        self._task.start()

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Put an item into the next batch.

        The future raises ``BrokerUnavailable`` if the batcher is not open, or closes or fails before the answer.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if not self._task.is_started:
            future.set_exception(BrokerUnavailable("The connection to the queues is closed."))
            return future
        self._waiting.append((item, future))
        self._idle.clear()
        self._arrived.set()
        return future

    async def close(self) -> None:
        """Send what waits, if that works within a second; then end."""
        if not self._task.is_started:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._idle.wait()
        await self._task.stop()
        self._refuse_what_waits()

    async def _run(self) -> None:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        try:
            while True:
                await self._arrived.wait()
                while batch := self._next_batch():
                    await self._deliver(batch)
                self._arrived.clear()
                self._idle.set()
        finally:
            self._waiting.extendleft(reversed(batch))
            self._refuse_what_waits()

    def _refuse_what_waits(self) -> None:
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(BrokerUnavailable("The connection to the queues was closed."))
                future.exception()  # seen: nobody may be waiting any more
        self._waiting.clear()

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        room = LARGEST_BATCH_BYTES
        while self._waiting and len(batch) < LARGEST_BATCH and room > 0:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
                room -= self._size(item)
        return batch

    async def _deliver(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        self._number += 1
        while not all(future.done() for _, future in batch):
            try:
                answers = await self._send(self._number, [item for item, _ in batch])
            except BrokerUnavailable:
                await self._clock.sleep(_RETRY_PAUSE_S)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
            return
