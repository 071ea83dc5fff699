"""How many jobs of one lane a worker takes from the queues before they may call: few, the others stay where they are."""

import asyncio
from typing import Final

ON_THE_WAY: Final = 8
"""Jobs of one lane that were taken and have no reservation yet, at a time, in one worker."""


class Room:
    """The places on the way to a lane's gate."""

    def __init__(self) -> None:
        """All of them are free."""
        self._on_the_way: set[str] = set()
        self._left = asyncio.Event()

    async def free(self) -> None:
        """Wait until another job may come."""
        while len(self._on_the_way) >= ON_THE_WAY:
            self._left.clear()
            await self._left.wait()

    def enter(self, job_id: str) -> None:
        """Note that a job was taken and may come to the gate."""
        self._on_the_way.add(job_id)

    def leave(self, job_id: str) -> None:
        """Note that a job is through the gate, or will not come to it; harmless when repeated."""
        self._on_the_way.discard(job_id)
        self._left.set()
