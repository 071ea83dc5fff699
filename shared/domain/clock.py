"""Time enters the program here and nowhere else (ruff TID251 bans the other ways)."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where a rule or a process reads the time and waits."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point, never going backwards; for measuring durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the Unix epoch, as this machine believes it."""
        return time.time()  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Seconds of the process-wide monotonic clock."""
        return time.monotonic()  # noqa: TID251 - this is the one place

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(seconds)
