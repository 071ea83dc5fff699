"""What a broker does by itself, done here by every process for all: each step is one short, atomic script."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from shared.adapters.streams.connection import StreamsServer
from shared.adapters.streams.liveness import BEAT_INTERVAL_S, SILENCE_LIMIT_S, Liveness
from shared.adapters.streams.names import CONSUMERS, DEAD, DELAYED, GROUP, QUEUES
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import BrokerUnavailable
from shared.domain.lanes import DeferrableWindow

_AT_ONCE: Final = 64
"""Messages that one script moves at most, so that it stays short."""

_LONGEST_WAIT_S: Final = 0.5
"""Seconds between two looks at the delayed messages: another process may have added one that is due sooner."""

_SHORTEST_LOOK_S: Final = 0.1
_LONGEST_LOOK_S: Final = 1.0
"""Seconds between two looks at the deferrable messages."""

_LOOKS_PER_MARGIN: Final = 4
"""Looks while the shortest window's margin lasts: so much of it, at most, is lost by looking too late."""

_BEATS_PER_CENSUS: Final = 10


class Upkeep:
    """Keeps this process's consumers alive, returns what dead ones held, and moves what is due."""

    def __init__(
        self, server: StreamsServer, liveness: Liveness, clock: Clock, windows: Sequence[DeferrableWindow]
    ) -> None:
        """Look after this server's queues. ``windows``: of deferrable work, the shortest first."""
        self._server = server
        self._liveness = liveness
        self._clock = clock
        self._look_s = max(_SHORTEST_LOOK_S, min(_LONGEST_LOOK_S, windows[0].margin_s / _LOOKS_PER_MARGIN))
        self._due_sooner = asyncio.Event()
        self._tasks = (
            EnduringTask("upkeep of consumers", self._keep_alive, clock, server.emit),
            EnduringTask("upkeep of delays", self._keep_promoting, clock, server.emit),
            EnduringTask("upkeep of windows", self._keep_expiring, clock, server.emit),
        )

    def open(self) -> None:
        """Begin."""
        for task in self._tasks:
            task.start()

    async def close(self) -> None:
        """Give this process's consumers up at once, if the server is there, and end."""
        for task in self._tasks:
            await task.stop()
        with contextlib.suppress(BrokerUnavailable):
            await self._liveness.end()
            await self._reap()

    def look_again(self) -> None:
        """Look at the delayed messages now: there may be one that is due sooner."""
        self._due_sooner.set()

    async def _keep_alive(self) -> None:
        beats = 0
        while True:
            started = self._clock.monotonic()
            try:
                await self._liveness.beat()
                await self._look_after_the_dead(beats)
                beats += 1
            except BrokerUnavailable:
                beats = 0
            await self._clock.sleep(BEAT_INTERVAL_S)
            if self._clock.monotonic() - started > SILENCE_LIMIT_S / 2:
                beats = 0

    async def _look_after_the_dead(self, beats: int) -> None:
        if beats == 0:
            # The server was away, or this process was paused or busy for long: then the others could not
            # say either that they live, and get a beat to do so.
            return
        await self._reap()
        if beats % _BEATS_PER_CENSUS == 1:
            await self._server.run("census", [CONSUMERS, QUEUES], [GROUP, round(SILENCE_LIMIT_S * 1_000)])

    async def _reap(self) -> None:
        while await self._server.run("reap", [CONSUMERS, QUEUES], [GROUP, _AT_ONCE]) >= _AT_ONCE:
            pass

    async def _keep_promoting(self) -> None:
        while True:
            self._due_sooner.clear()
            wait_s = _LONGEST_WAIT_S
            with contextlib.suppress(BrokerUnavailable):
                wait_s = await self._promote()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._due_sooner.wait()

    async def _keep_expiring(self) -> None:
        while True:
            with contextlib.suppress(BrokerUnavailable):
                while await self._server.run("expire", [QUEUES], [GROUP, _AT_ONCE]) >= _AT_ONCE:
                    pass
            await self._clock.sleep(self._look_s)

    async def _promote(self) -> float:
        moved, next_ms = _AT_ONCE, -1
        while moved >= _AT_ONCE:
            moved, next_ms = await self._server.run("promote", [DELAYED, DEAD], [_AT_ONCE])
        return _LONGEST_WAIT_S if next_ms < 0 else min(_LONGEST_WAIT_S, next_ms / 1_000)
