"""How many jobs of one lane a worker has at a time: so many run, and few wait for the lane's limits.

No class can take another's places, so what waits for capacity keeps out nobody who may use it.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from shared.domain.class_shares import INTERACTIVE
from shared.domain.lanes import JobClass, Priority

PLACES: Final = {Priority.INTERACTIVE: 8, Priority.STANDARD: 8, Priority.BULK: 8, Priority.DEFERRABLE: 2}
"""Jobs that were taken and have no reservation yet, at a time: of each class, and of all deferrable windows together.

Enough to keep a lane busy with one class alone; what is not taken can be given to another worker.
"""


class Room:
    """The slots of a lane, and the places on the way to its gate."""

    def __init__(self, slots: int, interactive_reserve: float = 0.1) -> None:
        """All are free.

        ``slots``: jobs of the lane at a time, those on the way included. ``interactive_reserve``: the share of
        them that only interactive work may use; at least one slot is for everybody.
        """
        self._slots = slots
        self._slots_for_others = max(1, math.floor(slots * (1 - interactive_reserve) + 1e-9))
        self._interactive = 0
        self._others = 0
        self._on_the_way: dict[str, tuple[JobClass | Priority, float]] = {}
        self._places_taken: Counter[JobClass | Priority] = Counter()
        self._on_change: Callable[[], None] = _nobody_listens

    def listen(self, on_change: Callable[[], None]) -> None:
        """Have it said when there is more room."""
        self._on_change = on_change

    def has_place_for(self, job_class: JobClass) -> bool:
        """Whether a job of this class may come now."""
        is_interactive = job_class == INTERACTIVE
        has_slot = self._interactive + self._others < self._slots
        has_slot = has_slot and (is_interactive or self._others < self._slots_for_others)
        return has_slot and self._places_taken[_kind(job_class)] < PLACES[job_class.priority]

    def enter(self, job_id: str, job_class: JobClass, now: float) -> None:
        """Note that a job was taken: it has a slot, and may come to the gate. ``now``: of the monotonic clock."""
        self._count(job_class, 1)
        self._clear_place(job_id)  # a message that came twice
        self._on_the_way[job_id] = (_kind(job_class), now)
        self._places_taken[_kind(job_class)] += 1

    def leave(self, job_id: str) -> None:
        """Note that a job is through the gate, or will not come to it; harmless when repeated."""
        self._clear_place(job_id)
        self._on_change()

    def end(self, job_id: str, job_class: JobClass) -> None:
        """Note that a job that entered is done with: its slot is free."""
        self._count(job_class, -1)
        self.leave(job_id)

    def kept_waiting(self, now: float) -> Mapping[str, float]:
        """Give the jobs that are on the way, and for how many seconds."""
        return {job_id: now - since for job_id, (_, since) in self._on_the_way.items()}

    def _count(self, job_class: JobClass, change: int) -> None:
        if job_class == INTERACTIVE:
            self._interactive += change
        else:
            self._others += change

    def _clear_place(self, job_id: str) -> None:
        if job_id in self._on_the_way:
            kind, _ = self._on_the_way.pop(job_id)
            self._places_taken[kind] -= 1


def _kind(job_class: JobClass) -> JobClass | Priority:
    """Give what shares places: the deferrable windows do, every other class has its own."""
    return Priority.DEFERRABLE if job_class.priority is Priority.DEFERRABLE else job_class


def _nobody_listens() -> None:
    """Nobody waits for room yet."""
