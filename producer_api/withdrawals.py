"""Jobs that their clients were told were not accepted, while the store may have recorded them all the same.

A client without an idempotency key sends its work again as another job, so the first one must not run beside it: it is
withdrawn as soon as the store answers, and nobody is told of it. The scheduler publishes what is recorded and was never
published after 15 s, so there is time. What an API process still has to withdraw when it ends is lost, and may run.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shared.domain.clock import Clock
from shared.domain.enduring_task import EnduringTask
from shared.domain.errors import StoreUnavailable
from shared.domain.events import Emit
from shared.domain.job import JobSpec
from shared.domain.job_intake import JobIntake

MOST: Final = 50_000
"""Jobs that are remembered; of more the oldest are forgotten."""

RETRY_S: Final = 0.25
AGAIN_AFTER_S: Final = 5.0
"""Seconds after which it is done a second time: a store that was stuck may do first what it was asked last."""

GiveBack = Callable[[Sequence[JobSpec]], Awaitable[None]]
TellBatch = Callable[[JobSpec], Awaitable[None]]


class Withdrawals:
    """Done in the background, one after the other."""

    def __init__(self, store: JobIntake, give_back: GiveBack, tell_batch: TellBatch, clock: Clock, emit: Emit) -> None:
        """``give_back``: undoes the charges of jobs. ``tell_batch``: tells the end of a job's batch, if that was the last."""
        self._store = store
        self._give_back = give_back
        self._tell_batch = tell_batch
        self._clock = clock
        self._new: deque[JobSpec] = deque(maxlen=MOST)
        self._again: deque[tuple[float, JobSpec]] = deque(maxlen=MOST)
        self._news = asyncio.Event()
        self._task = EnduringTask("withdrawals", self._work, clock, emit)

    def start(self) -> None:
        """Begin to work."""
        self._task.start()

    async def stop(self) -> None:
        """Stop; what is left is left as it is."""
        await self._task.stop()

    def add(self, specs: Sequence[JobSpec]) -> None:
        """Have jobs withdrawn that were given no idempotency key."""
        self._new.extend(specs)
        self._news.set()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            while self._new or self._again:
                try:
                    await self._do_one()
                except StoreUnavailable:
                    await self._clock.sleep(RETRY_S)
            self._news.clear()

    async def _do_one(self) -> None:
        now = self._clock.monotonic()
        if self._new:
            spec = self._new[0]
            await self._store.withdraw(spec.team, spec.id)
            await self._give_back([spec])
            self._new.popleft()
            self._again.append((now + AGAIN_AFTER_S, spec))
            await self._tell_batch(spec)
            return
        due_at, spec = self._again[0]
        if due_at > now:
            await self._clock.sleep(min(due_at - now, RETRY_S))
            return
        await self._store.withdraw(spec.team, spec.id)
        self._again.popleft()
