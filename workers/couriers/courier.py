"""The courier's process. It has no routes yet (webhooks and reply queues): it watches that it could set out."""

import asyncio
from collections.abc import Callable
from typing import Final

from shared.domain.clock import Clock
from shared.domain.errors import BrokerUnavailable
from shared.domain.events import Emit, RoleStarted, RoleStopped, ServerBack, ServerLost
from shared.domain.work_queue import WorkQueue

WATCH_EVERY_S: Final = 5.0


class Courier:
    """One process's courier."""

    def __init__(self, queue: WorkQueue, clock: Clock, emit: Emit) -> None:
        """``queue``: where notifications will come from."""
        self._queue = queue
        self._clock = clock
        self._emit = emit

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Watch the broker until ``stop`` is set."""
        self._emit(RoleStarted("couriers", "courier"))
        on_ready()
        watching = asyncio.create_task(self._watch())
        try:
            await stop.wait()
        finally:
            watching.cancel()
        self._emit(RoleStopped("couriers", "courier"))

    async def _watch(self) -> None:
        is_lost = False
        while True:
            try:
                await self._queue.ping()
            except BrokerUnavailable as error:
                if not is_lost:
                    self._emit(ServerLost("broker", error.message))
                is_lost = True
            else:
                if is_lost:
                    self._emit(ServerBack("broker"))
                is_lost = False
            await self._clock.sleep(WATCH_EVERY_S)
