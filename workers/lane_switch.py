"""Which lanes an operator has paused, as this worker knows it."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class LaneSwitch:
    """Shared by whoever learns of a pause and by the lanes' runners. To be used from one event loop.

    A paused lane takes nothing, and what was fetched of it and not taken goes back to the queues;
    jobs that run go on.
    """

    def __init__(self) -> None:
        """No lane is paused."""
        self._paused: set[str] = set()
        self._changed = asyncio.Event()

    def pause(self, lane: str) -> None:
        """Let a lane take nothing more; harmless when repeated."""
        self._paused.add(lane)
        self._tell()

    def resume(self, lane: str) -> None:
        """Let a lane take again; harmless when repeated."""
        self._paused.discard(lane)
        self._tell()

    def is_paused(self, lane: str) -> bool:
        """Whether the lane is paused."""
        return lane in self._paused

    def changed(self) -> Coroutine[Any, Any, object]:
        """Wait until some lane is paused or resumed after this was called, even if that comes before it is awaited."""
        return self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
