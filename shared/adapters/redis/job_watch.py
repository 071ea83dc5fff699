"""Single jobs' changes, by publish and subscribe: each change is announced on the channel named like the record."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from shared.adapters.redis.channels import Channels
from shared.adapters.redis.codec import JOB_FIELDS, job_from
from shared.adapters.redis.connection import Client
from shared.adapters.redis.gathered_reads import GatheredReads
from shared.adapters.redis.keys import of_team
from shared.adapters.redis.round_trips import RoundTrips
from shared.domain.clock import Clock
from shared.domain.events import Emit
from shared.domain.job import Job, JobStatus
from shared.domain.job_watch import MICROSECONDS, StatusChange, WatchedJob


class RedisJobWatch:
    """Implements ``JobWatch``. It subscribes to the channels of those jobs that somebody watches."""

    def __init__(self, client: Client, clock: Clock, emit: Emit) -> None:
        """``client``: as ``connection.connect`` gives it. Nothing is connected before the first job is watched."""
        self._reads = GatheredReads(RoundTrips(client))
        self._channels = Channels(client, "job watch", clock, emit)
        self._bells: dict[str, _Bells] = {}

    async def look(self, team: str, job_id: str) -> WatchedJob | None:
        """Give a job with its changes."""
        *fields, history = await self._reads.send(("HMGET", of_team(team).job(job_id), *JOB_FIELDS, "history"))
        job = job_from(fields)
        return None if job is None else WatchedJob(job, _changes(job, history))

    @contextmanager
    def watching(self, team: str, job_id: str) -> Iterator[asyncio.Event]:
        """Lend a bell."""
        channel = of_team(team).job(job_id)
        bells, bell = self._bells_of(channel), asyncio.Event()
        bells.hung.add(bell)
        self._channels.start()
        try:
            yield bell
        finally:
            bells.hung.discard(bell)
            if not bells.hung:
                del self._bells[channel]
                self._channels.leave(channel, bells.ring)

    async def close(self) -> None:
        """Stop listening; no bell rings any more."""
        await self._channels.close()

    def _bells_of(self, channel: str) -> "_Bells":
        if channel not in self._bells:
            self._bells[channel] = bells = _Bells()
            self._channels.hear_soon(channel, bells.ring)
        return self._bells[channel]


class _Bells:
    """Those of one job."""

    def __init__(self) -> None:
        self.hung: set[asyncio.Event] = set()

    def ring(self, _: bytes | None) -> None:
        for bell in self.hung:
            bell.set()


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
