"""How many jobs of one lane a worker has at a time: so many run, and few wait for the lane's limits."""

import asyncio
from typing import Final

ON_THE_WAY: Final = 8
"""Jobs of one lane that were taken and have no reservation yet, at a time, in one worker."""


class Room:
    """The slots of a lane, and the places on the way to its gate."""

    def __init__(self, slots: int) -> None:
        """All are free. ``slots``: jobs of the lane at a time, those on the way included."""
        self._slots = slots
        self._taken = 0
        self._on_the_way: set[str] = set()
        self._changed = asyncio.Event()

    async def free(self) -> None:
        """Wait until another job may come."""
        while self._taken >= self._slots or len(self._on_the_way) >= ON_THE_WAY:
            self._changed.clear()
            await self._changed.wait()

    def enter(self, job_id: str) -> None:
        """Note that a job was taken: it has a slot, and may come to the gate."""
        self._taken += 1
        self._on_the_way.add(job_id)

    def leave(self, job_id: str) -> None:
        """Note that a job is through the gate, or will not come to it; harmless when repeated."""
        self._on_the_way.discard(job_id)
        self._changed.set()

    def end(self, job_id: str) -> None:
        """Note that a job that entered is done with: its slot is free."""
        self._taken -= 1
        self.leave(job_id)
