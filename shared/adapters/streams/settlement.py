"""What becomes of a delivery: acknowledged or given back, in batches."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.adapters.streams.batching import Batcher
from shared.adapters.streams.connection import Argument, StreamsServer
from shared.adapters.streams.names import GROUP
from shared.domain.clock import Clock
from shared.domain.work_queue import PUBLISH_DEADLINE_S


@dataclass(frozen=True, slots=True)
class EntryRef:
    """One entry of one stream. Its id belongs to a single delivery."""

    stream: str
    entry_id: bytes


@dataclass(frozen=True, slots=True)
class _Settling:
    entry: EntryRef
    back_to: str = ""


class Settlement:
    """Settles entries, and keeps trying while the server is away.

    A verb returns when it is done, or after ``PUBLISH_DEADLINE_S`` with the work still to be done: the
    consumer lives on, so an entry that was never settled would not come back to anybody. What the
    server took away from this consumer meanwhile is left alone.
    """

    def __init__(self, server: StreamsServer, clock: Clock) -> None:
        """Settle entries of this server."""
        self._server = server
        self._batcher: Batcher[_Settling, bool] = Batcher(self._send, lambda _: 0, clock, server.emit)
        self._open: dict[EntryRef, asyncio.Future[bool]] = {}

    def open(self) -> None:
        """Begin to settle."""
        self._batcher.open()

    async def close(self) -> None:
        """Settle what waits, if the server is there; the rest will be delivered again."""
        await self._batcher.close()

    async def acknowledge(self, entry: EntryRef) -> None:
        """Delete the entry."""
        await self._wait_for([self._submit(_Settling(entry))])

    async def give_back(self, entries: Iterable[EntryRef], back_to: str) -> None:
        """Move the entries to the end of the stream ``back_to``, in this order."""
        await self._wait_for([self._submit(_Settling(entry, back_to)) for entry in entries])

    def is_under_way(self, entry: EntryRef) -> bool:
        """Whether the entry is being settled."""
        return entry in self._open

    def _submit(self, settling: _Settling) -> asyncio.Future[bool]:
        future = self._batcher.submit(settling)
        self._open[settling.entry] = future
        future.add_done_callback(lambda _: self._open.pop(settling.entry, None))
        return future

    async def _wait_for(self, futures: Sequence[asyncio.Future[bool]]) -> None:
        if futures:
            await asyncio.wait(futures, timeout=PUBLISH_DEADLINE_S)
        for future in futures:
            if future.done():
                future.exception()  # closed meanwhile: the entry will be delivered again

    async def _send(self, _number: int, settlings: Sequence[_Settling]) -> list[bool]:
        args: list[Argument] = [GROUP]
        for settling in settlings:
            args += [settling.entry.stream, settling.entry.entry_id, settling.back_to]
        answer: bytes = await self._server.run("settle", args=args)
        return [settled == ord("1") for settled in answer]
