"""The announcements of final statuses, by publish and subscribe."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as ConnectionLost

from shared.adapters.redis.connection import LIBRARY_ERRORS, Client
from shared.adapters.redis.keys import FEED
from shared.domain.job import JobStatus
from shared.domain.job_feed import JobChange

SILENCE_S: Final = 5.0
"""Seconds of silence after which the server is asked whether it is there; after as many more it is taken for lost."""

SUBSCRIBE_DEADLINE_S: Final = 2.0
"""Seconds for making the subscription."""

RECONNECT_S: Final = 0.25
"""Seconds between attempts to connect."""


class RedisJobFeed:
    """Implements ``JobFeed``. Each follower takes one connection."""

    def __init__(self, client: Client) -> None:
        """``client``: as ``connection.connect`` gives it."""
        self._client = client

    async def follow(self) -> AsyncGenerator[JobChange | None]:
        """Yield changes, and None each time the subscription has been made."""
        while True:
            subscription = None
            try:
                async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                    subscription = await self._subscribe()
                async for change in _changes(subscription):
                    yield change
            except (*LIBRARY_ERRORS, OSError):  # TimeoutError is an OSError
                await asyncio.sleep(RECONNECT_S)
            finally:
                if subscription is not None:
                    await subscription.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    async def _subscribe(self) -> PubSub:
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()  # in a cluster any node will do, but one must be known
        subscription: PubSub = self._client.pubsub()
        try:
            await subscription.subscribe(FEED)
        except BaseException:
            await subscription.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            raise
        return subscription


async def _changes(subscription: PubSub) -> AsyncGenerator[JobChange | None]:
    was_silent = False
    while True:
        message = await subscription.get_message(timeout=SILENCE_S)
        if message is None:
            if was_silent:
                raise ConnectionLost("no answer to a ping")
            await subscription.ping()
        elif message["type"] == "subscribe":
            yield None  # redis-py subscribes again by itself when it reconnects
        elif message["type"] == "message":
            yield _change_from(message)
        was_silent = message is None


def _change_from(message: dict[str, Any]) -> JobChange:
    status, _, job_id = message["data"].decode().partition(" ")
    return JobChange(job_id, JobStatus(status))
