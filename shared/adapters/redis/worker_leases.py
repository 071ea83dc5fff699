"""The workers' leases: a key each, which the server lets expire by its own clock."""

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import worker_lease
from shared.adapters.redis.round_trips import RoundTrips


class RedisWorkerLeases:
    """Implements ``WorkerLeases``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def renew(self, worker: str, ttl_s: float) -> None:
        """Say that the worker lives, for that many seconds."""
        await self._server.send(("SET", worker_lease(worker), 1, "PX", max(1, int(ttl_s * 1000))))

    async def is_alive(self, worker: str) -> bool:
        """Tell whether the worker's lease runs."""
        return bool(await self._server.send(("EXISTS", worker_lease(worker))))

    async def end(self, worker: str) -> None:
        """Give the lease back."""
        await self._server.send(("DEL", worker_lease(worker)))
