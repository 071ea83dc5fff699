"""Readings that are wanted at the same moment travel together: when thousands wait and much ends at once."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from shared.adapters.redis.round_trips import Command, RoundTrips
from shared.domain.errors import StoreUnavailable

MOST_TOGETHER: Final = 200
"""Readings of one round trip; more would let the others wait for the whole reply."""

MOST_UNDER_WAY: Final = 4
"""Round trips at once; what comes meanwhile gathers for the next."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """One command, and the reply that somebody waits for. asked_at: seconds of the event loop's clock."""

    command: Command
    asked_at: float
    reply: asyncio.Future[Any]


class GatheredReads:
    """Sends commands that change nothing, each in the next group that leaves. Nobody waits for a group to fill up."""

    def __init__(self, server: RoundTrips) -> None:
        """``server``: where the records are."""
        self._server = server
        self._waiting: list[_Reading] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_called = False

    async def send(self, command: Command) -> Any:  # noqa: ANN401 - the reply has the command's type
        """Send one command and give its reply. Raises ``StoreUnavailable``; a caller that leaves harms no other."""
        loop = asyncio.get_running_loop()
        reading = _Reading(command, loop.time(), loop.create_future())
        self._waiting.append(reading)
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._depart)  # whoever was woken by the same event comes along
        return await reading.reply

    def _depart(self) -> None:
        self._is_called = False
        while self._waiting and len(self._under_way) < MOST_UNDER_WAY:
            group, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            task = asyncio.create_task(self._read(group))
            self._under_way.add(task)
            task.add_done_callback(self._come_back)

    def _come_back(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._depart()

    async def _read(self, group: list[_Reading]) -> None:
        departed_at = asyncio.get_running_loop().time()
        group = [reading for reading in group if not reading.reply.done()]  # others have left
        try:
            found = await self._server.send_all([reading.command for reading in group]) if group else []
            for reading, value in zip(group, found, strict=True):
                if not reading.reply.done():
                    reading.reply.set_result(value)
        except StoreUnavailable as error:
            for reading in (*group, *self._overdue(departed_at)):
                if not reading.reply.done():
                    reading.reply.set_exception(StoreUnavailable(error.message))
        finally:
            for reading in group:
                reading.reply.cancel()  # without effect on what is done

    def _overdue(self, departed_at: float) -> list[_Reading]:
        """Take out those who have waited for longer than a group that failed; the others may have more luck."""
        overdue = [reading for reading in self._waiting if reading.asked_at <= departed_at]
        self._waiting = self._waiting[len(overdue) :]
        return overdue
