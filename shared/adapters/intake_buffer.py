"""What was fetched from the broker and not yet taken: a buffer per class, emptied by weighted turns."""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from shared.domain.clock import Clock
from shared.domain.lanes import JobClass
from shared.domain.turns import Turns
from shared.domain.work_queue import Allowed, Delivery, any_class

D = TypeVar("D", bound=Delivery)


class IntakeBuffer(Generic[D]):
    """Both transports put in what arrives; ``take`` gives it out again, the class whose turn it is first.

    It has no size of its own: a pushing transport is bounded by its prefetch, a pulling one looks at ``count``
    before it fetches. To be used from one event loop.
    """

    def __init__(self, classes: Sequence[JobClass], turns: Turns, clock: Clock) -> None:
        """``turns`` decides among the ``classes`` that have something."""
        self._turns = turns
        self._clock = clock
        self._waiting: dict[JobClass, deque[tuple[float, D]]] = {job_class: deque() for job_class in classes}
        self._changed = asyncio.Event()

    def put(self, job_class: JobClass, delivery: D) -> None:
        """Add what arrived, behind the others of its class."""
        self._waiting[job_class].append((self._clock.monotonic(), delivery))
        self.reconsider()

    async def take(self, allowed: Allowed = any_class) -> D:
        """Wait for the next delivery whose turn it is, of a class that is ``allowed``.

        Safe to cancel: it leaves the buffer only in the step that also returns it, and in which ``allowed`` was asked.
        """
        while not (ready := [each for each, waiting in self._waiting.items() if waiting and allowed(each)]):
            self._changed.clear()
            await self._changed.wait()
        _, delivery = self._waiting[self._turns.next(ready)].popleft()
        return delivery

    def reconsider(self) -> None:
        """Let those who wait ask again what is allowed."""
        self._changed.set()

    def drain(self, classes: Collection[JobClass]) -> list[D]:
        """Take everything of these classes out: class by class, oldest first."""
        drained = []
        for job_class, waiting in self._waiting.items():
            if job_class in classes:
                drained += [delivery for _, delivery in waiting]
                waiting.clear()
        return drained

    def count(self, job_class: JobClass) -> int:
        """Give the number of deliveries of a class that wait to be taken."""
        return len(self._waiting[job_class])

    def kept_waiting(self) -> Mapping[JobClass, float]:
        """Give the seconds for which the oldest delivery of each class waits here; classes with none are left out."""
        now = self._clock.monotonic()
        return {job_class: now - waiting[0][0] for job_class, waiting in self._waiting.items() if waiting}
