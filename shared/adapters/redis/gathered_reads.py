"""Readings that are wanted at the same moment travel together: when thousands wait and much ends at once."""

import asyncio
from typing import Any, Final

from shared.adapters.redis.round_trips import Command, RoundTrips
from shared.domain.errors import StoreUnavailable

MOST_TOGETHER: Final = 200
"""Readings of one round trip; more would let the others wait for the whole reply."""

MOST_UNDER_WAY: Final = 4
"""Round trips at once; what comes meanwhile gathers for the next."""


class GatheredReads:
    """Sends commands that change nothing, each in the next group that leaves. Nobody waits for a group to fill up."""

    def __init__(self, server: RoundTrips) -> None:
        """``server``: where the records are."""
        self._server = server
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_called = False

    async def send(self, command: Command) -> Any:  # noqa: ANN401 - the reply has the command's type
        """Send one command and give its reply. Raises ``StoreUnavailable``; a caller that leaves harms no other."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, reply))
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._depart)  # whoever was woken by the same event comes along
        return await reply

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

    async def _read(self, group: list[tuple[Command, asyncio.Future[Any]]]) -> None:
        group = [(command, reply) for command, reply in group if not reply.done()]  # others have left
        try:
            found = await self._server.send_all([command for command, _ in group]) if group else []
        except StoreUnavailable as error:
            group += self._waiting  # it is away for them as well, and they have waited for that long
            self._waiting = []
            for _, reply in group:
                if not reply.done():
                    reply.set_exception(StoreUnavailable(error.message))
            return
        for (_, reply), value in zip(group, found, strict=True):
            if not reply.done():
                reply.set_result(value)
