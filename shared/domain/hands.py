"""So many messages at a time, each carried by a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Taken = TypeVar("Taken")


class Hands:
    """Takes what comes while a hand is free."""

    def __init__(self, most: int) -> None:
        """``most``: what is carried at a time."""
        self._free = asyncio.Semaphore(most)
        self._under_way: set[asyncio.Task[None]] = set()

    async def carry_each(
        self, take: Callable[[], Awaitable[Taken]], carry: Callable[[Taken], Coroutine[Any, Any, None]]
    ) -> None:
        """Take and carry, many at once, until cancelled; what was taken goes on, see ``drain``. Raises what ``take`` does."""
        while True:
            await self._free.acquire()
            try:
                taken = await take()
            except BaseException:
                self._free.release()
                raise
            carrying = asyncio.create_task(carry(taken))
            self._under_way.add(carrying)
            carrying.add_done_callback(self._put_down)

    async def drain(self, grace_s: float) -> int:
        """Wait for what is under way, ``grace_s`` seconds; cancel the rest, and tell how many that were."""
        if not self._under_way:
            return 0
        _, unfinished = await asyncio.wait(self._under_way, timeout=grace_s)
        for carrying in unfinished:
            carrying.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    def _put_down(self, carrying: asyncio.Task[None]) -> None:
        self._under_way.discard(carrying)
        self._free.release()
