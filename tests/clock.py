"""Clocks that stand still until they are moved, and one that is set wrong."""

import asyncio
from dataclasses import dataclass, field

from shared.domain.clock import SystemClock


@dataclass
class ManualClock:
    """Whoever sleeps moves it, at once. ``waits``: the seconds of each sleep."""

    seconds: float = 1_700_000_000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds


class SteppingClock:
    """Stands still until it is moved; whoever sleeps wakes up when it has come far enough."""

    def __init__(self) -> None:
        self._seconds = 1_700_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._seconds

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._seconds + seconds, awake))
        await awake

    async def advance(self, seconds: float) -> None:
        """Move it, waking the sleepers one after the other; each does what it can do at once."""
        end = self._seconds + seconds
        await settle()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= end and not sleeper[1].done()]:
            first = min(due, key=lambda sleeper: sleeper[0])
            self._seconds = max(self._seconds, first[0])
            first[1].set_result(None)
            self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
            await settle()
        self._seconds = end
        await settle()


@dataclass(frozen=True)
class WrongClock(SystemClock):
    """Goes right, but is set wrong by ``offset_s`` seconds."""

    offset_s: float = 0.0

    def now(self) -> float:
        return super().now() + self.offset_s


async def settle() -> None:
    """Let every task go on until it waits for something."""
    for _ in range(50):
        await asyncio.sleep(0)
