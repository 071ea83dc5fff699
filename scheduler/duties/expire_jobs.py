"""End the jobs that are past their deadline and do not run, though nobody takes their messages."""

from typing import Final

from scheduler.duties.parts import DutyParts
from shared.domain.allowances import settle_unfinished
from shared.domain.events import JobFinished
from shared.domain.job import Job
from shared.domain.job_upkeep import LONG_OVERDUE_S
from shared.domain.notices import Announcer

AT_ONCE: Final = 2000


class ExpireJobs:
    """A duty. Each job is ended in one step of the store; what is left to tell, the outbox keeps."""

    def __init__(self, parts: DutyParts, long_overdue_s: float = LONG_OVERDUE_S) -> None:
        """``long_overdue_s``: seconds after its deadline for which a running job is left to its worker."""
        self._parts = parts
        self._announcer = Announcer(parts.queue, parts.outbox)
        self._long_overdue_s = long_overdue_s

    async def __call__(self) -> dict[str, int]:
        """Do it; give the number of jobs of each lane. Raises ``Unavailable``: some may be ended and not told yet."""
        expired = await self._parts.upkeep.expire(AT_ONCE, self._long_overdue_s)
        by_lane: dict[str, int] = {}
        for found in expired:
            lane = found.job.spec.lane
            by_lane[lane] = by_lane.get(lane, 0) + 1
            await settle_unfinished(self._parts.allowances, found.job)
            self._announce(found.job)
        await self._announcer.tell([notice for found in expired for notice in found.notices])
        return by_lane

    def _announce(self, job: Job) -> None:
        spec, now = job.spec, self._parts.clock.now()
        self._parts.emit(
            JobFinished(
                job_id=spec.id,
                team=spec.team,
                lane=spec.lane,
                status=job.status,
                cache=None,
                waited_s=max(0.0, now - spec.starts_at(spec.created_at)),
                attempts=len(job.attempts),
            )
        )
