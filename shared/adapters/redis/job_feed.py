"""The announcements of final statuses, by publish and subscribe."""

import asyncio
from collections.abc import AsyncGenerator

from shared.adapters.redis.channels import Channels
from shared.adapters.redis.connection import Client
from shared.adapters.redis.keys import FEED
from shared.domain.clock import Clock
from shared.domain.events import Emit
from shared.domain.job import JobStatus
from shared.domain.job_feed import JobChange


class RedisJobFeed:
    """Implements ``JobFeed``. Each follower takes one connection: so it hears of its own subscriptions alone."""

    def __init__(self, client: Client, clock: Clock, emit: Emit) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._client = client
        self._clock = clock
        self._emit = emit

    async def follow(self) -> AsyncGenerator[JobChange | None]:
        """Yield changes, and None each time the subscription has been made."""
        heard: asyncio.Queue[bytes | None] = asyncio.Queue()
        channels = Channels(self._client, "job feed", self._clock, self._emit)
        channels.hear_soon(FEED, heard.put_nowait)
        channels.start()
        try:
            while True:
                message = await heard.get()
                yield None if message is None else _change_from(message)
        finally:
            await channels.close()


def _change_from(message: bytes) -> JobChange:
    status, _, job_id = message.decode().partition(" ")
    return JobChange(job_id, JobStatus(status))
