"""Single jobs' changes, by publish and subscribe: each change is announced on the channel named like the record."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio import RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as ConnectionLost

from shared.adapters.redis.codec import JOB_FIELDS, job_from
from shared.adapters.redis.connection import LIBRARY_ERRORS, Client
from shared.adapters.redis.gathered_reads import GatheredReads
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips
from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.events import Emit
from shared.domain.job import Job, JobStatus
from shared.domain.job_watch import MICROSECONDS, StatusChange, WatchedJob

SILENCE_S: Final = 5.0
"""Seconds of silence after which the server is asked whether it is there; after as many more it is taken for lost."""

RECONNECT_S: Final = 0.25
"""Seconds between attempts to connect."""

_CHANNELS_AT_ONCE: Final = 500


class RedisJobWatch:
    """Implements ``JobWatch``. It subscribes to the channels of those jobs that somebody watches."""

    def __init__(self, client: Client, clock: Clock, emit: Emit) -> None:
        """``client``: as ``connection.connect`` gives it; one connection is taken from it when a job is watched first."""
        self._client = client
        self._reads = GatheredReads(RoundTrips(client))
        self._clock = clock
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._is_changed = asyncio.Event()
        self._listener = EnduringTask("job-watch", self._listen_for_ever, clock, emit)

    async def look(self, team: str, job_id: str) -> WatchedJob | None:
        """Give a job with its changes."""
        *fields, history = await self._reads.send(("HMGET", of_team(team).job(job_id), *JOB_FIELDS, "history"))
        job = job_from(fields)
        return None if job is None else WatchedJob(job, _changes(job, history))

    @contextmanager
    def watching(self, team: str, job_id: str) -> Iterator[asyncio.Event]:
        """Lend a bell."""
        channel = of_team(team).job(job_id)
        bell = asyncio.Event()
        self._bells.setdefault(channel, set()).add(bell)
        self._is_changed.set()
        self._listener.start()
        try:
            yield bell
        finally:
            bells = self._bells[channel]
            bells.discard(bell)
            if not bells:
                del self._bells[channel]
                self._is_changed.set()

    async def close(self) -> None:
        """Stop listening; no bell rings any more."""
        await self._listener.stop()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except* (*LIBRARY_ERRORS, OSError):
                self._is_changed.set()
            await self._clock.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()  # in a cluster any node will do, but one must be known
        subscription: PubSub = self._client.pubsub()
        try:
            subscribed = await self._subscribe(subscription, frozenset())
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ring(subscription))
                both.create_task(self._keep_up(subscription, subscribed))
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped

    async def _keep_up(self, subscription: PubSub, subscribed: frozenset[str]) -> None:
        while True:
            subscribed = await self._subscribe(subscription, subscribed)

    async def _subscribe(self, subscription: PubSub, subscribed: frozenset[str]) -> frozenset[str]:
        """Wait for a change of what is watched, and subscribe to that and to nothing else; give it."""
        watched = subscribed
        while watched == subscribed:  # there is no connection to listen on before the first channel
            await self._is_changed.wait()
            self._is_changed.clear()
            watched = frozenset(self._bells)
        for channels in _groups(watched - subscribed):
            await subscription.subscribe(*channels)
        for channels in _groups(subscribed - watched):
            await subscription.unsubscribe(*channels)
        return watched

    async def _ring(self, subscription: PubSub) -> None:
        was_silent = False
        while True:
            message = await subscription.get_message(timeout=SILENCE_S)
            if message is None:
                if was_silent:
                    raise ConnectionLost("no answer to a ping")
                await subscription.ping()
            elif message["type"] in {"subscribe", "message"}:  # redis-py subscribes again by itself when it reconnects
                for bell in self._bells.get(message["channel"].decode(), ()):
                    bell.set()
            was_silent = message is None


def _groups(channels: Iterable[str]) -> Iterator[list[str]]:
    ordered = list(channels)
    for start in range(0, len(ordered), _CHANNELS_AT_ONCE):
        yield ordered[start : start + _CHANNELS_AT_ONCE]


def _changes(job: Job, history: bytes | None) -> tuple[StatusChange, ...]:
    """Read a history: a line ``<status> <seconds with microseconds>`` for each change."""
    if history:
        return tuple(_change(line.decode()) for line in history.splitlines())
    if job.status is JobStatus.ACCEPTED:
        return ()
    moment = job.finished_at or job.started_at or job.spec.created_at
    return (StatusChange(round(moment * MICROSECONDS), job.status),)


def _change(line: str) -> StatusChange:
    status, _, moment = line.partition(" ")
    seconds, _, fraction = moment.partition(".")
    return StatusChange(int(seconds) * MICROSECONDS + int(fraction or 0), JobStatus(status))
