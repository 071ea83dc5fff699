"""Waiting for jobs to finish, without polling: one subscription to the feed for the whole process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import Unavailable
from shared.domain.events import Emit
from shared.domain.job import Job
from shared.domain.job_feed import JobFeed

LOOK_AGAIN_S: Final = 1.0
"""Seconds after which a store that was away is asked again for a job that is waited for."""

Read = Callable[[], Awaitable[Job | None]]
"""Reads the awaited job from the store, as its team sees it."""


class ResultHub:
    """Those who wait, by the job they wait for."""

    def __init__(self, feed: JobFeed, clock: Clock, emit: Emit) -> None:
        """``feed`` announces final statuses; it may lose some, so the store has the last word."""
        self._feed = feed
        self._clock = clock
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._is_ending = False
        self._listener = EnduringTask("result-hub", self._listen, clock, emit)

    def start(self) -> None:
        """Begin to listen."""
        self._listener.start()

    async def stop(self) -> None:
        """Stop listening; whoever still waits is answered with what the store has."""
        await self._listener.stop()
        self._wake_all()

    def give_way(self) -> None:
        """Have those who are willing to (``gives_way``) wait no longer: the server is to stop."""
        self._is_ending = True
        self._wake_all()

    async def final(
        self, job_id: str, read: Read, timeout_s: float, *, gives_way: bool = False, known: Job | None = None
    ) -> Job | None:
        """Give the job when it is final, or as it is after ``timeout_s`` seconds. None: there is no such job.

        Whoever waits is registered before each reading, so a change between the two wakes it. A reading is never
        cut off. Raises what ``read`` raises; but once it has found the job, an absent store, of jobs or of files, is waited for as well.
        gives_way: it is as if the time were over when the server is to stop.
        known: the job as it was found before; it is given if the store is still away at the end.
        """
        end = self._clock.monotonic() + timeout_s

        def is_over() -> bool:
            return self._clock.monotonic() >= end or (gives_way and self._is_ending)

        was_found = known is not None
        while True:
            with self._registered(job_id) as woken:
                patience_s = timeout_s
                try:
                    job = await read()
                except Unavailable:
                    if is_over() and known is not None:
                        return known
                    if not was_found or is_over():
                        raise
                    patience_s = LOOK_AGAIN_S
                else:
                    was_found = True
                    if job is None or job.status.is_final or is_over():
                        return job
                await asyncio.wait([woken], timeout=min(patience_s, end - self._clock.monotonic()))

    @contextmanager
    def _registered(self, job_id: str) -> Iterator[asyncio.Future[None]]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(woken)
        try:
            yield woken
        finally:
            self._forget(job_id, woken)

    def _forget(self, job_id: str, woken: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(job_id)
        if waiting is not None:
            waiting.discard(woken)
            if not waiting:
                del self._waiting[job_id]

    async def _listen(self) -> None:
        async with aclosing(self._feed.follow()) as changes:
            async for change in changes:
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
