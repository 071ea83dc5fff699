"""Say which lanes have jobs that wait although their deadline is close."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.events import DeadlinesClose
from shared.domain.job import Job
from shared.domain.job_upkeep import CLOSE_S, is_close

MOST: Final = 2000
"""Jobs that one look reads: enough to see that something is wrong."""


class WatchDeadlines:
    """A duty that only looks."""

    def __init__(self, parts: DutyParts) -> None:
        """Look in the store."""
        self._parts = parts

    async def __call__(self) -> dict[str, int]:
        """Give the number of such jobs by lane, and announce each lane's. Raises ``Unavailable``."""
        now = self._parts.clock.now()
        by_lane: dict[str, list[Job]] = {}
        for job in await self._parts.upkeep.close_to_deadline(CLOSE_S, MOST):
            if is_close(job, now):
                by_lane.setdefault(job.spec.lane, []).append(job)
        for lane, jobs in by_lane.items():
            soonest = min(job.spec.deadline or now for job in jobs)
            self._parts.emit(DeadlinesClose(lane, len(jobs), max(0.0, soonest - now)))
        return {lane: len(jobs) for lane, jobs in by_lane.items()}
