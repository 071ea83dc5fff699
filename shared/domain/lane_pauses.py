"""Lanes that an administrator has paused: they take jobs in, and start none."""

from typing import Protocol


class LanePauses(Protocol):
    """The port to the paused lanes, kept for all processes. Every call raises ``StoreUnavailable``."""

    async def pause(self, lane: str) -> None:
        """Have no worker start jobs of the lane; harmless when repeated."""
        ...

    async def resume(self, lane: str) -> None:
        """Have workers start jobs of the lane again; harmless when repeated."""
        ...

    async def paused(self) -> frozenset[str]:
        """Give the names of all paused lanes."""
        ...
