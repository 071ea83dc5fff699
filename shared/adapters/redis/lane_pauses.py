"""The paused lanes: one set, for all processes."""

from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import PAUSED_LANES
from shared.adapters.redis.round_trips import RoundTrips


class RedisLanePauses:
    """Implements ``LanePauses``."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._server = RoundTrips(client)

    async def pause(self, lane: str) -> None:
        """Note a lane as paused."""
        await self._server.send(("SADD", PAUSED_LANES, lane))

    async def resume(self, lane: str) -> None:
        """Forget that a lane is paused."""
        await self._server.send(("SREM", PAUSED_LANES, lane))

    async def paused(self) -> frozenset[str]:
        """Give the names of all paused lanes."""
        return frozenset(lane.decode() for lane in await self._server.send(("SMEMBERS", PAUSED_LANES)))
