"""What was fetched from the broker and not yet taken: a buffer per class, emptied by weighted turns."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from shared.domain.lanes import CLASSES, JobClass
from shared.domain.turns import Turns
from shared.domain.work_queue import Delivery

D = TypeVar("D", bound=Delivery)


class IntakeBuffer(Generic[D]):
    """Both transports put in what arrives; ``take`` gives it out again, the class whose turn it is first.

    It has no size of its own: a pushing transport is bounded by its prefetch, a pulling one asks ``room``
    before it fetches. To be used from one event loop.
    """

    def __init__(self, turns: Turns) -> None:
        """``turns`` decides among the classes that have something."""
        self._turns = turns
        self._waiting: dict[JobClass, deque[D]] = {job_class: deque() for job_class in CLASSES}
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()

    def put(self, job_class: JobClass, delivery: D) -> None:
        """Add what arrived, behind the others of its class."""
        self._waiting[job_class].append(delivery)
        self._arrived.set()

    async def take(self) -> D:
        """Wait for the next delivery whose turn it is.

        Safe to cancel: it leaves the buffer only in the step that also returns it.
        """
        while not (ready := [job_class for job_class, waiting in self._waiting.items() if waiting]):
            self._arrived.clear()
            await self._arrived.wait()
        delivery = self._waiting[self._turns.next(ready)].popleft()
        self._tell_that_some_left()
        return delivery

    def drain(self) -> list[D]:
        """Empty the buffer and give what was in it: class by class, oldest first."""
        drained = [delivery for waiting in self._waiting.values() for delivery in waiting]
        for waiting in self._waiting.values():
            waiting.clear()
        self._tell_that_some_left()
        return drained

    def count(self, job_class: JobClass) -> int:
        """Give the number of deliveries of a class that wait to be taken."""
        return len(self._waiting[job_class])

    async def room(self, job_class: JobClass, limit: int) -> int:
        """Wait until fewer than ``limit`` of a class wait, and give how many more would reach it (at least 1)."""
        while (free := limit - self.count(job_class)) < 1:
            await self._left.wait()
        return free

    def _tell_that_some_left(self) -> None:
        self._left.set()
        self._left = asyncio.Event()
