"""Waiting for jobs to finish, without polling: one subscription to the feed for the whole process."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.events import Emit
from shared.domain.job import Job
from shared.domain.job_store import JobFeed

Read = Callable[[], Awaitable[Job | None]]
"""Reads the awaited job from the store, as its team sees it."""


class ResultHub:
    """Those who wait, by the job they wait for."""

    def __init__(self, feed: JobFeed, clock: Clock, emit: Emit) -> None:
        """``feed`` announces final statuses; it may lose some, so the store has the last word."""
        self._feed = feed
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._listener = EnduringTask("result-hub", self._listen, clock, emit)

    def start(self) -> None:
        """Begin to listen."""
        self._listener.start()

    async def stop(self) -> None:
        """Stop listening; whoever still waits is answered with what the store has."""
        await self._listener.stop()
        self._wake_all()

    async def final(self, job_id: str, read: Read, timeout_s: float) -> Job | None:
        """Give the job when it is final, or as it is after ``timeout_s`` seconds. None: there is no such job.

        Whoever waits is registered before each reading, so a change between the two wakes it. A reading is never
        cut off. Raises what ``read`` raises.
        """
        end = self._clock.monotonic() + timeout_s
        while True:
            woken = self._register(job_id)
            try:
                job = await read()
                left = end - self._clock.monotonic()
                if job is None or job.status.is_final or left <= 0:
                    return job
                await asyncio.wait([woken], timeout=left)
            finally:
                self._forget(job_id, woken)

    def _register(self, job_id: str) -> asyncio.Future[None]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(woken)
        return woken

    def _forget(self, job_id: str, woken: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(job_id)
        if waiting is not None:
            waiting.discard(woken)
            if not waiting:
                del self._waiting[job_id]

    async def _listen(self) -> None:
        async for change in self._feed.follow():
            if change is None:
                self._wake_all()
            else:
                self._wake(change.job_id)

    def _wake_all(self) -> None:
        for job_id in list(self._waiting):
            self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for woken in self._waiting.get(job_id, ()):
            if not woken.done():
                woken.set_result(None)
