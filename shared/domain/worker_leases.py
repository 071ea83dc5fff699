"""The port to the workers' signs of life. All of it raises ``StoreUnavailable``."""

from typing import Protocol


class WorkerLeases(Protocol):
    """Which workers are alive. One lease a worker stands for all the jobs it holds: renewing is O(1)."""

    async def renew(self, worker: str, ttl_s: float) -> None:
        """Say that the worker lives, for that many seconds by the store's own clock."""
        ...

    async def is_alive(self, worker: str) -> bool:
        """Tell whether the worker's lease runs."""
        ...

    async def end(self, worker: str) -> None:
        """Give the lease back, after a clean stop."""
        ...
